"""The features of an annotation table as arrays: kinds, coordinates, and who is whose parent.

An identifier is a number: the index into `Features.names`. Parents that no row carries have one too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow.annotation.table import SCHEMA

_COLUMNS = [name for name in SCHEMA.names if name not in ("source", "score", "id", "parent", "attributes")]
_REPEATED = ["seqid", "type", "strand", "exception"]


class Kind(IntEnum):
    """What a feature is to a gene model."""

    MISSING = -1
    OTHER = 0
    GENE = 1
    TRANSCRIPT = 2
    EXON = 3
    CDS = 4
    UTR = 5
    STOP = 6
    PROTEIN = 7


# Looked at in this order: `mRNA_TE_gene` of TAIR is a transcript, `pseudogene` a gene.
_PATTERNS = (
    (Kind.STOP, r"stop_codon"),
    (Kind.CDS, r"(pseudogenic_)?CDS"),
    (Kind.EXON, r"([a-z]+_)*exon"),
    (Kind.UTR, r".*UTR|.*_utr"),
    (Kind.PROTEIN, r"protein|polypeptide|mature_protein_region.*"),
    (Kind.TRANSCRIPT, r"mRNA.*|.*RNA|.*transcript|.*gene_segment|ribozyme"),
    (Kind.GENE, r".*gene"),
)


def kind_of(feature_type: str) -> Kind:
    """Kind of a feature by its type, a term of the Sequence Ontology or what is used in its place."""
    return next((kind for kind, pattern in _PATTERNS if re.fullmatch(pattern, feature_type)), Kind.OTHER)


@dataclass(frozen=True)
class Features:
    """Rows of an annotation, in the order of the file.

    Attributes
    ----------
    seqids, types, strands, exceptions : list of str
        What the codes of the arrays `seqid`, `type`, `strand` and `exception` stand for.
    seqid, type, strand, exception : (n,) int32
        Codes; -1 where there is none.
    kind : (n,) int8
    start, end : (n,) int64
        0-based half-open.
    phase, part, transl_table : (n,) int16
        -1 where there is none.
    identifier : (n,) int32
        Identifier of each row, -1 where it has none.
    name : pa.Array
        Names shown to people.
    names : pa.Array
        Names of the identifiers.
    first_row : (identifiers,) int32
        The first row that carries an identifier, -1 where it is only named as a parent.
    child, parent : (edges,) int32
        Row of the child and identifier of the parent, in the order of the file.
    circular : dict
        Length of each sequence that a row calls circular, by its code.
    """

    seqids: list[str]
    types: list[str]
    strands: list[str]
    exceptions: list[str]
    seqid: np.ndarray
    type: np.ndarray
    strand: np.ndarray
    exception: np.ndarray
    kind: np.ndarray
    start: np.ndarray
    end: np.ndarray
    phase: np.ndarray
    part: np.ndarray
    transl_table: np.ndarray
    identifier: np.ndarray
    name: pa.Array
    names: pa.Array
    first_row: np.ndarray
    child: np.ndarray
    parent: np.ndarray
    circular: dict[int, int]

    def __len__(self) -> int:
        return len(self.start)


def read_features(annotation: pd.DataFrame | pa.Table | Path) -> Features:
    """Read the table that `import_annotation` writes, or one like it, as arrays.

    Parameters
    ----------
    annotation : DataFrame, Table or Path
        Columns of `table.SCHEMA`; source, score, attributes, part, transl_table, exception and circular
        may be missing.
    """
    identifier, child, parent, names = _hierarchy(_table(annotation, ["id", "parent"]))
    table = _table(annotation, _COLUMNS)
    seqid, seqids = _codes(table["seqid"])
    types, type_names = _codes(table["type"])
    strand, strands = _codes(table["strand"])
    exception, exceptions = _codes(table["exception"])
    end = table["end"].to_numpy()
    is_circular = np.flatnonzero(pc.fill_null(table["circular"], False).to_numpy())
    kinds = np.array([kind_of(name) for name in type_names], np.int8)
    return Features(
        seqids=seqids,
        types=type_names,
        strands=strands,
        exceptions=exceptions,
        seqid=seqid,
        type=types,
        strand=strand,
        exception=exception,
        kind=kinds[types] if len(kinds) else np.empty(0, np.int8),
        start=table["start"].to_numpy(),
        end=end,
        phase=_small(table["phase"]),
        part=_small(table["part"]),
        transl_table=_small(table["transl_table"]),
        identifier=identifier,
        name=table["name"].combine_chunks(),
        names=names,
        first_row=_first_rows(identifier, len(names)),
        child=child,
        parent=parent,
        circular={int(seqid[row]): int(end[row]) for row in is_circular},
    )


def _table(annotation: pd.DataFrame | pa.Table | Path, columns: list[str]) -> pa.Table:
    if isinstance(annotation, pd.DataFrame):
        schema = pa.schema([SCHEMA.field(name) for name in columns])
        return pa.Table.from_pandas(annotation.reindex(columns=columns), schema, preserve_index=False)
    if isinstance(annotation, pa.Table):
        return annotation.select(columns)
    # Read by one thread, a row group at a time: several hold several times the memory.
    return pq.read_table(annotation, columns=columns, read_dictionary=_REPEATED, use_threads=False, pre_buffer=False)


def _hierarchy(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray, pa.Array]:
    """Identifier of each row, rows of the children, identifiers of their parents, and names of the identifiers."""
    child, parents = _parents(table["parent"])
    identifier, parent, names = _identifiers(table["id"], parents)
    return identifier, child, parent, names


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Codes of the values by first appearance, -1 for null, and the values."""
    if len(column) == 0:
        return np.empty(0, np.int32), []
    if pa.types.is_dictionary(column.type):
        encoded = column.unify_dictionaries().combine_chunks()
    else:
        encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, encoded.dictionary.to_pylist()


def _small(column: pa.ChunkedArray) -> np.ndarray:
    numbers: np.ndarray = pc.fill_null(column.cast(pa.int16()), -1).to_numpy()
    return numbers


def _parents(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.ChunkedArray]:
    """Row and name of each parent; several are separated by commas, a comma within a name is `%2C`."""
    if not (pc.any(pc.match_substring(column, ",")).as_py() or pc.any(pc.match_substring(column, "%2C")).as_py()):
        return np.flatnonzero(column.is_valid().to_numpy()).astype(np.int32), column.drop_null()
    lists = pc.split_pattern(column.combine_chunks(), ",")
    names, rows = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    names = pc.replace_substring(names, "%2C", ",")
    named = pc.not_equal(names, "")
    kept = rows[named.to_numpy(zero_copy_only=False)].astype(np.int32)
    return kept, pa.chunked_array([names.filter(named)])


def _identifiers(own: pa.ChunkedArray, parents: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, pa.Array]:
    """Identifiers of the rows and of the parents as numbers, and their names."""
    encoded = pa.chunked_array([*own.chunks, *parents.chunks], pa.string()).dictionary_encode()
    names = encoded.chunk(encoded.num_chunks - 1).dictionary if encoded.num_chunks else pa.array([], pa.string())
    indices = pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32())
    codes = pc.fill_null(indices, -1).to_numpy()
    return codes[: len(own)], codes[len(own) :], names


def _first_rows(identifier: np.ndarray, count: int) -> np.ndarray:
    first = np.full(count, -1, np.int32)
    rows = np.flatnonzero(identifier >= 0)[::-1].astype(np.int32)
    first[identifier[rows]] = rows  # the last assignment, of the first row, stays
    return first
