from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base import stream as streams
from evaluation.per_base.analysis import PerBaseResult, analyse
from evaluation.per_base.stream import Chunk
from evaluation.per_base.verdict import judge
from workflow.artifacts import PerBaseScores

Store = Callable[..., PerBaseScores]
WINDOWS, LENGTH = 150, 400
SEQUENCES = pd.DataFrame({"seqid": ["s"], "length": WINDOWS * LENGTH, "group": "", "haplotype": "", "subgenome": ""})


class Even:
    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        return np.full((len(bases), 4), np.log(0.25), np.float32)


class Bases:
    """A tally that adds up scored bases by block."""

    def __init__(self) -> None:
        self.found = np.zeros(WINDOWS, np.int64)

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        np.add.at(self.found, np.repeat(blocks, np.diff(chunk.starts)), chunk.scored)


def models(folder: Path, store: Store, gain: float) -> dict[str, PerBaseScores]:
    """Two models whose windows resemble their neighbours; the adapted one is better by `gain` nats per base."""
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 4, (WINDOWS, LENGTH))
    letters = [np.frombuffer(b"ACgT", np.uint8)[row].tobytes() for row in codes]
    shared = np.convolve(generator.normal(0, 0.1, WINDOWS + 4), np.ones(5) / 2.2, "valid")[:, None]
    opened = {}
    for model, level in (("base", 1.2), ("adapted", 1.2 - gain)):
        nll = np.clip(level + shared + generator.normal(0, 0.2, codes.shape), 0.1, 3)
        logprobs = np.repeat(np.log((1 - np.exp(-nll)) / 3)[:, :, None], 4, axis=2)
        np.put_along_axis(logprobs, codes[:, :, None], -nll[:, :, None], axis=2)
        logprobs[:, 0] = np.nan
        opened[model] = store(folder / model, list(logprobs), letters)
    return opened


def analysed(opened: dict[str, PerBaseScores], *tallies: Bases) -> PerBaseResult:
    return analyse(opened, {"markov": Even()}, None, SEQUENCES, 300, 0.95, 1, tallies)


@pytest.mark.parametrize(("gain", "outcome"), [(0.02, "better"), (0.0, "none"), (-0.02, "worse")])
def test_what_is_planted_in_files_is_found(tmp_path: Path, store: Store, gain: float, outcome: str) -> None:
    result = analysed(models(tmp_path, store, gain))
    difference = result.comparison.difference("adapted", "base")
    assert difference is not None
    assert difference.gain.low < gain < difference.gain.high
    assert judge(result.comparison, "toy", "test", 3, 0.95).outcome == outcome
    assert result.scores.bases == WINDOWS * (LENGTH - 1)
    # The strata by window, the strata by base and the calibration see the same bases.
    assert result.calibration.curve.groupby("model")["bases"].sum().unique().tolist() == [result.scores.bases]


def test_the_size_of_the_pieces_and_the_threads_change_nothing(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = models(tmp_path, store, 0.01)
    tallies = Bases(), Bases()
    first = analysed(opened, tallies[0])
    monkeypatch.setattr(streams, "_CHUNK_POSITIONS", 3000)
    monkeypatch.setattr(streams, "_THREADS", 5)
    second = analysed(opened, tallies[1])
    pd.testing.assert_frame_equal(first.scores.table, second.scores.table)
    pd.testing.assert_frame_equal(first.comparison.models_table(), second.comparison.models_table())
    pd.testing.assert_frame_equal(first.calibration.curve, second.calibration.curve, rtol=1e-12)
    assert tallies[0].found.tolist() == tallies[1].found.tolist() == [LENGTH - 1] * WINDOWS
