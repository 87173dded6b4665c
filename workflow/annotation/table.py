"""The annotation table: what every reader of annotations writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

#: Columns of `annotation.parquet`.
SCHEMA = pa.schema(
    [
        ("seqid", pa.string()),
        ("source", pa.string()),
        ("type", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("score", pa.float64()),
        ("strand", pa.string()),
        ("phase", pa.int8()),
        ("id", pa.string()),
        ("parent", pa.string()),
        ("name", pa.string()),
        ("part", pa.int16()),
        ("transl_table", pa.int8()),
        ("exception", pa.string()),
        ("circular", pa.bool_()),
        ("attributes", pa.string()),
    ]
)
# Lets pandas read small numbers and truths that may be missing as such rather than as floats and objects.
SCHEMA = pa.Table.from_pandas(
    SCHEMA.empty_table()
    .to_pandas()
    .astype({"phase": "Int8", "part": "Int16", "transl_table": "Int8", "circular": "boolean"}),
    schema=SCHEMA,
    preserve_index=False,
).schema
_REPEATED = ["seqid", "source", "type", "strand", "exception"]


@dataclass(frozen=True)
class ImportedAnnotation:
    """What was found while importing.

    Attributes
    ----------
    features : int
        Rows of the table.
    circular : frozenset of str
        Sequences that the file says are circular.
    """

    features: int
    circular: frozenset[str]


def table_writer(target: Path) -> pq.ParquetWriter:
    """A writer of tables with the columns of SCHEMA; only columns of few values are dictionary-encoded."""
    return pq.ParquetWriter(target, SCHEMA, use_dictionary=_REPEATED, compression="lz4")


def write_empty_annotation(target: Path) -> ImportedAnnotation:
    """Write the table of a genome without annotation: no rows."""
    with table_writer(target):
        pass
    return ImportedAnnotation(0, frozenset())
