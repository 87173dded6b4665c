"""The annotation as a GFF3 file that browsers draw well."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq

from workflow.artifacts import InputError

_COLUMNS = ["seqid", "source", "type", "start", "end", "strand", "phase", "id", "parent", "name"]
_GENE = re.compile(r".*gene")
#: Rows that say only what sequence there is.
_LANDMARKS = {"region", "chromosome", "contig", "scaffold", "supercontig", "source"}
#: What stands unescaped in an attribute; the specification escapes tab, line ends, %, ; = & and the comma.
_SAFE = " !\"#$'()*+-./:<>?@[\\]^_`{|}~"


def write_gff3(annotation: Path, target: Path, lengths: Mapping[str, int], seqids: Collection[str]) -> int:
    """Write the features of some sequences, with their identifiers, parents and names. Returns how many lines.

    A gene that holds coding sequence directly, as those of bacteria and plastids do, gets a transcript for each of its
    rows: browsers draw parts together only under one. A feature that ends past the origin of a circular sequence
    becomes two lines of one ID, as browsers draw nothing beyond the end. Rows for whole sequences are left out.

    Parameters
    ----------
    annotation : Path
        `annotation.parquet` of the stage `prepare`.
    target : Path
        The file to write.
    lengths : mapping
        Length of each sequence by seqid.
    seqids : collection of str
        Sequences whose features are written.

    Raises
    ------
    InputError
        There is no such annotation.
    """
    if not annotation.exists():
        raise InputError(f"{annotation} does not exist: run stage=prepare again with force=true")
    transcripts = _without_transcripts(annotation, seqids)
    written = 0
    with target.open("w", encoding="utf-8") as file:
        file.write("##gff-version 3\n")
        for row in _rows(annotation, seqids):
            for line in _lines(row, transcripts, lengths[row["seqid"]]):
                file.write(line)
                written += 1
    return written


def _rows(annotation: Path, seqids: Collection[str]) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(annotation).iter_batches(columns=_COLUMNS):
        yield from (row for row in batch.to_pylist() if row["seqid"] in seqids and row["type"] not in _LANDMARKS)


def _without_transcripts(annotation: Path, seqids: Collection[str]) -> dict[str, list[tuple[str, int, int]]]:
    """Places (seqid, start, end) of each gene that is itself the parent of coding sequence."""
    coding = (row for row in _rows(annotation, seqids) if row["type"] == "CDS")
    parents = {parent for row in coding for parent in (row["parent"] or "").split(",")}
    places = defaultdict(list)
    for row in _rows(annotation, seqids):
        if row["id"] in parents and _GENE.fullmatch(row["type"]):
            places[row["id"]].append((row["seqid"], row["start"], row["end"]))
    return places


def _lines(row: Mapping[str, Any], transcripts: Mapping[str, list[tuple[str, int, int]]], length: int) -> Iterator[str]:
    """The lines of a row, and of the transcript of a gene that has none."""
    place = (row["seqid"], row["start"], row["end"])
    parents = (row["parent"] or "").split(",")
    if row["type"] == "CDS":
        parents = [_transcript(gene, transcripts[gene], place) if gene in transcripts else gene for gene in parents]
    yield from _feature(row, row["type"], row["id"], parents, length)
    if place in transcripts.get(row["id"], []):
        name = _transcript(row["id"], transcripts[row["id"]], place)
        yield from _feature(row, "mRNA", name, [row["id"]], length)


def _transcript(gene: str, rows: list[tuple[str, int, int]], place: tuple[str, int, int]) -> str:
    """Name of the transcript of that row of a gene that holds a place; of the first where none does."""
    seqid, start, end = place
    holds = [row[0] == seqid and row[1] <= start and end <= row[2] for row in rows]
    return f"{gene}.transcript{holds.index(True) + 1 if any(holds) else 1}"


def _feature(
    row: Mapping[str, Any], kind: str, identifier: str | None, parents: list[str], length: int
) -> Iterator[str]:
    # A comma within the name of a parent is %2C in the table.
    above = ",".join(_escaped(parent.replace("%2C", ",")) for parent in parents)
    pairs = [("ID", _escaped(identifier)), ("Parent", above), ("Name", _escaped(row["name"]))]
    attributes = ";".join(f"{key}={value}" for key, value in pairs if value) or "."
    phase = row["phase"] if row["phase"] is not None and kind == row["type"] else "."
    for start, end in ((row["start"], min(row["end"], length)), (0, row["end"] - length)):
        if start < end:
            columns = (row["seqid"], row["source"] or ".", kind, start + 1, end, ".", row["strand"] or ".", phase)
            yield "\t".join(map(str, columns)) + f"\t{attributes}\n"


def _escaped(value: str | None) -> str:
    return quote(value or "", safe=_SAFE)
