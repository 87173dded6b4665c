from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base import shared
from evaluation.per_base.shared import CLASS_STRATA, STRATA, shared_windows, sum_windows
from workflow.artifacts import InputError, PerBaseScores, PerBaseWriter

WINDOWS = {"a": "ACGT", "b": "acgN", "c": "TTGGCCAA", "d": "GGGG"}
START = {"a": 0, "b": 4, "c": 8, "d": 16}


def write(folder: Path, names: str, probability: float = 0.5, first: bool = True, **changed: str) -> PerBaseScores:
    """Predictions that give every observed base the same probability; `changed` replaces the bases of windows."""
    folder.mkdir()
    bases = {name: np.frombuffer((WINDOWS | changed)[name].encode(), np.uint8) for name in names}
    index = pd.DataFrame(
        {
            "sequence_id": list(names),
            "seqid": "chr1",
            "start": [START[name] for name in names],
            "end": [START[name] + len(bases[name]) for name in names],
            "strand": "+",
            "length": [len(bases[name]) for name in names],
        }
    )
    writer = PerBaseWriter(folder, index)
    for row, name in enumerate(names):
        logprobs = np.full((len(bases[name]), 4), np.log((1 - probability) / 3))
        codes = np.array(["ACGT".find(letter) for letter in bases[name].tobytes().decode().upper()])
        logprobs[np.arange(len(codes)), np.maximum(codes, 0)] = np.log(probability)
        if not first:
            logprobs[0] = np.nan
        writer.write(row, logprobs, bases[name])
    writer.close()
    return PerBaseScores(folder)


class Track:
    """Classes in the order of the windows: the first half of each is of class 2, the rest of class 5."""

    def of(self, windows: pd.DataFrame) -> np.ndarray:
        parts = [np.where(np.arange(length) < length // 2, 2, 5) for length in windows["length"]]
        return np.concatenate(parts).astype(np.uint8)


def test_windows_are_those_of_all_stores_in_the_order_of_the_first(tmp_path: Path) -> None:
    stores = [write(tmp_path / str(place), names) for place, names in enumerate(("abcd", "dca", "cad"))]
    found = shared_windows(stores)
    assert found["sequence_id"].tolist() == ["a", "c", "d"]
    assert found["start"].tolist() == [0, 8, 16]


def test_nothing_shared_and_other_places_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "ab")
    with pytest.raises(InputError, match="have no window in common: score the same split"):
        shared_windows([first, write(tmp_path / "b", "cd")])
    moved = write(tmp_path / "c", "ab")
    moved.index["start"] += 1
    with pytest.raises(InputError, match="have different windows of one name"):
        shared_windows([first, moved])
    twice = write(tmp_path / "d", "ab")
    twice.index["sequence_id"] = "a"
    with pytest.raises(InputError, match="has the window a twice"):
        shared_windows([twice])


def test_sums_follow_the_windows_wherever_a_store_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = {"m": write(tmp_path / "m", "abcd", 0.5), "n": write(tmp_path / "n", "dcba", 0.25)}
    windows = shared_windows(list(stores.values()))
    for positions in (1, 6, 1 << 18):
        monkeypatch.setattr(shared, "_CHUNK_POSITIONS", positions)
        sums = sum_windows(stores["m"], stores, windows, classes=Track())
        assert sums.strata == (*STRATA, *CLASS_STRATA)
        assert sums.bases[:, 0].tolist() == [4, 3, 8, 4]
        assert sums.bases[:, 1].tolist() == [0, 3, 0, 0]
        assert sums.bases[:, 2 + 2].tolist() == [2, 2, 4, 2]
        assert sums.bases[:, 2 + 5].tolist() == [2, 1, 4, 2]
        np.testing.assert_allclose(sums.nll["m"], sums.bases * np.log(2), rtol=1e-3)
        np.testing.assert_allclose(sums.nll["n"], sums.bases * np.log(4), rtol=1e-3)
        np.testing.assert_allclose(sums.correct["m"], sums.bases)
        # All four bases tie.
        np.testing.assert_allclose(sums.correct["n"], sums.bases / 4)


def test_a_base_counts_only_where_every_model_has_a_prediction(tmp_path: Path) -> None:
    stores = {"m": write(tmp_path / "m", "ac"), "n": write(tmp_path / "n", "ca", first=False)}
    windows = shared_windows(list(stores.values()))
    sums = sum_windows(stores["m"], stores, windows)
    assert sums.bases[:, 0].tolist() == [3, 7]
    np.testing.assert_allclose(sums.nll["m"][:, 0], np.array([3, 7]) * np.log(2), rtol=1e-3)


def test_first_bases_can_be_left_out_of_all(tmp_path: Path) -> None:
    store = write(tmp_path / "m", "abcd")
    sums = sum_windows(store, {"m": store}, shared_windows([store]), first_bases=False)
    assert sums.bases[:, 0].tolist() == [3, 2, 7, 3]


def test_baselines_see_the_windows_in_their_order(tmp_path: Path) -> None:
    class Certain:
        def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
            assert starts.tolist() == [0, 8]
            assert bases.tobytes() == b"TTGGCCAAACGT"
            return np.full((len(bases), 4), np.log(0.25), np.float32)

    store = write(tmp_path / "m", "abc")
    windows = shared_windows([write(tmp_path / "n", "ca"), store])
    sums = sum_windows(store, {"m": store}, windows, {"flat": Certain()})
    np.testing.assert_allclose(sums.nll["flat"][:, 0], np.array([8, 4]) * np.log(4), rtol=1e-6)


def test_the_case_of_bases_may_differ_but_not_the_bases(tmp_path: Path) -> None:
    first, lower = write(tmp_path / "m", "a"), write(tmp_path / "n", "a", a="acgt")
    sums = sum_windows(first, {"m": first, "n": lower}, shared_windows([first, lower]))
    assert sums.bases.tolist() == [[4, 0]]
    other = write(tmp_path / "o", "a", a="ACGA")
    with pytest.raises(InputError, match="have different bases in windows of one name: they are of different genomes"):
        sum_windows(first, {"m": first, "n": other}, shared_windows([first, other]))


def test_what_cannot_be_scored_is_named(tmp_path: Path) -> None:
    store = write(tmp_path / "m", "ac")
    np.save(tmp_path / "m" / "logprobs.npy", np.zeros((12, 4), np.float16))
    loud = PerBaseScores(tmp_path / "m")
    with pytest.raises(InputError, match="add up to more than 1; these are no log-probabilities"):
        sum_windows(loud, {"m": loud}, shared_windows([store]))
    impossible = np.full((12, 4), np.log(1 / 4), np.float16)
    impossible[7, 2] = -np.inf
    np.save(tmp_path / "m" / "logprobs.npy", impossible)
    silent = PerBaseScores(tmp_path / "m")
    with pytest.raises(InputError, match="an observed base of window c has probability 0"):
        sum_windows(silent, {"m": silent}, shared_windows([store]))
    nothing = write(tmp_path / "n", "a", a="NNNN")
    with pytest.raises(InputError, match="no base could be scored"):
        sum_windows(nothing, {"n": nothing}, shared_windows([nothing]))
