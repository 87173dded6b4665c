from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.classes import NO_CLASS, ClassTrack
from workflow.artifacts import BASE_CLASSES, InputError


def windows(*rows: tuple[str, int, int, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["seqid", "start", "end", "strand", "length"])


@pytest.fixture
def prepared(tmp_path: Path, track: Callable[..., Path]) -> Path:
    """Two sequences of 6 and 4 bases, not in natural order of their names; codes 0 … 9."""
    return track(tmp_path, np.arange(10), {"b": 6, "NA": 4})


def test_windows_are_read_in_their_own_direction(prepared: Path) -> None:
    classes = ClassTrack(prepared).of(windows(("b", 1, 4, "+", 3), ("NA", 0, 4, "-", 4), ("b", 5, 6, "-", 1)))
    assert classes.tolist() == [1, 2, 3, 9, 8, 7, 6, 5]


def test_joined_exons_have_no_class(prepared: Path) -> None:
    classes = ClassTrack(prepared).of(windows(("b", 0, 6, "+", 4), ("NA", 3, 4, "+", 1)))
    assert classes.tolist() == [NO_CLASS] * 4 + [9]
    assert len(BASE_CLASSES) == NO_CLASS


@pytest.mark.parametrize("row", [("b", 4, 7, "+", 3), ("c", 0, 1, "+", 1), ("b", -1, 1, "+", 2)])
def test_windows_of_another_genome_are_refused(prepared: Path, row: tuple[str, int, int, str, int]) -> None:
    with pytest.raises(InputError, match=r"is no part of a sequence in .*genome\.fa: the predictions belong to"):
        ClassTrack(prepared).of(windows(row))


def test_a_track_of_another_length_is_refused(tmp_path: Path, track: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="does not hold one byte for each of 11 bases"):
        ClassTrack(track(tmp_path, np.arange(10), {"b": 11}))


def test_missing_and_damaged_files_are_named(prepared: Path) -> None:
    (prepared / "classes.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"classes\.npy is damaged"):
        ClassTrack(prepared)
    (prepared / "classes.npy").unlink()
    with pytest.raises(InputError, match=r"classes\.npy does not exist: run stage=prepare"):
        ClassTrack(prepared)
    (prepared / "genome.fa.fai").unlink()
    with pytest.raises(InputError, match=r"genome\.fa\.fai does not exist: run stage=prepare"):
        ClassTrack(prepared)
