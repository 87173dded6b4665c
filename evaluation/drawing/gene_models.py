"""Gene models as a row of boxes beneath a figure of a region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.markers import CARETLEFTBASE, CARETRIGHTBASE

from evaluation.artefacts.genes import GeneModel
from evaluation.drawing.style import COLOURS, PAGE_WIDTH, plain, shortened

#: Rows that genes take at most.
_MOST_ROWS = 6
#: Inches of a row with names and of one without, and the least that genes take.
_ROW, _BARE_ROW, _LEAST = 0.27, 0.14, 0.2
_LABEL_POINTS = 6.5
#: Inches that a letter of that size takes, and the part of the page's width that axes take.
_LETTER, _AXES_WIDTH = 0.062, 0.86 * PAGE_WIDTH
_LONGEST_NAME = 24
#: Heights of parts, of a row's height above its names.
_CDS, _EXON = 0.62, 0.34
#: Inches between two chevrons of an intron; sizes of a chevron and of the triangle at an end, in points.
_STEP, _CHEVRON, _TIP = 0.14, 2.6, 4
_EXON_COLOUR = "#9A9A9A"


@dataclass(frozen=True)
class PackedGenes:
    """Gene models on rows, such that none hides another.

    Attributes
    ----------
    models : list of GeneModel
    rows : list of int
        Row of each model, 0 on top.
    named : bool
        Whether every row has room for names below.
    left_out : int
        Models that are not drawn for want of room.
    start, end : int
        The region.
    """

    models: list[GeneModel]
    rows: list[int]
    named: bool
    left_out: int
    start: int
    end: int

    @property
    def height(self) -> float:
        """Inches that the axes need."""
        return max(_LEAST, (max(self.rows, default=-1) + 1) * (_ROW if self.named else _BARE_ROW))


def pack(models: Sequence[GeneModel], start: int, end: int) -> PackedGenes:
    """Find a row for each model of a region, and what can be shown of them.

    All transcripts with their genes' names when `_MOST_ROWS` rows suffice; else one transcript a gene, that with the
    longest coding sequence; else these without names; else as many of them as fit.

    Parameters
    ----------
    models : sequence of GeneModel
        In any order.
    start, end : int
        The region, 0-based half-open.
    """
    inside = sorted((m for m in models if m.start < end and m.end > start), key=lambda m: (m.start, m.end, m.gene))
    chosen = _representatives(inside)
    for shown in (inside, chosen):
        rows = _rows(shown, start, end, named=True)
        if None not in rows:
            return PackedGenes(shown, [row for row in rows if row is not None], True, 0, start, end)
    placed = zip(chosen, _rows(chosen, start, end, named=False), strict=True)
    kept = [(model, row) for model, row in placed if row is not None]
    return PackedGenes([m for m, _ in kept], [row for _, row in kept], False, len(chosen) - len(kept), start, end)


def draw_gene_models(axes: Axes, genes: PackedGenes) -> None:
    """Draw coding parts as high boxes, other exons as low ones, introns as lines with the direction of transcription.

    A triangle stands where a model ends in the direction of transcription.
    """
    pitch = 1.0 if genes.named else _BARE_ROW / _ROW
    n_rows = max(genes.rows, default=0) + 1
    boxes: dict[str, list[list[tuple[float, float]]]] = {_EXON_COLOUR: [], COLOURS["genome"]: []}
    chevrons: dict[str, list[tuple[float, float]]] = {"+": [], "-": []}
    tips: dict[str, list[tuple[float, float]]] = {"+": [], "-": []}
    step = (genes.end - genes.start) * _STEP / _AXES_WIDTH
    for model, row in zip(genes.models, genes.rows, strict=True):
        middle = row * pitch + 0.3 * pitch
        left, right = max(model.start, genes.start), min(model.end, genes.end)
        axes.plot([left - 0.5, right - 0.5], [middle] * 2, color=COLOURS["genome"], linewidth=0.6, zorder=1)
        for parts, height, colour in ((model.exons, _EXON, _EXON_COLOUR), (model.cds, _CDS, COLOURS["genome"])):
            boxes[colour] += [
                _box(max(first, genes.start) - 0.5, min(last, genes.end) - 0.5, middle, height * 0.6)
                for first, last in parts.tolist()
                if first < genes.end and last > genes.start
            ]
        if model.strand in tips:
            chevrons[model.strand] += [(x, middle) for x in _along_introns(model, left, right, step)]
            tip = model.end if model.strand == "+" else model.start
            if genes.start <= tip <= genes.end:
                tips[model.strand].append((tip - 0.5, middle))
    for colour, polygons in boxes.items():
        axes.add_collection(PolyCollection(polygons, facecolors=colour, edgecolors="none", zorder=2), autolim=False)
    for strand, (chevron, triangle) in {"+": ("$>$", CARETRIGHTBASE), "-": ("$<$", CARETLEFTBASE)}.items():
        for points, marker, size in (
            (chevrons, chevron, _CHEVRON),
            (tips, triangle, _TIP if genes.named else _CHEVRON),
        ):
            if points[strand]:
                axes.plot(
                    *zip(*points[strand], strict=True),
                    linestyle="",
                    marker=marker,
                    markersize=size,
                    color=COLOURS["genome"],
                    markeredgewidth=0.3,
                    clip_on=False,
                    zorder=3,
                )
    if genes.named:
        _write_names(axes, genes)
    if genes.left_out:
        axes.text(1, 1, f"{genes.left_out:,} more not drawn", transform=axes.transAxes, ha="right", fontsize=6.5)
    axes.set(ylim=(n_rows * pitch, -0.08), yticks=[])
    axes.set_ylabel("genes" if genes.models else "no genes", rotation=0, ha="right", va="center")
    axes.spines["left"].set_visible(False)


def _representatives(models: Sequence[GeneModel]) -> list[GeneModel]:
    """One model a gene and strand: of those that overlap, that with the most coding bases, then the most bases."""
    chosen: list[GeneModel] = []
    latest: dict[tuple[str, str], int] = {}
    for model in models:
        place = latest.get((model.gene, model.strand))
        if place is None or not model.gene or chosen[place].end <= model.start:
            latest[model.gene, model.strand] = len(chosen)
            chosen.append(model)
        elif _size(model) > _size(chosen[place]):
            chosen[place] = model
    return chosen


def _size(model: GeneModel) -> tuple[int, int]:
    """Coding bases, then bases of exons."""
    return _bases(model.cds), _bases(model.exons)


def _bases(parts: np.ndarray) -> int:
    return int((parts[:, 1] - parts[:, 0]).sum())


def _rows(models: Sequence[GeneModel], start: int, end: int, named: bool) -> list[int | None]:
    """The first row that is free where each model, and its name if that is to be shown, lies; None where none is."""
    letter = (end - start) * _LETTER / _AXES_WIDTH
    taken = [float("-inf")] * _MOST_ROWS
    rows: list[int | None] = []
    for model in models:
        left, right = float(max(model.start, start)), float(min(model.end, end))
        if named:
            half = (len(_label(model)) + 1) * letter / 2
            middle = _name_place(left, right, half, start, end)
            left, right = min(left, middle - half), max(right, middle + half)
        row = next((row for row, until in enumerate(taken) if until <= left), None)
        if row is not None:
            taken[row] = right + 1.5 * letter
        rows.append(row)
    return rows


def _name_place(left: float, right: float, half: float, start: int, end: int) -> float:
    """Middle of a name: that of its model, but within the region."""
    return min(max((left + right) / 2, start + half), max(end - half, start + half))


def _label(model: GeneModel) -> str:
    return shortened(model.gene, _LONGEST_NAME)


def _write_names(axes: Axes, genes: PackedGenes) -> None:
    letter = (genes.end - genes.start) * _LETTER / _AXES_WIDTH
    for model, row in zip(genes.models, genes.rows, strict=True):
        left, right = max(model.start, genes.start), min(model.end, genes.end)
        place = _name_place(left, right, len(_label(model)) * letter / 2, genes.start, genes.end)
        axes.text(
            place, row + 0.57, plain(_label(model)), ha="center", va="top", fontsize=_LABEL_POINTS, style="italic"
        )


def _box(left: float, right: float, middle: float, height: float) -> list[tuple[float, float]]:
    low, high = middle - height / 2, middle + height / 2
    return [(left, low), (right, low), (right, high), (left, high)]


def _along_introns(model: GeneModel, left: float, right: float, step: float) -> list[float]:
    """Places of chevrons: evenly spaced on the lines between exons."""
    edges = [left, *np.clip(model.exons, left, right).ravel().tolist(), right]
    places: list[float] = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        number = int((last - first) // step)
        places += (first + (np.arange(number) + 0.5) * (last - first) / max(number, 1)).tolist()
    return places
