from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from evaluation.artefacts.splits import rows_by_split, told_of_train


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    regions = [("a", 100, 200, "test"), ("a", 0, 90, "train"), ("b", 0, 50, "val")]
    pd.DataFrame(regions, columns=["seqid", "start", "end", "split"]).to_parquet(tmp_path / "split.parquet")
    return tmp_path


def test_borders_and_other_sequences(prepared: Path) -> None:
    places = [("a", 0), ("a", 89), ("a", 90), ("a", 99), ("a", 100), ("a", 199), ("a", 200), ("b", 49), ("c", 5)]
    table = pd.DataFrame(places, columns=["seqid", "position"])
    assert rows_by_split(prepared, table["seqid"], table["position"]) == {"train": 2, "val": 1, "test": 2}
    told = told_of_train(prepared, table["seqid"], table["position"], "variants")
    assert told is not None and told.startswith("2 of 9 variants (22.2 %) lie in the train split")


def test_nothing_in_train_is_not_told(prepared: Path) -> None:
    assert told_of_train(prepared, pd.Series(["a", "b"]), pd.Series([150, 3]), "variants") is None
    assert told_of_train(prepared, pd.Series([], dtype=str), pd.Series([], dtype=int), "variants") is None
