"""Tables that users bring to a task: CSV, TSV (plain or gzip), Parquet or XLSX, read as text."""

from __future__ import annotations

import csv
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workflow.errors import InputError
from workflow.genome.files import read_blocks

#: What people write where there is no value.
MISSING = frozenset(("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "None", "."))
_Row = tuple[int, list[str]]


def read_user_table(path: Path, key: str, header_row: int | None = None) -> pd.DataFrame:
    """Read a table as text.

    Parameters
    ----------
    path : Path
        `.xlsx` (its first sheet), `.parquet`, tab-separated (`.tsv`, `.tab`, `.txt`, also with `.gz`), else commas.
    key : str
        The setting that names the table, such as `variants.table`; part of the messages.
    header_row : int, optional
        Row of the column names, from 1; rows above it are not read. By default the first that is not empty.

    Returns
    -------
    DataFrame
        Cells stripped of blanks, NA where empty. Its index is the row in the file, from 1 (of Parquet, that of the
        data). Columns without a name and rows without a cell are left out.

    Raises
    ------
    InputError
        The file cannot be read as a table, has no rows, names a column twice, or a row has other cells than the
        header. The message names file and row.
    """
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path, key, header_row)
    rows = _workbook_rows(path) if path.suffix.lower() == ".xlsx" else _text_rows(path)
    filled = ((line, cells) for line, cells in rows if line >= (header_row or 1) and any(cells))
    first, header = next(filled, (0, []))
    if not header or first != (header_row or first):
        # Not every table has a setting for the row of its header.
        mend = f"name the right row with {_header_setting(key)}" if header_row else "its first row must hold them"
        raise InputError(f"{path}: row {header_row or 1} holds no column names ({key}); {mend}")
    header = [name.lstrip("#").strip() for name in header]
    named = [place for place, name in enumerate(header) if name]
    names = [header[place] for place in named]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{path}, row {first}: column {twice} is there more than once ({key}); rename one of the two")
    lines, table = [], []
    for line, cells in filled:
        if len(cells) != len(header):
            raise InputError(
                f"{path}, row {line}: {len(cells)} cells, the header in row {first} has {len(header)} ({key}); "
                "an empty cell needs its separator"
                + (f", a header further down {_header_setting(key)}" if header_row else "")
            )
        lines.append(line)
        table.append([cells[place] or None for place in named])
    if not table:
        raise InputError(f"{path} holds no rows below its header in row {first} ({key})")
    return pd.DataFrame(table, columns=names, index=lines, dtype=object)


def _header_setting(key: str) -> str:
    return f"{key.partition('.')[0]}.header_row"


def require_columns(
    table: pd.DataFrame, path: Path, columns: Mapping[str, str], header_setting: str | None = None
) -> None:
    """Refuse a table that lacks a column.

    Parameters
    ----------
    columns : mapping
        Name of the column by the setting that names it: `{"variants.ref_column": "ref"}`.
    header_setting : str, optional
        The setting for the row of the header, where there is one: it may be the wrong row that has no such column.
    """
    for key, name in columns.items():
        if name not in table.columns:
            raise InputError(
                f"{path} has no column {name}; it has {', '.join(map(str, table.columns))}: choose one with {key}"
                + (f", or the header's row with {header_setting}" if header_setting else "")
            )


def numbers(table: pd.DataFrame, column: str, path: Path) -> np.ndarray:
    """A column as numbers, (n,) float64, NaN where a cell is missing.

    Raises
    ------
    InputError
        A cell holds something else, or an infinity; the message names its row.
    """
    values = np.full(len(table), np.nan)
    for place, (line, cell) in enumerate(table[column].items()):
        if isinstance(cell, str) and cell not in MISSING:
            values[place] = _number(cell)
            if not math.isfinite(values[place]):
                raise InputError(
                    f"{path}, row {line}, column {column}: {cell!r} is not a finite number; leave missing values empty"
                )
    return values


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _text_rows(path: Path) -> Iterator[_Row]:
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    separator = "\t" if plain.suffix.lower() in (".tsv", ".tab", ".txt") else ","
    reader = csv.reader(_lines(path), delimiter=separator, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{path}, row {reader.line_num}: cannot be read as CSV or TSV ({error})") from None


def _lines(path: Path) -> Iterator[str]:
    text = b"".join(read_blocks(path)).removeprefix(b"\xef\xbb\xbf")
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            decoded = line.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}, row {number}: not UTF-8 text; save the table as CSV in UTF-8") from None
        if "\0" in decoded:
            raise InputError(f"{path}, row {number}: not text; use CSV, TSV, Parquet or XLSX")
        yield decoded


def _workbook_rows(path: Path) -> Iterator[_Row]:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise InputError(f"{path} is not an XLSX workbook ({' '.join(str(error).split())}); save it again") from None
    try:
        # A workbook's own word on its size is often wrong; rows of one sheet are padded to its widest.
        rows = [[_text(value) for value in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    finally:
        book.close()
    widest = max(map(len, rows), default=0)
    for line, cells in enumerate(rows, start=1):
        yield line, cells + [""] * (widest - len(cells))


def _read_parquet(path: Path, key: str, header_row: int | None) -> pd.DataFrame:
    if header_row not in (None, 1):
        raise InputError(f"{path}: Parquet has no header_row={header_row} ({key}); leave it at 1")
    try:
        columns = pq.read_table(path).to_pydict()
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} is not Parquet ({str(error).splitlines()[0]})") from None
    cells = {name: [_text(value) or None for value in values] for name, values in columns.items()}
    rows = len(next(iter(cells.values()), []))
    if not rows:
        raise InputError(f"{path} holds no rows ({key})")
    return pd.DataFrame(cells, index=range(1, rows + 1), dtype=object)


def _text(value: object) -> str:
    """A cell as text; a whole number that was stored with a fraction has none."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value).strip()
