from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.variants.reading import NO_CLASS, read
from workflow.artifacts import InputError


def test_what_was_published_is_read(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "seqid": ["a", "a", "b", "a"],
            "position": [4, 4, 4, 5],
            "positive": pd.array([True, False, None, None], dtype="boolean"),
            "consequence": ["x", None, "y", "x"],
            "delta_base": [0.5, np.nan, -1, 2],
        }
    )
    table.to_parquet(tmp_path / "variants.parquet")
    pd.DataFrame({"reason": ["r"], "variants": [2], "line": [1]}).to_parquet(tmp_path / "left_out.parquet")
    about = {"models": ["base"], "positive": ["P1", "P2"], "negative": ["N"]}
    (tmp_path / "about.json").write_text(json.dumps(about))
    scored = read(tmp_path)
    assert scored.models == ("base",)
    np.testing.assert_array_equal(scored.deltas("base"), [0.5, np.nan, -1, 2])
    assert scored.is_labelled.tolist() == [True, True, False, False]
    assert scored.positive.tolist() == [True, False, False, False]
    assert scored.classes.tolist() == ["x", NO_CLASS, "y", "x"]
    assert scored.sites.tolist() == [0, 0, 1, 2]
    assert (scored.side(True), scored.side(False)) == ("P1 / P2", "N")
    assert len(scored.left_out) == 1


def test_a_stage_that_has_not_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"about\.json does not exist"):
        read(tmp_path)
