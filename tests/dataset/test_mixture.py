from pathlib import Path

import pytest

from tests.dataset.conftest import WINDOWS, write_window_set
from workflow.dataset.documents import read_documents
from workflow.dataset.mixture import parts_of, plan_mixture
from workflow.errors import InputError


def parts(prepared: Path, name: str) -> dict[str, list[str]]:
    """Ids of each part by the name of its files."""
    weighted = plan_mixture(prepared, ["regions", name]).weighted[name]
    (documents,) = read_documents(prepared, name)
    return {
        part.of_file("x"): held.table["sequence_id"].to_pylist() for part, held in parts_of(name, documents, weighted)
    }


def test_regions_are_one_file_a_split(prepared: Path) -> None:
    assert parts(prepared, "regions") == {
        "x_train": ["chr1:1-11", "chr10:0-30"],
        "x_val": ["2:0-4"],
        "x_test": ["2:6-8"],
    }


def test_windows_of_different_weight_lie_in_files_of_their_own(prepared: Path) -> None:
    assert parts(prepared, "genic") == {
        "x_genic_copies1_train": ["chr1:2-8(-)"],
        "x_genic_copies2_train": ["chr10:20-25(+)"],
        "x_genic_copies3_train": ["chr10:0-10(+)", "chr10:10-20(-)"],
        "x_genic_val": ["chr1:0-3(+)"],
    }


def test_windows_of_one_weight_lie_in_one_file(prepared: Path) -> None:
    write_window_set(prepared, "kept", WINDOWS, weigh=False)
    assert {name: len(ids) for name, ids in parts(prepared, "kept").items()} == {"x_kept_train": 4, "x_kept_val": 1}


def test_sets_by_split(prepared: Path) -> None:
    assert plan_mixture(prepared, ["genic", "regions"]).there == {
        "train": ["genic", "regions"],
        "val": ["genic", "regions"],
        "test": ["regions"],
    }


def test_a_set_that_does_not_exist(prepared: Path) -> None:
    with pytest.raises(InputError, match=r"mixture\.weights names cds, prepare made regions, genic only: give"):
        plan_mixture(prepared, ["regions", "cds"])


def test_a_set_without_train(prepared: Path) -> None:
    write_window_set(prepared, "late", WINDOWS[1:2], weigh=False)
    with pytest.raises(InputError, match=r"mixture\.weights\.late: nothing of this set is in train; see .*late"):
        plan_mixture(prepared, ["regions", "late"])


def test_a_split_without_anything(prepared: Path) -> None:
    with pytest.raises(InputError, match=r"nothing of genic is in the test split: add a set to mixture\.weights"):
        plan_mixture(prepared, ["genic"])


def test_prepare_has_not_run(prepared: Path) -> None:
    (prepared / "split.parquet").unlink()
    with pytest.raises(InputError, match=r"split\.parquet does not exist: run stage=prepare first"):
        plan_mixture(prepared, ["regions"])
