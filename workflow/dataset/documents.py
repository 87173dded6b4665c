"""Documents of a mixture: rows of a table, and where in a FASTA file their bases lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from workflow.errors import InputError

#: Rows in memory: a genome has millions of windows.
ROWS_AT_A_TIME = 1 << 19
#: The set of whole regions.
REGIONS = "regions"
_OF_REGIONS = ("seqid", "start", "end", "split", "group")
_OF_WINDOWS = ("sequence_id", "seqid", "start", "end", "strand", "split", "group", "copies", "weight")
#: Columns of few different values: numbers instead of millions of strings.
_FEW_VALUES = ("seqid", "strand", "split", "group")


@dataclass(frozen=True)
class Documents:
    """Documents in order.

    Attributes
    ----------
    fasta : Path
        One line a record.
    table : pyarrow.Table
        sequence_id, seqid, start, end (0-based half-open on the forward strand), strand, split, group, copies,
        weight.
    offset : (n,) int64
        Byte of each document's first base in `fasta`.
    bases : (n,) int64
        Bases of each; of spliced windows fewer than `end - start`.
    """

    fasta: Path
    table: pa.Table
    offset: np.ndarray
    bases: np.ndarray

    def __len__(self) -> int:
        return len(self.bases)

    def take(self, rows: np.ndarray) -> Documents:
        """Some of the documents, in the order of `rows`."""
        return Documents(self.fasta, self.table.take(pa.array(rows)), self.offset[rows], self.bases[rows])


def table_of(prepared: Path, name: str) -> Path:
    """The table of a set that `prepare` published."""
    return prepared / "split.parquet" if name == REGIONS else prepared / "windows" / f"{name}.parquet"


def read_documents(prepared: Path, name: str) -> Iterator[Documents]:
    """All documents of a set, some at a time: whole regions of the divided genome, or windows on their strand.

    Parameters
    ----------
    prepared : Path
        Published folder of stage `prepare`.
    name : str
        `regions`, or a window set.

    Raises
    ------
    InputError
        A file is missing, or table and FASTA file do not belong together.
    """
    return _read_regions(prepared) if name == REGIONS else _read_windows(prepared, name)


def _read_regions(prepared: Path) -> Iterator[Documents]:
    fasta = prepared / "genome.fa"
    index = read_index(fasta)
    first_byte = dict(zip(index["seqid"].to_pylist(), index["offset"].to_pylist(), strict=True))
    for table in read_columns(table_of(prepared, REGIONS), _OF_REGIONS):
        names, numbers = values_of(table["seqid"])
        unknown = [name for name in names if name not in first_byte]
        if unknown:
            raise InputError(f"{fasta} has no sequence {unknown[0]}, split.parquet names it: run stage=prepare again")
        start, end = (table[name].to_numpy().astype(np.int64) for name in ("start", "end"))
        seqid, *borders = (table[name].cast(pa.string()) for name in ("seqid", "start", "end"))
        ids = pc.binary_join_element_wise(seqid, pc.binary_join_element_wise(*borders, "-"), ":")
        same = {"strand": np.full(len(table), "+"), "copies": np.ones(len(table), int), "weight": np.ones(len(table))}
        columns = {"sequence_id": ids, **{name: table[name] for name in _OF_REGIONS}, **same}
        offset = np.array([first_byte[name] for name in names], np.int64)[numbers] + start
        yield Documents(fasta, pa.table(columns), offset, end - start)


def _read_windows(prepared: Path, name: str) -> Iterator[Documents]:
    path = table_of(prepared, name)
    fasta = path.with_suffix(".fa")
    index = read_index(fasta, ("length", "offset"))
    rows = pq.read_metadata(path).num_rows
    if len(index) != rows:
        raise InputError(f"{fasta} has {len(index)} records and {path.name} {rows} rows: run stage=prepare again")
    first = 0
    for table in read_columns(path, _OF_WINDOWS):
        of_table = index.slice(first, len(table))
        yield Documents(fasta, table, of_table["offset"].to_numpy(), of_table["length"].to_numpy())
        first += len(table)


def read_columns(path: Path, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """Columns of a Parquet table, some rows at a time; those of few different values as dictionaries.

    Raises
    ------
    InputError
        The file does not exist or lacks a column.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: run stage=prepare first")
    few = [name for name in columns if name in _FEW_VALUES]
    with pq.ParquetFile(path, read_dictionary=few) as file:
        missing = sorted(set(columns) - set(file.schema_arrow.names))
        if missing:
            raise InputError(f"{path} has no column {missing[0]}: run stage=prepare again with force=true")
        for batch in file.iter_batches(ROWS_AT_A_TIME, columns=list(columns)):
            yield pa.Table.from_batches([batch]).select(columns)


def values_of(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Different values of a column of few, and the number of each row's value, (n,) int64."""
    encoded = column.unify_dictionaries().combine_chunks()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def read_index(fasta: Path, columns: tuple[str, ...] = ("seqid", "length", "offset")) -> pa.Table:
    """Columns of the `.fai` of a FASTA file: seqid, length (bases), offset (byte of the first base).

    Raises
    ------
    InputError
        It does not exist.
    """
    path = fasta.with_name(fasta.name + ".fai")
    for needed in (fasta, path):
        if not needed.exists():
            raise InputError(f"{needed} does not exist: run stage=prepare again with force=true")
    types = {"seqid": pa.string(), "length": pa.int64(), "offset": pa.int64()}
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(column_names=[*types, "line_bases", "line_bytes"]),
        parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=csv.ConvertOptions(
            column_types=types, include_columns=list(columns), strings_can_be_null=False
        ),
    )
