"""Sequences in a column of a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workflow.errors import InputError
from workflow.sequence_files.letters import Letters, SequenceRecord
from workflow.tables import read_user_table, require_columns


def table_records(
    path: Path, key: str, letters: Letters, sequence_column: str, id_column: str | None
) -> Iterator[SequenceRecord]:
    """Records of a table, one a row; without ids they are named by their row in the file.

    Raises
    ------
    InputError
        A column is not there, a row has no sequence or id, or a sequence cannot be used; the message names the row.
    """
    room = key.partition(".")[0]
    table = read_user_table(path, key)
    columns = {f"{room}.sequence_column": sequence_column}
    if id_column is not None:
        columns[f"{room}.id_column"] = id_column
    require_columns(table, path, columns)
    ids = [str(row) for row in table.index] if id_column is None else table[id_column].tolist()
    for row, name, cell in zip(table.index.tolist(), ids, table[sequence_column].tolist(), strict=True):
        if name is None:
            raise InputError(f"{path}, row {row}: column {id_column} is empty; give each row an id")
        if cell is None:
            raise InputError(f"{path}, row {row}: sequence {name} is empty; remove it")
        yield letters.record(name, [(row, cell.encode("utf-8"))], ("row", row))
