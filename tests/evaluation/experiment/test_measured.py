from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation
from evaluation.experiment.measured import Experiment, compare
from evaluation.per_base.scores import WindowScores
from workflow.artifacts import InputError


def scores(rows: int = 20) -> WindowScores:
    table = pd.DataFrame(
        {"sequence_id": [f"w{row}" for row in range(rows)], "bases": 10, "nll_base": np.arange(rows, 0, -1) * 10.0}
    )
    return WindowScores(table, ("base",), 0, 0, 0)


def run(path: Path, id_column: str = "sequence_id", value_column: str = "value") -> Experiment:
    return compare(str(path), id_column, value_column, scores(), 200, 0.95, seed=0)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_formats_and_correlation(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m.{suffix}"
    table = pd.DataFrame({"id": [f"w{row}" for row in range(20)] + ["x"], "leaf": [*np.exp(np.arange(20.0)), 1.0]})
    table.loc[0, "leaf"] = np.nan
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="," if suffix == "csv" else "\t", index=False)
    found = run(path, "id", "leaf")
    assert found.spearman["base"].estimate == pytest.approx(1)
    assert 0 < found.pearson["base"].estimate < 1
    assert (len(found.table), found.unmatched, found.missing) == (19, 1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sequence_id,other\nw1,2\n", r"m\.csv has no column value; it has sequence_id, other"),
        ("name,value\nw1,2\n", r"m\.csv has no column sequence_id"),
        ("sequence_id,value\na,1\nb,2\n", r"m\.csv, column sequence_id: no id is that of a scored window, such as w0"),
        ("sequence_id,value\nw1,1\nw2,2\n", r"m\.csv, column value: 2 rows .* needs 3"),
        ("sequence_id,value\nw1,1\nw2,high\n", r"m\.csv, row 2 of the data, column value: 'high' is not a finite"),
        ("sequence_id,value\nw1,inf\n", r"m\.csv, row 1 of the data, column value: 'inf' is not a finite"),
        ("", r"m\.csv cannot be read as a table"),
        ("a,b\n1,2,3,4\n1\n1,2,3,4,5\n", r"m\.csv cannot be read as a table"),
    ],
)
def test_faults_name_file_and_column(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        run(path)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"m\.csv does not exist"):
        run(tmp_path / "m.csv")


def test_relative_names_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "sequence_id,value\nw1,1\nw2,2\nw3,3\n"
    (tmp_path / "root" / "evaluation").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(evaluation, "__file__", str(tmp_path / "root" / "evaluation" / "__init__.py"))
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "root" / "m.csv").write_text(table)
    assert len(run(Path("m.csv")).table) == 3
    (tmp_path / "here" / "m.csv").write_text(table + "w4,4\n")
    assert len(run(Path("m.csv")).table) == 4
