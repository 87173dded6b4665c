"""Tables that users write: CSV, TSV (plain or gzip) or Parquet."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workflow.errors import InputError
from workflow.genome.files import locate, read_blocks


def locate_table(path: str | None) -> Path | None:
    """Find a table that the configuration may name."""
    return None if path is None else locate(path, "the configuration names it")


def read_user_table(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Read a table as text, with at least the `needed` columns; cells are stripped of blanks.

    Returns
    -------
    DataFrame
        Its index is the line of each row in the file (of a Parquet file the row, from 1).

    Raises
    ------
    InputError
        The file cannot be read as a table, has no rows, lacks a column or has one twice, or a row has not as
        many cells as the first line; the message names the line.
    """
    table = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(
            f"{path}, line 1: no column {' and '.join(missing)}; it has {', '.join(table.columns)}, "
            f"needed are {', '.join(needed)}"
        )
    if table.empty:
        raise InputError(f"{path} holds no rows")
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        columns = pq.read_table(path).to_pydict()
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is not Parquet ({str(error).splitlines()[0]})") from None
    cells = {
        name: ["" if value is None else str(value).strip() for value in values] for name, values in columns.items()
    }
    return pd.DataFrame(cells, index=range(1, len(next(iter(cells.values()), [])) + 1), dtype=str)


def _read_text(path: Path) -> pd.DataFrame:
    separator = "\t" if path.with_suffix("").suffix in _TABBED or path.suffix in _TABBED else ","
    rows, lines = [], []
    reader = csv.reader(_lines(path), delimiter=separator, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: cannot be read as CSV or TSV ({error})") from None
    if not rows:
        raise InputError(f"{path} cannot be read as a table (it is empty); use CSV, TSV or Parquet")
    header = [name.lstrip("#").strip() for name in rows[0]]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(f"{path}, line {lines[0]}: column {twice[0] or 'without a name'} is there more than once")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(row)} cells, the first line has {len(header)}; an empty cell needs its "
                f"{'tab' if separator != ',' else 'comma'}"
            )
    return pd.DataFrame(rows[1:], columns=header, index=lines[1:], dtype=str)


_TABBED = (".tsv", ".txt", ".tab")


def _lines(path: Path) -> list[str]:
    text = b"".join(read_blocks(path))
    lines = text.removeprefix(b"\xef\xbb\xbf").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}, line {number}: not UTF-8 text; save the table as CSV in UTF-8") from None
        if b"\0" in line:
            raise InputError(f"{path}, line {number}: not text; use CSV, TSV or Parquet")
    return [line.decode("utf-8") for line in lines]
