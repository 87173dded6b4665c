import pandas as pd
import pytest

from workflow.splits.accounting import account

REGIONS = pd.DataFrame({"start": [0, 20, 40], "end": [15, 30, 44], "split": ["train", "val", "test"]})


def test_account() -> None:
    assert account(50, REGIONS, {"n_run": 1, "purge": 20}) == {
        "total_bases": 50,
        "kept": {"train": 15, "val": 10, "test": 4},
        "dropped": {"n_run": 1, "purge": 20},
    }


def test_a_base_that_is_not_accounted_for_is_a_bug() -> None:
    with pytest.raises(RuntimeError, match="lost or counted twice"):
        account(51, REGIONS, {"n_run": 1, "purge": 20})
