from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.intervals import score_intervals
from evaluation.per_base.scores import BASE_COLUMN, entropy_bits
from workflow.artifacts import InputError, PerBaseScores

Store = Callable[..., PerBaseScores]
BASES = [b"ACGTTGCA", b"ttNGCATG", b"CCATGACG"]


class Even:
    """A baseline that knows nothing."""

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        return np.full((len(bases), 4), np.log(0.25), np.float32)


def intervals(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["seqid", "start", "end"])


@pytest.fixture
def predictions(tmp_path: Path, store: Store) -> dict[str, PerBaseScores]:
    """Windows 0–8 (+), 8–16 (−) and 20–28 (+) of s, at random."""
    generator = np.random.default_rng(1)
    values = [np.log(generator.dirichlet(np.ones(4), 8)).astype(np.float16) for _ in BASES]
    return {"base": store(tmp_path, values, BASES, start=[0, 8, 20], end=[8, 16, 28], strand=["+", "-", "+"])}


def by_position(store: PerBaseScores) -> tuple[np.ndarray, np.ndarray]:
    """NLL and entropy of each base of s, forward, NaN where none is scored; one base at a time."""
    nll, entropy = np.full(30, np.nan), np.full(30, np.nan)
    for row, (start, end, strand) in enumerate(store.index[["start", "end", "strand"]].itertuples(index=False)):
        logprobs, bases = (np.asarray(part) for part in store.window(row))
        for offset in range(end - start):
            position = start + offset if strand == "+" else end - 1 - offset
            code = BASE_COLUMN[bases[offset]]
            if code < 4:
                nll[position] = -float(logprobs[offset, code])
                entropy[position] = entropy_bits(logprobs[offset : offset + 1])[0]
    return nll, entropy


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 8), (0, 1), (7, 8), (8, 9), (15, 16), (8, 16), (6, 11), (13, 22), (0, 30), (18, 21), (27, 30), (3, 3)],
)
def test_means_are_those_of_single_bases(predictions: dict[str, PerBaseScores], start: int, end: int) -> None:
    nll, entropy = (values[start:end] for values in by_position(predictions["base"]))
    (found,) = score_intervals(predictions, {}, intervals(("s", start, end))).to_dict("records")
    assert found["bases"] == np.isfinite(nll).sum()
    if found["bases"]:
        assert found["nll_base"] == pytest.approx(np.nanmean(nll), abs=1e-5)
        assert found["entropy_base"] == pytest.approx(np.nanmean(entropy), abs=1e-5)
    else:
        assert np.isnan(found["nll_base"])
        assert np.isnan(found["entropy_base"])


def test_many_intervals_in_any_order_keep_their_rows(predictions: dict[str, PerBaseScores]) -> None:
    # A long one that begins first, and ends behind those that begin after it.
    generator = np.random.default_rng(2)
    starts = generator.integers(0, 29, 50)
    rows = [("s", 0, 29), *(("s", int(start), int(generator.integers(start, 30))) for start in starts), ("other", 0, 9)]
    table = intervals(*rows).assign(gene=[f"g{row}" for row in range(len(rows))])
    table.index = pd.Index(range(100, 100 + len(rows)))
    found = score_intervals(predictions, {"markov": Even()}, table)
    assert found.index.equals(table.index)
    pd.testing.assert_frame_equal(found[list(table.columns)], table)
    nll, _ = by_position(predictions["base"])
    assert found["bases"].tolist() == [
        int(np.isfinite(nll[start:end]).sum()) if seqid == "s" else 0 for seqid, start, end in rows
    ]
    scored = found[found["bases"] > 0]
    np.testing.assert_allclose(scored["nll_markov"], np.log(4), rtol=1e-6)
    np.testing.assert_allclose(scored["entropy_markov"], 2, rtol=1e-6)
    expected = [np.nanmean(nll[start:end]) for start, end in scored[["start", "end"]].to_numpy()]
    np.testing.assert_allclose(scored["nll_base"], expected, atol=1e-5)


def test_windows_that_join_exons_lie_nowhere(tmp_path: Path, store: Store) -> None:
    even = np.full((4, 4), np.log(0.25))
    joined = store(tmp_path, [even, even], [b"ACGT", b"ACGT"], start=[0, 10], end=[4, 30])
    found = score_intervals({"base": joined}, {}, intervals(("s", 0, 40)))
    assert found["bases"].tolist() == [4]


def test_a_base_of_several_windows_counts_once_for_each(tmp_path: Path, store: Store) -> None:
    sure, even = np.log(np.full((4, 4), [0.97, 0.01, 0.01, 0.01])), np.full((4, 4), np.log(0.25))
    twice = store(tmp_path, [sure, even], [b"AAAA", b"AAAA"], start=[0, 2], end=[4, 6])
    found = score_intervals({"base": twice}, {}, intervals(("s", 2, 4)))
    assert found["bases"].tolist() == [4]
    assert found["nll_base"].item() == pytest.approx(-(np.log(0.97) + np.log(0.25)) / 2, abs=1e-3)


def test_no_interval_at_all(predictions: dict[str, PerBaseScores]) -> None:
    found = score_intervals(predictions, {}, intervals())
    assert list(found.columns) == ["seqid", "start", "end", "bases", "nll_base", "entropy_base"]
    assert found.empty


def test_faults_of_the_table(predictions: dict[str, PerBaseScores]) -> None:
    with pytest.raises(InputError, match=r"has no column end: it needs seqid, start, end .* it has seqid, start$"):
        score_intervals(predictions, {}, intervals().drop(columns="end"))
    with pytest.raises(InputError, match=r"row 1 \(counted from 0\): start 9 is not before end 3"):
        score_intervals(predictions, {}, intervals(("s", 1, 2), ("s", 9, 3)))
    missing = intervals(("s", 1, 2)).astype({"start": float}).assign(start=np.nan)
    with pytest.raises(InputError, match=r"row 0 .*start nan"):
        score_intervals(predictions, {}, missing)
