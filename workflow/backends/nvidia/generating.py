"""Generation by `infer_evo2`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflow.artifacts import write_text
from workflow.backends.base import Prompt
from workflow.backends.nvidia.generations import GeneratedText, read_generations
from workflow.backends.nvidia.running import ToolRunner
from workflow.backends.nvidia.settings import Generation, Toolchain
from workflow.config import Config
from workflow.errors import ToolError

if TYPE_CHECKING:
    from workflow.striped_hyena.generation import Generated

_NOT_A_BASE = re.compile("[^ACGTacgt]")


def generate_all(
    tools: Toolchain, runner: ToolRunner, config: Config, checkpoint: Path, prompts: Sequence[Prompt], folder: Path
) -> Iterator[Generated]:
    """Continuations in order.

    The model draws from its whole vocabulary: what is not a base becomes N.

    Raises
    ------
    ToolError
        The tool failed, or did not answer exactly the prompts that were asked.
    """
    answers: dict[int, GeneratedText] = {}
    folder.mkdir(parents=True)
    for start in tools.infer(config, checkpoint, None, prompts, folder):
        for path, text in start.files.items():
            write_text(path, text)
        runner.run(start.command)
        answers |= _joined(start, read_generations(start.output, config.backend.name), prompts)
    for place in range(len(prompts)):
        yield _as_generated(answers[place])


def _joined(start: Generation, texts: Sequence[GeneratedText], prompts: Sequence[Prompt]) -> dict[int, GeneratedText]:
    """Each answer by the position of its prompt, which is its id where prompts have ids: where there is a file of them.

    Raises
    ------
    ToolError
        A prompt has no answer, or that of another one.
    """
    found = {text.id: text for text in texts} if start.files else {str(place): texts[0] for place in start.prompts}
    if len(texts) != len(start.prompts) or found.keys() != set(map(str, start.prompts)):
        lost = next((place for place in start.prompts if str(place) not in found), None)
        first = "" if lost is None else f"; the first without an answer is {prompts[lost].text[:20]}…"
        raise ToolError(f"{start.output} answers {len(texts)} of {len(start.prompts)} prompts{first}")
    answers = {place: found[str(place)] for place in start.prompts}
    for place, answer in answers.items():
        if answer.prompt and answer.prompt.upper() != prompts[place].text.upper():
            raise ToolError(f"{start.output}: the answer {answer.id} is to another prompt than the one that was asked")
    return answers


def _as_generated(answer: GeneratedText) -> Generated:
    from workflow.striped_hyena.generation import Generated  # brings torch

    # Before the case is changed, which makes two letters of some.
    sequence = _NOT_A_BASE.sub("N", answer.text).upper()
    logprobs = np.full(len(sequence), np.nan) if answer.logprobs is None else answer.logprobs
    return Generated(sequence, logprobs)
