"""Gene models of a region, read from the annotation that the stage `prepare` published."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from workflow.artifacts import InputError

_COLUMNS = ["type", "start", "end", "strand", "id", "parent", "name"]
_CDS = re.compile(r"(pseudogenic_)?CDS|stop_codon")
_EXON = re.compile(r"([a-z]+_)*exon|.*UTR|.*_utr")
_TRANSCRIPT = re.compile(r"mRNA.*|.*RNA|.*transcript|.*gene_segment|ribozyme")
_GENE = re.compile(r".*gene")


@dataclass(frozen=True, eq=False)
class GeneModel:
    """A transcript on one stretch of a sequence, or what is known of a gene without any.

    Coordinates are 0-based half-open on the forward strand; a model may reach beyond the region that was asked for.

    Attributes
    ----------
    gene : str
        What its gene is called: name, or identifier; empty where it has neither.
    strand : str
        `+`, `-`, or `.` where unknown.
    start, end : int
        Of the transcript.
    exons, cds : ndarray, (n, 2) int64
        Start and end of each part, sorted; exons include the coding part.
    """

    gene: str
    strand: str
    start: int
    end: int
    exons: np.ndarray
    cds: np.ndarray


@dataclass(frozen=True)
class _Feature:
    kind: str
    start: int
    end: int
    strand: str
    identifier: str
    parents: tuple[str, ...]
    name: str


def read_genes(annotation: Path, seqid: str, start: int, end: int, length: int) -> list[GeneModel]:
    """Gene models that overlap a region, sorted by start; only rows near it are kept in memory.

    A part belongs to the row of its parent that holds it: a trans-spliced gene, which has several rows of one ID, is
    one model a row. A part without a parent is a model by its ID. A gene or transcript without parts is one exon.
    Equal models are given once.

    Parameters
    ----------
    annotation : Path
        `annotation.parquet` of the stage `prepare`.
    seqid, start, end : str, int, int
        The region, 0-based half-open.
    length : int
        Of the sequence; a feature of a circular one that ends past it goes on at its start.

    Raises
    ------
    InputError
        There is no such file.
    """
    if not annotation.exists():
        raise InputError(f"{annotation} does not exist: run stage=prepare again with force=true")
    features = _overlapping(annotation, seqid, start, end, length)
    wholes = [f for f in features if _is_model(f.kind)]
    reach = min((f.start for f in wholes), default=start), max((f.end for f in wholes), default=end)
    if reach[0] < start or reach[1] > end:
        # The exons of a gene may lie outside, with the region in its intron.
        features = _overlapping(annotation, seqid, *reach, length)
    models = {_key(model): model for model in _models(features) if model.start < end and model.end > start}
    return [models[key] for key in sorted(models)]


def _key(model: GeneModel) -> tuple[object, ...]:
    return model.start, model.end, model.gene, model.strand, model.exons.tobytes(), model.cds.tobytes()


def _overlapping(annotation: Path, seqid: str, start: int, end: int, length: int) -> list[_Feature]:
    """Features that overlap a stretch, in the order of the file."""
    turns = (0, length)
    filters = [[("seqid", "==", seqid), ("start", "<", end + turn), ("end", ">", start + turn)] for turn in turns]
    table = pq.read_table(annotation, columns=_COLUMNS, filters=filters, use_threads=False)
    turned = (feature for row in table.to_pylist() for feature in _turned(row, length))
    return [feature for feature in turned if feature.start < end and feature.end > start]


def _turned(row: dict[str, object], length: int) -> Iterator[_Feature]:
    """The feature, and once more a turn before when it ends past the origin of a circular sequence."""
    start, end = int(str(row["start"])), int(str(row["end"]))
    kind, strand, identifier, name = (str(row[key] or "") for key in ("type", "strand", "id", "name"))
    # A comma within a name is written %2C.
    parents = tuple(parent.replace("%2C", ",") for parent in str(row["parent"] or "").split(",") if parent)
    for turn in (0, length)[: 1 + (end > length)]:
        yield _Feature(kind, start - turn, end - turn, strand, identifier, parents, name)


def _models(features: list[_Feature]) -> Iterator[GeneModel]:
    rows: dict[str, list[_Feature]] = defaultdict(list)
    for feature in features:
        if feature.identifier:
            rows[feature.identifier].append(feature)
    parts: dict[str, list[_Feature]] = defaultdict(list)
    for feature in features:
        if _CDS.fullmatch(feature.kind) or _EXON.fullmatch(feature.kind):
            for parent in _owners(feature, rows):
                parts[parent].append(feature)
    with_children = {parent for feature in features for parent in feature.parents}
    for parent, children in parts.items():
        yield from _of_parent(_name(parent, rows), _spans(rows[parent], children), children)
    for feature in features:
        if _is_model(feature.kind) and feature.identifier not in with_children:
            name = _name(feature.identifier, rows) or feature.name
            yield _model(name, feature.strand, feature.start, feature.end, [])


def _owners(part: _Feature, rows: dict[str, list[_Feature]]) -> tuple[str, ...]:
    """Identifiers of the transcripts and genes that a part belongs to, without the proteins that some files name too.

    An exon that belongs to nothing is no gene model; a coding sequence is one by itself.
    """
    if not part.parents:
        return (part.identifier,) if _CDS.fullmatch(part.kind) else ()
    known = [p for p in part.parents if any(_is_model(row.kind) for row in rows.get(p, []))]
    return tuple(known) or part.parents


def _is_model(kind: str) -> bool:
    return bool(_TRANSCRIPT.fullmatch(kind) or _GENE.fullmatch(kind))


def _spans(rows: list[_Feature], children: list[_Feature]) -> list[_Feature]:
    """The rows of a parent that are no parts themselves; where it has none, the parts of each strand together."""
    spans = [row for row in rows if not _CDS.fullmatch(row.kind)]
    if spans:
        return spans
    by_strand: dict[str, list[_Feature]] = defaultdict(list)
    for child in children:
        by_strand[child.strand].append(child)
    return [
        _Feature("", min(child.start for child in group), max(child.end for child in group), strand, "", (), "")
        for strand, group in by_strand.items()
    ]


def _of_parent(gene: str, spans: list[_Feature], children: list[_Feature]) -> Iterator[GeneModel]:
    """One model a row of the parent, of the parts that lie within it."""
    for span in spans:
        inside = [child for child in children if span.start <= child.start and child.end <= span.end]
        if inside:
            yield _model(gene, span.strand, span.start, span.end, inside)


def _model(gene: str, strand: str, start: int, end: int, parts: Iterable[_Feature]) -> GeneModel:
    cds = _intervals((part.start, part.end) for part in parts if _CDS.fullmatch(part.kind))
    exons = _intervals((part.start, part.end) for part in parts)
    if not len(exons):
        exons = np.array([[start, end]])
    return GeneModel(gene, strand if strand in ("+", "-") else ".", start, end, exons, cds)


def _intervals(pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Sorted, and put together where they overlap or touch: (n, 2)."""
    merged: list[list[int]] = []
    for start, end in sorted(pairs):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return np.array(merged, np.int64).reshape(-1, 2)


def _name(identifier: str, rows: dict[str, list[_Feature]]) -> str:
    """Name of the gene above a feature, or its identifier; the feature's own where no gene was read."""
    seen = {identifier}
    top = identifier
    while above := next((p for row in rows.get(top, []) for p in row.parents if p in rows and p not in seen), None):
        seen.add(above)
        top = above
    return next((row.name for row in rows.get(top, []) if row.name), top)
