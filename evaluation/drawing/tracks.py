"""Entropy of the next base along a region, with gene models beneath."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.artefacts.genes import GeneModel
from evaluation.drawing.binning import binned_mean, binned_quartiles, columns, running_mean
from evaluation.drawing.gene_models import draw_gene_models, pack
from evaluation.drawing.region import Region
from evaluation.drawing.style import COLOURS, label_positions, new_figure, place_legend_above
from evaluation.per_base.scores import entropy_bits

#: Bases up to which each is drawn: the period of three in coding sequence is then seen.
MOST_SINGLE_BASES = 2_000
#: Bases up to which single values need no running mean beside them.
_MOST_CLEAR_BASES = 150
_PANEL, _BELOW = 1.75, 0.75


def entropy_track(
    region: Region, labels: dict[str, str], genes: Sequence[GeneModel], shaded: tuple[int, int] | None
) -> Figure:
    """Entropy of the next base under every model, in bits.

    Of the distribution renormalised over A, C, G, T (`evaluation.per_base.scores.entropy_bits`). Up to
    `MOST_SINGLE_BASES` bases: each one as a thin line, and a running mean over whole codons; of a longer region the
    mean and the quartiles of columns.

    Parameters
    ----------
    region : Region
    labels : dict
        What each model is called.
    genes : sequence of GeneModel
        Of the region.
    shaded : tuple of int or None
        Start and end of a part that another figure shows.
    """
    packed = pack(genes, region.start, region.end)
    figure = new_figure(_PANEL + packed.height + _BELOW)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[_PANEL, packed.height])
    draw = _draw_bases if len(region) <= MOST_SINGLE_BASES else _draw_columns
    for model, values in region.logprobs.items():
        draw(axes, entropy_bits(values), region.start, COLOURS[model], labels[model])
    axes.axhline(2, color=COLOURS["uniform"], linestyle=":", label="knows nothing (2 bits)")
    if shaded is not None:
        axes.axvspan(shaded[0] - 0.5, shaded[1] - 0.5, color="#000000", alpha=0.07, linewidth=0)
    axes.set(ylabel="entropy (bits)", ylim=(0, 2.08))
    place_legend_above(axes, 4)
    draw_gene_models(below, packed)
    below.set_xlim(region.start - 0.5, region.end - 0.5)
    label_positions(below, region.seqid, len(region))
    return figure


def reading(region: Region) -> str:
    """What the lines of `entropy_track` are, for a caption."""
    if len(region) <= _MOST_CLEAR_BASES:
        return "Lines join single bases."
    if len(region) <= MOST_SINGLE_BASES:
        return f"Thin lines are single bases, thick lines running means over {_span(len(region))} bases."
    width = int(np.diff(columns(len(region)))[0])
    return f"Lines are means over columns of {width:,} bases, bands their quartiles."


def _draw_bases(axes: Axes, entropy: np.ndarray, start: int, colour: str, label: str) -> None:
    positions = start + np.arange(len(entropy))
    if len(entropy) <= _MOST_CLEAR_BASES:
        axes.plot(positions, entropy, color=colour, label=label, linewidth=1.0)
        return
    axes.plot(positions, entropy, color=colour, linewidth=0.4, alpha=0.25)
    axes.plot(positions, running_mean(entropy, _span(len(entropy))), color=colour, label=label, linewidth=1.1)


def _span(bases: int) -> int:
    """Bases of the running mean: whole codons, about a fiftieth of the figure."""
    return max(bases // 150, 1) * 3


def _draw_columns(axes: Axes, entropy: np.ndarray, start: int, colour: str, label: str) -> None:
    edges = columns(len(entropy))
    middles = start + (edges[:-1] + edges[1:] - 1) / 2
    low, high = binned_quartiles(entropy, edges)
    axes.fill_between(middles, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(middles, binned_mean(entropy, edges), color=colour, label=label, linewidth=0.9)
