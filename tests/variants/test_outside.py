from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.config import VariantsConfig
from workflow.errors import InputError
from workflow.variants.outside import read_scores

VARIANTS = pd.Series(["1:5:A:C", "1:6:A:G", "1:7:T:G"])


def read(tmp_path: Path, content: str) -> tuple[pd.DataFrame, list[str]]:
    path = tmp_path / "scores.csv"
    path.write_text(content)
    return read_scores(path, VARIANTS, VariantsConfig())


@pytest.mark.parametrize("name", ["variant_id", "id"])
def test_scores_by_id(tmp_path: Path, name: str) -> None:
    scores, ignored = read(tmp_path, f"{name},big,note,small\n1:7:T:G,-1,x,3\n9:9:A:C,8,y,8\n1:5:A:C,NA,z,0.5\n")
    assert list(scores.columns) == ["big", "small"]
    np.testing.assert_array_equal(scores["big"], [np.nan, np.nan, -1])
    np.testing.assert_array_equal(scores["small"], [0.5, np.nan, 3])
    assert ignored == ["note"]
    assert scores.index.equals(VARIANTS.index)


def test_scores_by_the_four_columns(tmp_path: Path) -> None:
    scores, ignored = read(tmp_path, "chromosome,position,ref,alt,model\n1,6,a,g,2\n1,5,A,C,1\n")
    np.testing.assert_array_equal(scores["model"], [1, 2, np.nan])
    assert not ignored


def test_positions_and_labels_beside_the_ids_are_no_scores(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("variant_id,chromosome,position,ref,alt,measured,class,model\n1:5:A:C,1,5,A,C,0.3,1,-2\n")
    config = VariantsConfig(label_column="class", positive=["1"], negative=["0"], score_column="measured")
    scores, ignored = read_scores(path, VARIANTS, config)
    assert list(scores.columns) == ["model"]
    assert not ignored


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,markov\n1:5:A:C,1\n", "the report has a baseline of its own called markov; rename the column"),
        ("model\n1\n", "has no column chromosome, and no column variant_id either; it has model"),
        ("id,model\n1:5:A:C,1\n1:5:A:C,2\n", "row 3: 1:5:A:C is there more than once"),
        ("id,model\n2:5:A:C,1\n", "none of its 1 variants, such as 2:5:A:C, is in variants.table, which has 1:5:A:C"),
        ("id,model\n1:5:A:C,high\n", "has no column of numbers for the scores; it has id, model"),
        ("id,model\n1:5:A:C,\n9:9:A:C,1\n", "has no column of numbers"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)
