from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest

from workflow.errors import InputError
from workflow.tables import numbers, read_user_table, require_columns


def workbook(path: Path, *rows: list[object]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("other").append(["not", "this"])
    book.save(path)
    return path


def test_the_same_table_in_every_format(tmp_path: Path) -> None:
    text = "name,value\na,1\nb,\nc,2.5\n"
    (tmp_path / "t.csv").write_text("\ufeff" + text, encoding="utf-8")
    (tmp_path / "t.tsv").write_text(text.replace(",", "\t"))
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(text.replace(",", "\t").encode()))
    workbook(tmp_path / "t.xlsx", ["name", "value"], ["a", 1], ["b"], ["c", 2.5])
    pd.DataFrame({"name": ["a", "b", "c"], "value": [1.0, None, 2.5]}).to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.tsv", "t.tsv.gz", "t.xlsx", "t.parquet"):
        table = read_user_table(tmp_path / name, "x.table")
        assert table.columns.tolist() == ["name", "value"], name
        assert table["name"].tolist() == ["a", "b", "c"], name
        assert table["value"].tolist() == ["1", None, "2.5"], name
        assert table.index.tolist() == ([1, 2, 3] if name == "t.parquet" else [2, 3, 4]), name
        np.testing.assert_array_equal(numbers(table, "value", Path(name)), [1, np.nan, 2.5])


def test_a_header_further_down_and_columns_without_a_name(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "t.xlsx", ["a title"], [], ["name", None, "value", None], ["a", "x", 7], [], ["b", None, 8, "y"]
    )
    table = read_user_table(path, "x.table", 3)
    assert table.to_dict("list") == {"name": ["a", "b"], "value": ["7", "8"]}
    assert table.index.tolist() == [4, 6]
    (tmp_path / "t.csv").write_text("# a title\n\n#name, value\na, 7\n")
    table = read_user_table(tmp_path / "t.csv", "x.table", 3)
    assert table.to_dict("list") == {"name": ["a"], "value": ["7"]}
    assert table.index.tolist() == [4]


def test_whole_numbers_that_are_stored_as_fractions(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["position", "score"], [41276135.0, 1e-7], [3, True])
    assert read_user_table(path, "x.table").to_numpy().tolist() == [["41276135", "1e-07"], ["3", "True"]]


@pytest.mark.parametrize(
    ("name", "content", "header_row", "message"),
    [
        ("t.csv", b"", None, r"row 1 holds no column names \(x.table\); its first row must hold them"),
        ("t.csv", b"a,b\n", None, "holds no rows below its header in row 1"),
        ("t.csv", b"a,b\n1,2\n", 5, r"row 5 holds no column names .*; name the right row with x\.header_row"),
        ("t.csv", b"\na,b\n1,2\n", 1, "row 1 holds no column names"),
        ("t.csv", b"a,a\n1,2\n", None, "row 1: column a is there more than once"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", None, "row 3: 3 cells, the header in row 1 has 2"),
        ("t.csv", b'a,b\n"1,2\n', None, "row 2: cannot be read as CSV or TSV"),
        ("t.csv", b"a,b\n\xff,2\n", None, "row 2: not UTF-8 text"),
        ("t.csv", b"a,b\n\0,2\n", None, "row 2: not text"),
        ("t.xlsx", b"a,b\n1,2\n", None, "is not an XLSX workbook"),
        ("t.parquet", b"a,b\n1,2\n", None, "is not Parquet"),
        ("t.parquet", b"", 3, "Parquet has no header_row=3"),
    ],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, name: str, content: bytes, header_row: int | None, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_user_table(tmp_path / name, "x.table", header_row)


def test_an_empty_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="holds no rows"):
        read_user_table(tmp_path / "t.parquet", "x.table")


def test_missing_columns_name_their_setting(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ["1"]})
    require_columns(table, tmp_path, {"x.first": "a"})
    with pytest.raises(InputError, match=r"has no column b; it has a: choose one with x.second"):
        require_columns(table, tmp_path, {"x.first": "a", "x.second": "b"})


@pytest.mark.parametrize("cell", ["high", "inf", "1,5"])
def test_what_is_no_number_is_refused(cell: str) -> None:
    table = pd.DataFrame({"a": ["1", "NA", cell]}, index=[2, 3, 7])
    with pytest.raises(InputError, match=f"row 7, column a: '{cell}' is not a finite number"):
        numbers(table, "a", Path("t.csv"))
