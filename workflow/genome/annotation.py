"""Reading GFF3 in columns: each block of the file is checked and parsed as arrays, never line by line.

Format: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md (version 1.26).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from workflow.console import Progress
from workflow.errors import InputError
from workflow.genome.files import BLOCK_BYTES
from workflow.genome.gff3_lines import data_lines
from workflow.genome.names import suggest_name

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
        ("attributes", pa.string()),
    ]
)
# Lets pandas read the phase as a nullable integer rather than as a float.
SCHEMA = pa.Table.from_pandas(
    SCHEMA.empty_table().to_pandas().astype({"phase": "Int8"}), schema=SCHEMA, preserve_index=False
).schema
_COLUMNS = ["seqid", "source", "type", "start", "end", "score", "strand", "phase", "attributes"]
_NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
_CIRCULAR = r"(^|;)\s*Is_circular=true"


@dataclass(frozen=True)
class ImportedAnnotation:
    """What was found while importing.

    Attributes
    ----------
    features : int
        Rows of the table.
    circular : frozenset of str
        Sequences that the file says are circular (`Is_circular=true`).
    """

    features: int
    circular: frozenset[str]


def import_annotation(
    source: Path, target: Path, lengths: dict[str, int], block_bytes: int = BLOCK_BYTES
) -> ImportedAnnotation:
    """Check a GFF3 file and write it as the Parquet table `annotation.parquet`.

    Columns: seqid, source, type, start and end (0-based half-open; on a circular sequence the end may lie
    past the sequence's length, up to twice of it), score, strand (`+`, `-`, `.` or `?`), phase (0 to 2 or
    null), id, parent (several joined by commas), name, attributes (column 9 as it stands in the file). In
    id, parent and name percent-encoding is undone, but for `%2C` in parent, where a comma separates.

    Parameters
    ----------
    source : Path
        GFF3, plain or gzip. Comments, blank lines and a FASTA part at the end are passed over.
    target : Path
        Parquet file to write.
    lengths : dict
        Bases of each sequence by seqid.
    block_bytes : int
        Bytes read at a time.

    Returns
    -------
    ImportedAnnotation

    Raises
    ------
    InputError
        A line that cannot be used; the message names file and line.
    """
    checks = _Checks(source, lengths)
    rows = 0
    with pq.ParquetWriter(target, SCHEMA) as writer, Progress(f"reading {source.name}", unit="lines") as progress:
        for text, lines in data_lines(source, block_bytes):
            table = _parse(source, text, lines)
            checks.check(table, lines)
            writer.write_table(_typed(table))
            rows += len(lines)
            progress.advance(len(lines))
    checks.finish()
    if rows == 0:
        raise InputError(f"{source}, line 1: the file holds no features; is it GFF3?")
    return ImportedAnnotation(rows, frozenset(checks.circular))


def write_empty_annotation(target: Path) -> ImportedAnnotation:
    """Write the table of a genome without annotation: the columns of `import_annotation`, no rows."""
    pq.write_table(SCHEMA.empty_table(), target)
    return ImportedAnnotation(0, frozenset())


def _parse(source: Path, text: bytes, lines: np.ndarray) -> pa.Table:
    """Data lines as a table of nine string columns."""
    try:
        return csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(column_names=_COLUMNS, block_size=max(len(text), 1)),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False, double_quote=False),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(_COLUMNS, pa.string())),
        )
    except pa.ArrowInvalid:
        line = next(line for line, row in zip(lines, text.split(b"\n"), strict=False) if not _is_utf8(row))
        raise InputError(f"{source}, line {line}: not UTF-8 text; convert the file with iconv") from None


def _is_utf8(row: bytes) -> bool:
    try:
        row.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _typed(table: pa.Table) -> pa.Table:
    """The checked strings as the columns of SCHEMA."""
    attributes = table["attributes"]
    columns = {
        "start": pc.subtract(table["start"].cast(pa.int64()), 1),
        "end": table["end"].cast(pa.int64()),
        "score": _dot_to_null(table["score"]).cast(pa.float64()),
        "phase": _dot_to_null(table["phase"]).cast(pa.int8()),
        "id": _decoded(_attribute(attributes, "ID")),
        "parent": _decoded(_attribute(attributes, "Parent"), keep="%2C"),
        "name": _decoded(_attribute(attributes, "Name")),
    }
    return pa.table([columns.get(name, table[name] if name in _COLUMNS else None) for name in SCHEMA.names], SCHEMA)


def _dot_to_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(column, "."), pa.scalar(None, pa.string()), column)


def _attribute(attributes: pa.ChunkedArray, key: str) -> pa.ChunkedArray:
    """Value of one attribute in each row, still percent-encoded; null where there is none."""
    found = pc.extract_regex(attributes, rf"(?:^|;)\s*{key}=(?P<value>[^;]*)")
    return pc.struct_field(found, "value")


def _decoded(column: pa.ChunkedArray, keep: str | None = None) -> pa.ChunkedArray:
    """Undo percent-encoding. Few values carry any, so only the distinct ones that do are visited."""
    if not pc.any(pc.match_substring(column, "%")).as_py():
        return column
    encoded = column.combine_chunks().dictionary_encode()
    values = [_unquote(value, keep) for value in encoded.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string()).take(encoded.indices)])


def _unquote(value: str, keep: str | None) -> str:
    if keep is None:
        return unquote(value)
    return keep.join(unquote(part) for part in value.replace(keep.lower(), keep).split(keep))


@dataclass
class _Checks:
    """Checks of the nine columns. What depends on a later line, circularity, is settled by `finish`."""

    source: Path
    lengths: dict[str, int]
    circular: set[str] = field(default_factory=set)
    past_end: list[tuple[int, str, int]] = field(default_factory=list)  # line, seqid, end

    def check(self, table: pa.Table, lines: np.ndarray) -> None:
        """Raise InputError for the first line of the block that breaks a rule."""
        faults = sorted((int(np.flatnonzero(~good)[0]), rule) for rule, good in self._rules(table) if not good.all())
        if faults:
            row, what = faults[0]
            values = {name: table[name][row].as_py() for name in _COLUMNS}
            seqid = values["seqid"]
            values["suggestion"] = suggest_name(seqid, self.lengths)
            raise InputError(f"{self.source}, line {lines[row]}: {what.format(**values)}")
        self._note_ends(table, lines)

    def _rules(self, table: pa.Table) -> Iterator[tuple[str, np.ndarray]]:
        """What is wrong where a rule is broken, and the mask of the rows that keep it."""
        known = pa.array(self.lengths, pa.string())
        yield "sequence {seqid} is not in the FASTA; {suggestion}", _mask(pc.is_in(table["seqid"], known))
        whole = {name: _matches(table[name], r"^[0-9]{1,18}$") for name in ("start", "end")}
        for name, good in whole.items():
            yield name + " {" + name + "} is not a whole number", good
        both = whole["start"] & whole["end"]
        start, end = (_whole_numbers(table[name], both) for name in ("start", "end"))
        yield "start {start} is less than 1", ~both | (start >= 1)
        yield "start {start} is past end {end}; GFF3 wants start ≤ end on either strand", ~both | (start <= end)
        score = pc.or_(pc.equal(table["score"], "."), pc.match_substring_regex(table["score"], _NUMBER))
        yield "score {score} is neither a number nor '.'", _mask(score)
        yield "strand {strand} is not one of + - . ?", _is_one_of(table["strand"], "+-.?")
        yield "phase {phase} is not one of 0 1 2 .", _is_one_of(table["phase"], "012.")
        keyed = pc.or_(pc.equal(table["attributes"], "."), pc.match_substring(table["attributes"], "="))
        yield "column 9 is not key=value; GTF must be converted to GFF3 first (gffread or AGAT)", _mask(keyed)

    def _note_ends(self, table: pa.Table, lines: np.ndarray) -> None:
        circular = table.filter(pc.match_substring_regex(table["attributes"], _CIRCULAR))
        self.circular.update(circular["seqid"].to_pylist())
        seqids = table["seqid"].combine_chunks().dictionary_encode()
        length = np.array([self.lengths[seqid] for seqid in seqids.dictionary.to_pylist()], np.int64)
        end = table["end"].cast(pa.int64()).to_numpy()
        for row in np.flatnonzero(end > length[seqids.indices.to_numpy()]):
            self.past_end.append((int(lines[row]), table["seqid"][row].as_py(), int(end[row])))

    def finish(self) -> None:
        """Raise InputError for the first feature that ends past its sequence."""
        for line, seqid, end in self.past_end:
            length = self.lengths[seqid]
            if seqid not in self.circular:
                raise InputError(
                    f"{self.source}, line {line}: end {end} is past the end of sequence {seqid} ({length} bases); "
                    "another assembly's annotation? (a circular sequence needs Is_circular=true on its region)"
                )
            if end > 2 * length:
                raise InputError(
                    f"{self.source}, line {line}: end {end} is past twice the length of circular sequence {seqid} "
                    f"({length} bases)"
                )


def _mask(column: pa.ChunkedArray) -> np.ndarray:
    mask: np.ndarray = column.to_numpy()
    return mask.astype(bool)


def _matches(column: pa.ChunkedArray, pattern: str) -> np.ndarray:
    return _mask(pc.match_substring_regex(column, pattern))


def _is_one_of(column: pa.ChunkedArray, letters: str) -> np.ndarray:
    return _mask(pc.is_in(column, pa.array(list(letters))))


def _whole_numbers(column: pa.ChunkedArray, good: np.ndarray) -> np.ndarray:
    """Numbers of the rows that hold one, 0 in the others."""
    values = pc.if_else(pa.array(good), column.combine_chunks(), "0").cast(pa.int64())
    numbers: np.ndarray = values.to_numpy()
    return numbers
