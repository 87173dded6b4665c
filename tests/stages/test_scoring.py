from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tests.stages.conftest import Configure
from workflow.backends import SequenceSet
from workflow.errors import GateError
from workflow.gates import GateLog
from workflow.genome.alphabet import reverse_complement
from workflow.stages.context import StageContext
from workflow.stages.scoring import score_strands


@pytest.fixture(scope="module")
def here(configure: Configure, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    config = configure("train=none")
    return StageContext(config, tmp_path_factory.mktemp("out"), prepared, GateLog(asdict(config.gates)))


def sequences(count: int, length: int = 150) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    letters = np.frombuffer(b"ACGT", np.uint8)
    return {f"s{row} with spaces": letters[generator.integers(0, 4, length + row)] for row in range(count)}


def test_both_strands_equal_each_sequence_alone(here: StageContext) -> None:
    given = sequences(4)
    scores = list(score_strands(here, given, why="sequences"))
    assert [(score.sequence_id, score.strand) for score in scores] == [(name, s) for name in given for s in "+-"]
    assert {score.model for score in scores} == {"base"}
    for score in scores:
        bases = given[score.sequence_id] if score.strand == "+" else reverse_complement(given[score.sequence_id])
        alone = SequenceSet(["one"], np.array([len(bases)]), lambda _, bases=bases: bases)
        (expected,) = here.backend().score(here.config, here.models()["base"], alone)
        assert score.total == pytest.approx(expected.total, abs=1e-3) and score.n == len(bases)
        assert np.abs(score.logprobs - expected.logprobs).max() < 1e-4
    forward = list(score_strands(here, given, both=False, why="sequences"))
    assert [score.total for score in forward] == pytest.approx([s.total for s in scores if s.strand == "+"], abs=1e-3)


def test_equal_sequences_are_scored_once(here: StageContext, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = sequences(2).values()
    given = {"a": one, "b": other, "c": one, "d": reverse_complement(one)}
    backend, asked = here.backend(), []
    original = type(backend).score

    def counted(self, config, files, texts):
        asked.append(len(texts.names))
        return original(self, config, files, texts)

    monkeypatch.setattr(type(backend), "score", counted)
    scores = {(score.sequence_id, score.strand): score.total for score in score_strands(here, given, why="x")}
    assert asked == [4] and len(scores) == 8
    assert scores["a", "+"] == scores["c", "+"] == scores["d", "-"] != scores["b", "+"]
    assert scores["a", "-"] == scores["c", "-"] == scores["d", "+"]


def test_its_gates(configure: Configure, prepared: Path, tmp_path: Path) -> None:
    config = configure("train=none")
    here = StageContext(config, tmp_path, prepared, GateLog(asdict(config.gates)))
    with pytest.raises(GateError, match="gate context_length: saw 20 bases of context in windows of variants"):
        list(score_strands(here, sequences(1, 20), why="windows of variants"))
    list(score_strands(here, sequences(1), why="windows of variants"))
    assert {gate.name for gate in here.gates.results if gate.passed} == {"context_length", "mass_outside_acgt"}
