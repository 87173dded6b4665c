"""The user's tables of labels, with the sequences that belong to their rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow.config.classify import ClassifyConfig
from workflow.errors import InputError
from workflow.genome.files import locate
from workflow.sequence_files import read_sequences
from workflow.sequence_files.letters import Letters
from workflow.tables import MISSING, numbers, read_user_table, require_columns

#: What a table may call a split.
_NAMES_OF_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
#: Whole numbers that a program wrote with a fraction, as pandas does in columns with gaps.
_WHOLE = re.compile(r"^([+-]?\d+)\.0+$")


@dataclass(frozen=True)
class LabelTable:
    """Rows of one table.

    Attributes
    ----------
    path : Path
    key : str
        The setting that names it.
    rows : ndarray, (n,) int64
        In the file.
    ids : list of str
    sequences : list of bytes
        Empty as long as they are still to be found by their ids.
    labels : DataFrame
        As in `LabelledSet`.
    split : ndarray, (n,) object, or None
        train, val, test, of the split column.
    group : ndarray, (n,) object, or None
        Of the group column; None where a cell is missing.
    """

    path: Path
    key: str
    rows: np.ndarray
    ids: list[str]
    sequences: list[bytes]
    labels: pd.DataFrame
    split: np.ndarray | None
    group: np.ndarray | None

    def where(self, place: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.path}, row {self.rows[place]}"


def read_label_table(path: str, key: str, config: ClassifyConfig) -> LabelTable:
    """Read a table of labels, and of sequences where it has them.

    Cells such as `NA` or `.` are missing labels; `562.0` is read as `562`.

    Raises
    ------
    InputError
        It cannot be read, lacks a column, or a row has no id, a sequence that is empty or no DNA, a label that is no
        number where numbers are learnt, or a split that is none.
    """
    file = locate(path, f"{key} names it")
    table = read_user_table(file, key)
    require_columns(table, file, _columns(config))
    rows = table.index.to_numpy(np.int64)
    ids = [str(row) for row in rows] if config.id_column is None else _filled(table, config.id_column, file)
    return LabelTable(
        file,
        key,
        rows,
        ids,
        [] if config.sequences else _sequences(table, ids, file, config.sequence_column),
        _labels(table, file, config),
        _splits(table, file, config.split_column) if config.split == "given" and config.split_column else None,
        _cells(table[config.group_column]) if config.split == "group" and config.group_column else None,
    )


def sequences_by_id(path: str, tables: Iterable[LabelTable]) -> tuple[list[list[bytes]], int]:
    """Sequences of the rows of tables, from a file whose records their ids name.

    Parameters
    ----------
    path : str
        FASTA, FASTQ or GenBank (`classify.sequences`).
    tables : iterable of LabelTable

    Returns
    -------
    sequences : list of list of bytes
        Of each table's rows.
    unnamed : int
        Records that no row names.

    Raises
    ------
    InputError
        A row names no record, or two records have the id of a row.
    """
    tables = list(tables)
    file = locate(path, "classify.sequences names it")
    wanted = {name for table in tables for name in table.ids}
    found: dict[str, tuple[bytes, str]] = {}
    unnamed = 0
    for record in read_sequences(file, "classify.sequences"):
        if record.id not in wanted:
            unnamed += 1
        elif record.id in found:
            raise InputError(
                f"{file}: two records are called {record.id} ({found[record.id][1]}; {record.place}); rename one, so "
                "that its label can be told"
            )
        else:
            found[record.id] = record.bases.tobytes(), record.place
    for table in tables:
        for place, name in enumerate(table.ids):
            if name not in found:
                raise InputError(
                    f"{table.where(place)}: {file.name} holds no sequence {name}; add it, or remove the row"
                )
    return [[found[name][0] for name in table.ids] for table in tables], unnamed


def _columns(config: ClassifyConfig) -> dict[str, str]:
    named = {
        "classify.id_column": config.id_column,
        "classify.sequence_column": None if config.sequences else config.sequence_column,
        "classify.split_column": config.split_column if config.split == "given" else None,
        "classify.group_column": config.group_column if config.split == "group" else None,
    }
    columns = {key: name for key, name in named.items() if name is not None}
    # One key has several columns, a mapping one: the number keeps them apart.
    columns |= {f"classify.labels[{place}]": name for place, name in enumerate(config.labels)}
    return columns


def _sequences(table: pd.DataFrame, ids: list[str], path: Path, column: str) -> list[bytes]:
    letters = Letters(path)
    sequences = []
    for row, name, cell in zip(table.index.tolist(), ids, table[column].tolist(), strict=True):
        text = (cell or "").encode("utf-8")
        sequences.append(letters.record(name, [(row, text)] if text else [], ("row", row)).bases.tobytes())
    letters.tell()
    return sequences


def _labels(table: pd.DataFrame, path: Path, config: ClassifyConfig) -> pd.DataFrame:
    if config.task == "regression":
        return pd.DataFrame({column: numbers(table, column, path) for column in config.labels})
    if config.task == "per_base":
        return table[config.labels].reset_index(drop=True)
    return pd.DataFrame({column: _cells(table[column]) for column in config.labels}, dtype=object)


def _cells(column: pd.Series) -> np.ndarray:
    """Cells as labels, (n,) object; equal ones are one object."""
    kinds = {cell: None if cell in MISSING else _WHOLE.sub(r"\1", cell) for cell in column.dropna().unique()}
    labels = np.empty(len(column), object)
    labels[:] = [kinds.get(cell) for cell in column]
    return labels


def _splits(table: pd.DataFrame, path: Path, column: str) -> np.ndarray:
    for row, cell in table[column].items():
        if str(cell).lower() not in _NAMES_OF_SPLITS:
            raise InputError(
                f"{path}, row {row}: split {cell} is none; column {column} must hold train, val or test in each row"
            )
    splits: np.ndarray = table[column].str.lower().map(_NAMES_OF_SPLITS).to_numpy(object)
    return splits


def _filled(table: pd.DataFrame, column: str, path: Path) -> list[str]:
    empty = table.index[table[column].isna()]
    if len(empty):
        raise InputError(f"{path}, row {empty[0]}: column {column} is empty; give each row an id")
    return list(table[column])
