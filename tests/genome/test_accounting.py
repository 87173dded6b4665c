import pandas as pd
import pytest

from workflow.genome.accounting import account

REGIONS = pd.DataFrame({"start": [0, 20, 40], "end": [15, 30, 44], "split": ["train", "val", "test"]})
WINDOWS = pd.DataFrame({"start": [0, 20, 25], "end": [10, 25, 30], "split": ["train", "val", "val"]})


def test_account() -> None:
    assert account(50, REGIONS, WINDOWS, {"n_run": 1, "purge": 20}) == {
        "total_bases": 50,
        "kept": {"train": 15, "val": 10, "test": 4},
        "dropped": {"n_run": 1, "purge": 20},
        "windows": {
            "train": {"windows": 1, "bases_in": 10, "bases_outside": 5},
            "val": {"windows": 2, "bases_in": 10, "bases_outside": 0},
            "test": {"windows": 0, "bases_in": 0, "bases_outside": 4},
        },
    }


def test_a_base_that_is_not_accounted_for_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        account(51, REGIONS, WINDOWS, {"n_run": 1, "purge": 20})
