"""Answers of `infer_evo2` joined to the prompts that were asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workflow.backends.base import Prompt
from workflow.backends.contracts import Command
from workflow.backends.nvidia.generating import generate_all
from workflow.backends.nvidia.settings import Generation
from workflow.errors import ToolError
from workflow.striped_hyena.generation import Generated

PROMPTS = [Prompt("ACGT", 1), Prompt("TTTT", 2), Prompt("GGGG", 3)]
Answer = dict[str, Any]


def answer(place: int, prompt: str, completion: str) -> Answer:
    return {"id": str(place), "prompt": prompt, "completion": completion}


def generated(tmp_path: Path, answers: Sequence[Answer]) -> list[Generated]:
    """What is read when the tool answers one start so."""
    output, asked = tmp_path / "raw" / "out.jsonl", tmp_path / "raw" / "prompts.jsonl"
    start = Generation(Command("infer_evo2"), (0, 1, 2), output, files={asked: "as the tool wants them"})

    def run(command: Command) -> None:
        assert asked.exists()
        output.write_text("".join(f"{json.dumps(line)}\n" for line in answers))

    tools: Any = SimpleNamespace(infer=lambda *_: [start])
    runner: Any = SimpleNamespace(run=run)
    config: Any = SimpleNamespace(backend=SimpleNamespace(name="mbridge"))
    return list(generate_all(tools, runner, config, tmp_path, PROMPTS, tmp_path / "raw"))


def test_answers_in_another_order_go_to_their_prompts(tmp_path: Path) -> None:
    answers = [answer(2, "GGGG", "CC"), answer(0, "ACGT", "AA"), answer(1, "TTTT", "acVß\nG")]
    assert [text.sequence for text in generated(tmp_path, answers)] == ["AA", "ACNNNG", "CC"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answers: answers[:2], r"answers 2 of 3 prompts; the first without an answer is GGGG…"),
        (lambda answers: [*answers[:2], answers[1]], r"answers 3 of 3 prompts; the first without an answer is GGGG…"),
        (lambda answers: [*answers, answer(3, "A", "A")], "answers 4 of 3 prompts$"),
        (
            lambda answers: [answers[0], answer(1, "GGGG", "A"), answer(2, "TTTT", "A")],
            "the answer 1 is to another prompt than the one that was asked",
        ),
    ],
)
def test_answers_that_are_not_those_to_the_prompts(
    tmp_path: Path, change: Callable[[list[Answer]], list[Answer]], message: str
) -> None:
    answers = [answer(place, prompt.text, "A") for place, prompt in enumerate(PROMPTS)]
    with pytest.raises(ToolError, match=message) as caught:
        generated(tmp_path, change(answers))
    assert "\n" not in str(caught.value)
