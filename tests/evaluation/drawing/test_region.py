from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.drawing.region import neighbours, observed_logprobs, read_region
from workflow.artifacts import PerBaseScores, PerBaseWriter

GENOME = np.frombuffer(b"ACGTTTGACAnGTCaG", np.uint8)
COMPLEMENT = bytes.maketrans(b"ACGTacgtn", b"TGCAtgcan")


class ByPlace:
    """A baseline that gives A the number of the base within its window."""

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        values = np.zeros((len(bases), 4), np.float32)
        values[:, 0] = -np.arange(len(bases))
        return values


def predictions(folder: Path, windows: list[tuple[int, int, str]]) -> PerBaseScores:
    """Column b of base i of a window is −(100·window + 4·i + b)/100."""
    index = pd.DataFrame(windows, columns=["start", "end", "strand"])
    index = index.assign(seqid="s", sequence_id=[f"w{row}" for row in range(len(index))])
    index["length"] = index["end"] - index["start"]
    folder.mkdir()
    writer = PerBaseWriter(folder, index)
    for row, (start, end, strand) in enumerate(windows):
        bases = GENOME[start:end]
        if strand == "-":
            bases = np.frombuffer(bases.tobytes()[::-1].translate(COMPLEMENT), np.uint8)
        values = -(100 * row + np.arange(4 * len(bases)).reshape(-1, 4)) / 100
        writer.write(row, values.astype(np.float16), bases)
    writer.close()
    return PerBaseScores(folder)


def test_windows_of_both_strands_lie_on_the_forward_strand(tmp_path: Path) -> None:
    store = predictions(tmp_path / "base", [(2, 8, "+"), (8, 14, "-")])
    region = read_region({"base": store}, {"markov": ByPlace()}, np.array([0, 1]))
    assert (region.seqid, region.start, region.end) == ("s", 2, 14)
    assert region.bases.tobytes() == GENOME[2:14].tobytes()
    forward, reverse = store.window(0)[0].astype(float), store.window(1)[0].astype(float)
    np.testing.assert_array_equal(region.logprobs["base"][:6], forward)
    # The last base of the reverse window is the first on the forward strand, and its A is a T there.
    np.testing.assert_array_equal(region.logprobs["base"][6], reverse[5][::-1])
    np.testing.assert_array_equal(region.logprobs["markov"][:, 0], [0, -1, -2, -3, -4, -5, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(region.logprobs["markov"][6:, 3], [-5, -4, -3, -2, -1, 0])


def test_nll_is_that_of_the_observed_base_on_both_strands(tmp_path: Path) -> None:
    store = predictions(tmp_path / "base", [(2, 8, "+"), (8, 14, "-")])
    nll = read_region({"base": store}, {}, np.array([0, 1])).nll("base")
    for row, part in ((0, nll[:6]), (1, nll[6:][::-1])):
        logprobs, bases = store.window(row)
        np.testing.assert_allclose(part, -observed_logprobs(np.asarray(logprobs), np.asarray(bases)))
    # The base that is none of A, C, G, T is at 10.
    assert np.flatnonzero(np.isnan(nll)).tolist() == [8]


def test_the_first_of_overlapping_windows_counts_and_gaps_are_empty(tmp_path: Path) -> None:
    store = predictions(tmp_path / "base", [(0, 4, "+"), (2, 6, "+"), (9, 12, "+")])
    region = read_region({"base": store}, {}, np.array([0, 1, 2]))
    values = region.logprobs["base"][:, 0]
    np.testing.assert_allclose(values[:6], -np.array([0, 4, 8, 12, 108, 112]) / 100, rtol=1e-3)
    assert np.isnan(values[6:9]).all()
    assert region.bases[6:9].tolist() == [0, 0, 0]
    assert np.isfinite(values[9:]).all()


def index_of(windows: list[tuple[str, int, int]], spliced: tuple[int, ...] = ()) -> pd.DataFrame:
    index = pd.DataFrame(windows, columns=["seqid", "start", "end"])
    index["length"] = index["end"] - index["start"]
    index.loc[list(spliced), "length"] -= 1
    return index


def test_neighbours_are_those_without_a_gap() -> None:
    index = index_of([("a", 20, 30), ("a", 0, 10), ("a", 10, 20), ("a", 31, 40), ("b", 30, 40), ("a", 30, 31)], (5,))
    assert neighbours(index, 0, 1000).tolist() == [1, 2, 0]
    assert neighbours(index, 3, 1000).tolist() == [3]
    assert neighbours(index, 4, 1000).tolist() == [4]


@pytest.mark.parametrize(
    ("longest", "expected"), [(9, [5]), (10, [5]), (30, [4, 5, 6]), (29, [4, 5]), (1000, range(11))]
)
def test_a_run_is_cut_around_the_window(longest: int, expected: list[int]) -> None:
    index = index_of([("a", 10 * place, 10 * place + 10) for place in range(11)])
    assert neighbours(index, 5, longest).tolist() == list(expected)


def test_a_long_window_is_kept_though_a_short_one_lies_within() -> None:
    assert neighbours(index_of([("a", 0, 100), ("a", 40, 60)]), 0, 50).tolist() == [0]
