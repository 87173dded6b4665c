"""Sequences of a stream kept on disk, for any of them to be read again, by several processes, with little memory."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow.sequence_files import SequenceRecord
from workflow.sequence_files.letters import shown

_BASES, _ENDS, INDEX = "bases.bin", "ends.bin", "index.parquet"
_COLUMNS = [("sequence_id", pa.string()), ("place", pa.string()), ("length", pa.int64()), ("offset", pa.int64())]
_ROWS_AT_A_TIME = 1 << 15


class Spool:
    """The sequences that `write_spool` kept in a folder.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.index = folder / INDEX
        self._bases = folder / _BASES
        self._ends = np.fromfile(folder / _ENDS, np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Bases of each, (n,) int64."""
        return np.diff(self._ends, prepend=0)

    def fetch(self, row: int) -> np.ndarray:
        """Bases of a sequence, (length,) uint8, upper case."""
        length = int(self.lengths[row])
        return np.fromfile(self._bases, np.uint8, length, offset=int(self._ends[row]) - length)

    def called(self, row: int) -> str:
        """A sequence for a message: its id and where it stands."""
        table = pq.read_table(self.index, columns=["sequence_id", "place"]).slice(row, 1)
        (found,) = table.to_pylist()
        return f"{shown(found['sequence_id'])} ({found['place']})"


def write_spool(folder: Path, records: Iterable[SequenceRecord], *, per_base: bool) -> None:
    """Keep the sequences of a stream, and write the index that their embeddings will have.

    Parameters
    ----------
    folder : Path
        An existing folder.
    records : iterable of SequenceRecord
    per_base : bool
        Whether each position will have a row of its own: the index then tells the first row of each sequence, as
        `offset`.
    """
    schema = pa.schema(_COLUMNS if per_base else _COLUMNS[:-1])
    end, rows = 0, list[tuple[str, str, int, int]]()
    with (
        (folder / _BASES).open("wb") as bases,
        (folder / _ENDS).open("wb") as ends,
        pq.ParquetWriter(folder / INDEX, schema) as index,
    ):
        for record in records:
            bases.write(record.bases.data)
            rows.append((record.id, record.place, len(record.bases), end))
            end += len(record.bases)
            ends.write(np.int64(end).tobytes())
            if len(rows) == _ROWS_AT_A_TIME:
                index.write_table(_table(rows, schema))
                rows = []
        index.write_table(_table(rows, schema))


def _table(rows: list[tuple[str, str, int, int]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    named = dict(zip((name for name, _ in _COLUMNS), columns, strict=True))
    return pa.table({name: named[name] for name in schema.names}, schema=schema)
