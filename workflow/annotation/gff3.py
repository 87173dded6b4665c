"""Reading GFF3 and GTF in columns: each block of the file is checked and parsed as arrays, never line by line.

Formats: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md (version 1.26) and
https://mblab.wustl.edu/GTF22.html.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workflow.annotation.checks import check_block, check_ends
from workflow.annotation.columns import (
    ATTRIBUTES,
    SCORE,
    SEQID,
    SOURCE,
    STRAND,
    TYPE,
    Block,
    map_distinct,
    split_block,
)
from workflow.annotation.formats import recognise_format
from workflow.annotation.gtf import GTF_KEYS, DerivedFeatures, gtf_columns
from workflow.annotation.lines import line_blocks
from workflow.annotation.table import SCHEMA, ImportedAnnotation, table_writer
from workflow.console import Progress
from workflow.errors import InputError
from workflow.genome.files import BLOCK_BYTES
from workflow.genome.parallel import in_order

_KEYS = ("ID", "Parent", "Name", "part", "transl_table", "exception", "transl_except", "Is_circular")
_LARGEST_TABLE = 99


def import_annotation(
    source: Path, target: Path, lengths: dict[str, int], block_bytes: int = BLOCK_BYTES
) -> ImportedAnnotation:
    """Check a GFF3 or GTF file and write it as the Parquet table `annotation.parquet`.

    Columns: seqid, source, type, start and end (0-based half-open; on a circular sequence the end may lie
    past the sequence's length, up to twice of it), score, strand (`+`, `-`, `.` or `?`), phase (0 to 2 or
    null), id, parent (several joined by commas), name, part (of a trans-spliced feature), transl_table,
    exception (of the translation or splicing), circular (the row says that its sequence is), attributes
    (column 9 as it stands in the file). In id, parent, name and exception percent-encoding is undone, but for
    `%2C` in parent, where a comma separates.

    Of GTF, gene_id and transcript_id become id and parent; genes and transcripts that have no line of their own
    are added at the end, as long as what belongs to them.

    Parameters
    ----------
    source : Path
        GFF3 or GTF, told by what is in it, plain or gzip. Comments, blank lines and a FASTA part at the end are
        passed over.
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
    format = recognise_format(source)
    if format == "GenBank":
        raise InputError(f"{source}, line 1: a GenBank file brings its own sequences; give it as genome.fasta")
    if format == "FASTA":
        raise InputError(f"{source}, line 1: the file holds no features but sequences; give it as genome.fasta")
    return import_lines(source, line_blocks(source, block_bytes), target, lengths, format)


def import_lines(
    source: Path, blocks: Iterable[tuple[bytes, int]], target: Path, lengths: dict[str, int], format: str
) -> ImportedAnnotation:
    """Check blocks of whole lines and write them as `import_annotation` does.

    Parameters
    ----------
    source : Path
        The file they come from, for messages.
    blocks : iterable of (bytes, int)
        Lines, each ended by `\\n`, and the number of the first one.
    target, lengths
        As in `import_annotation`.
    format : str
        GFF3 or GTF.
    """
    rows, circular, past_end = 0, set[str](), list[tuple[int, str, int]]()
    derived = DerivedFeatures() if format == "GTF" else None
    parse = partial(_parse, source, lengths, format)
    with table_writer(target) as writer, Progress(f"reading {source.name}", unit="lines") as progress:
        for parsed in in_order(parse, blocks):
            writer.write_table(parsed.table)
            circular.update(parsed.circular)
            past_end.extend(parsed.past_end)
            rows += len(parsed.table)
            progress.advance(len(parsed.table))
            if derived is not None:
                derived.note(parsed.table, parsed.gene_ids)
        if derived is not None and rows:
            added = derived.table()
            writer.write_table(added)
            rows += len(added)
    if rows == 0:
        raise InputError(f"{source}, line 1: the file holds no features; is it {format}?")
    check_ends(source, past_end, frozenset(circular), lengths)
    return ImportedAnnotation(rows, frozenset(circular))


@dataclass(frozen=True)
class _Parsed:
    table: pa.Table
    circular: list[str]
    past_end: list[tuple[int, str, int]]
    gene_ids: pa.Array | None


def _parse(source: Path, lengths: dict[str, int], format: str, numbered: tuple[bytes, int]) -> _Parsed:
    """A block of lines as a table with the columns of SCHEMA."""
    text, line = numbered
    block = split_block(source, text, line)
    is_gtf = format == "GTF"
    values, holds_pairs = block.attributes(GTF_KEYS if is_gtf else _KEYS, is_gtf)
    if is_gtf:
        holds_pairs = values["gene_id"].is_valid().to_numpy(zero_copy_only=False)
    checked = check_block(source, block, lengths, holds_pairs, format)
    seqids, types = block.strings(SEQID), block.strings(TYPE)
    columns = {
        "seqid": seqids,
        "source": block.strings(SOURCE),
        "type": types,
        "start": pa.array(checked.start - 1),
        "end": pa.array(checked.end),
        "score": _scores(block),
        "strand": block.strings(STRAND),
        "phase": pa.array(checked.phase.astype(np.int8) - ord("0"), mask=checked.phase == ord(".")),
        "attributes": block.strings(ATTRIBUTES),
        **(gtf_columns(types, values) if is_gtf else _gff3_columns(values)),
    }
    arrays = [columns.get(field.name, pa.nulls(len(block), field.type)) for field in SCHEMA]
    table = pa.table(arrays, SCHEMA)
    circular = pc.unique(seqids.filter(table["circular"].combine_chunks())).to_pylist() if len(table) else []
    return _Parsed(table, circular, checked.past_end, values.get("gene_id"))


def _scores(block: Block) -> pa.Array:
    is_empty = block.letters(SCORE) == ord(".")
    if is_empty.all():
        return pa.nulls(len(block), pa.float64())
    return pc.if_else(pa.array(is_empty), pa.scalar(None, pa.string()), block.strings(SCORE)).cast(pa.float64())


def _gff3_columns(values: dict[str, pa.Array]) -> dict[str, pa.Array]:
    return {
        "id": _decoded(values["ID"]),
        "parent": _decoded(values["Parent"], keep="%2C"),
        "name": _decoded(values["Name"]),
        "part": map_distinct(values["part"], _first_number, pa.int16()),
        "transl_table": map_distinct(values["transl_table"], _genetic_code, pa.int8()),
        "exception": _decoded(pc.coalesce(values["exception"], values["transl_except"])),
        "circular": pc.equal(values["Is_circular"], "true"),
    }


def _decoded(strings: pa.Array, keep: str = "") -> pa.Array:
    """Undo percent-encoding; few values carry any, so only where one does are the distinct ones visited."""
    if not pc.any(pc.match_substring(strings, "%")).as_py():
        return strings
    return map_distinct(strings, partial(_unquoted, keep=keep), pa.string())


def _unquoted(value: str, keep: str) -> str:
    if not keep:
        return unquote(value)
    return keep.join(unquote(part) for part in value.replace(keep.lower(), keep).split(keep))


def _first_number(value: str) -> int | None:
    """The 1 of `part=1/2`."""
    number = value.partition("/")[0].strip()
    return int(number) if number.isdecimal() and len(number) < 5 else None


def _genetic_code(value: str) -> int | None:
    return int(value) if value.isdecimal() and int(value) <= _LARGEST_TABLE else None
