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
from workflow.backends.nvidia.settings import Toolchain
from workflow.config import Config
from workflow.errors import ToolError

if TYPE_CHECKING:
    from workflow.striped_hyena.generation import Generated

_NOT_A_BASE = re.compile("[^ACGT]")


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
        texts = read_generations(start.output, config.backend.name)
        if len(texts) != len(start.prompts):
            raise ToolError(f"{start.output} answers {len(texts)} of {len(start.prompts)} prompts")
        answers |= dict(zip(start.prompts, texts, strict=True))
    for place in range(len(prompts)):
        yield _as_generated(answers[place])


def _as_generated(answer: GeneratedText) -> Generated:
    from workflow.striped_hyena.generation import Generated  # brings torch

    sequence = _NOT_A_BASE.sub("N", answer.text.upper())
    logprobs = np.full(len(sequence), np.nan) if answer.logprobs is None else answer.logprobs
    return Generated(sequence, logprobs)
