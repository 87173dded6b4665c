"""What `infer_evo2` writes: the text that it generated."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workflow.errors import ToolError

#: A Python string literal, with the name of the argument that it is given to.
_NAMED_LITERAL = re.compile(r"""(?:\b(\w+)=)?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_NUMBERS = r"\b{name}=(?:tensor\()?\[([^\]]*)\]"
_MEND = "look into its log, and generate again"


@dataclass(frozen=True)
class GeneratedText:
    """A continuation.

    Attributes
    ----------
    id : str
        The tool's name of the prompt.
    prompt : str
        What was continued; empty where the tool does not repeat it.
    text : str
        What was generated, without the prompt. Letters other than A, C, G, T are possible.
    logprobs : ndarray, optional
        (length,) natural log of the probability of each letter; None where the tool does not say.
    """

    id: str
    prompt: str
    text: str
    logprobs: np.ndarray | None = None


def read_generations(path: Path, toolchain: str) -> list[GeneratedText]:
    """Continuations in the order of the file.

    Parameters
    ----------
    path : Path
        The tool's output file: with nemo2 the text of one Python object, or of older versions the bare
        continuation; with mbridge a JSON object on each line.
    toolchain : str
        `nemo2` or `mbridge`.

    Raises
    ------
    ToolError
        The file is missing, empty, cut short, or of another format.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ToolError(f"{path} does not exist: the tool wrote nothing; {_MEND}") from None
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not text: {_MEND}") from None
    if not content:
        raise ToolError(f"{path} is empty: {_MEND}")
    if toolchain == "mbridge":
        # Not splitlines: JSON leaves other separators as they are.
        lines = content.removesuffix("\n").split("\n")
        return [_of_line(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    if content.lstrip().startswith("InferenceRequest("):
        return [_of_request(content.strip(), path)]
    return [GeneratedText(id="0", prompt="", text=content.removesuffix("\n"))]


def _of_line(line: str, place: str) -> GeneratedText:
    try:
        record: Any = json.loads(line)
        name, prompt, text = (str(record[key]) for key in ("id", "prompt", "completion"))
        logprobs = (record.get("logprobs") or {}).get("completion_logprobs")
        return GeneratedText(name, prompt, text, _of_letters(logprobs, text))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ToolError(f"{place}: not a JSON object with id, prompt and completion: {_MEND}") from None


def _of_request(content: str, path: Path) -> GeneratedText:
    """From the text of an object that holds more than Python literals."""
    literals: dict[str, str] = {}
    for name, literal in _NAMED_LITERAL.findall(content):
        literals.setdefault(name, literal)
    # What stands inside of literals must not be taken for arguments.
    arguments = _NAMED_LITERAL.sub("", content)
    if "generated_text" not in literals or not content.endswith(")"):
        raise ToolError(f"{path} is cut short, or holds no generated_text: {_MEND}")
    # Decoding to text drops what is not UTF-8; the tokens, where all are printed, are what was generated.
    tokens = _numbers(arguments, "generated_tokens")
    text = _value(literals, "generated_text") if tokens is None else "".join(chr(int(token)) for token in tokens)
    logprobs = _of_letters(_numbers(arguments, "generated_log_probs"), text)
    return GeneratedText(_value(literals, "request_id") or "0", _value(literals, "prompt"), text, logprobs)


def _value(literals: dict[str, str], name: str) -> str:
    return str(ast.literal_eval(literals[name])) if name in literals else ""


def _numbers(arguments: str, name: str) -> list[float] | None:
    """A list or tensor by name; None where there is none, or where only its ends are printed."""
    match = re.search(_NUMBERS.format(name=name), arguments)
    if match is None or "..." in match[1]:
        return None
    return [float(number) for number in match[1].split(",") if number.strip()]


def _of_letters(logprobs: list[float] | None, text: str) -> np.ndarray | None:
    """Log-probabilities as an array, where there is one for each letter."""
    if logprobs is None or len(logprobs) != len(text):
        return None
    return np.array(logprobs, np.float64)
