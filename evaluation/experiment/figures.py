"""Figures of the scores against measured values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.drawing.style import COLOURS, SEQUENTIAL_MAP, new_figure, plain, shortened
from evaluation.experiment.analysis import Experiment
from evaluation.page.text import bracketed
from evaluation.statistics.bootstrap import Interval

#: More rows than this are drawn as densities.
MOST_POINTS = 2000
_HEXAGONS = 40
_LONGEST_TITLE, _LONGEST_AXIS, _LONGEST_LABEL = 44, 30, 23
_MARKERS = {"base": "o", "adapted": "^", "markov": "s", "kmer": "D"}
_MEASURES = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "partial_pearson": "Pearson,\ngiven GC and length",
    "partial_spearman": "Spearman,\ngiven GC and length",
}


def scatter(experiment: Experiment, labels: Mapping[str, str]) -> Figure:
    """Measured value against each score, a panel for each model and baseline; hexagons beyond 2,000 rows."""
    number = len(experiment.scores)
    wide = number if number < 4 else 2
    rows = -(-number // wide)
    figure = new_figure(0.2 + 2.6 * rows)
    panels = figure.subplots(rows, wide, sharey=True, squeeze=False).ravel()
    values = experiment.table["value"].to_numpy(np.float64)
    densities = []
    for axes, name in zip(panels, experiment.scores, strict=False):
        found = experiment.correlations[name]
        axes.set_title(
            f"{_short(labels[name], _LONGEST_TITLE)}\nPearson {bracketed(found.pearson)}\n"
            f"Spearman {bracketed(found.spearman)}",
            fontsize=8,
            fontweight="normal",
        )
        axes.set_xlabel("predicted value (out of fold)" if name == "kmer" else "mean log-likelihood (nats per base)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        densities.append(_draw_rows(axes, experiment.score(name), values, COLOURS[name]))
    for axes in panels[number:]:
        axes.set_visible(False)
    for axes in panels[::wide]:
        axes.set_ylabel(_short(experiment.value_name, _LONGEST_AXIS))
    _share_colours(figure, panels, [drawn for drawn in densities if drawn is not None])
    return figure


def _draw_rows(axes: Axes, scores: np.ndarray, values: np.ndarray, colour: str) -> PolyCollection | None:
    """Draw dots, or hexagons, which are returned."""
    drawn = np.isfinite(scores)
    if not drawn.any():
        axes.text(0.5, 0.5, "no prediction:\ntoo few rows", ha="center", va="center", transform=axes.transAxes)
        axes.set_xticks([])
    elif drawn.sum() > MOST_POINTS:
        return axes.hexbin(
            scores[drawn], values[drawn], gridsize=_HEXAGONS, mincnt=1, cmap=SEQUENTIAL_MAP, linewidths=0.1
        )
    else:
        axes.scatter(scores[drawn], values[drawn], s=10, color=colour, alpha=0.6, linewidths=0, rasterized=True)
    return None


def _share_colours(figure: Figure, panels: np.ndarray, densities: list[PolyCollection]) -> None:
    """One scale of colours for all panels."""
    if not densities:
        return
    norm = LogNorm(1, max(float(np.asarray(density.get_array()).max()) for density in densities))
    for density in densities:
        density.set_norm(norm)
    bar = figure.colorbar(densities[0], ax=panels, label="rows in a hexagon", pad=0.01, aspect=40)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def forest(experiment: Experiment, labels: Mapping[str, str]) -> Figure:
    """Every correlation with its interval, models beside baselines; and beside them the paired differences."""
    pairs = experiment.pairs()
    places = len(_MEASURES) * (len(experiment.scores) + 1)
    figure = new_figure(max(0.9 + 0.14 * places, 0.9 + 0.42 * len(pairs)))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    ticks = []
    for block, measure in enumerate(_MEASURES):
        first = block * (len(experiment.scores) + 1)
        ticks.append(first + (len(experiment.scores) - 1) / 2)
        for row, name in enumerate(experiment.scores):
            found: Interval = getattr(experiment.correlations[name], measure)
            label = _short(labels[name], _LONGEST_LABEL) if block == 0 else None
            _draw_interval(left, first + row, found, COLOURS[name], _MARKERS[name], label)
    left.set_yticks(ticks, list(_MEASURES.values()))
    left.set(xlabel="correlation with the measured value", ylim=(places - 1.5, -0.8))
    for row, pair in enumerate(pairs):
        _draw_interval(right, row, experiment.differences[pair], COLOURS[pair[0]], _MARKERS[pair[0]], None)
    names = ["\n− ".join(_short(labels[name], _LONGEST_LABEL) for name in pair) for pair in pairs]
    right.set_yticks(range(len(pairs)), names)
    right.set(xlabel="difference of Spearman", ylim=(len(pairs) - 0.4, -0.6))
    for axes in (left, right):
        axes.axvline(0, color="#333333", linewidth=0.8, zorder=0)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    figure.legend(loc="outside upper left", ncols=len(experiment.scores), handlelength=1.2)
    return figure


def _draw_interval(axes: Axes, place: float, found: Interval, colour: str, marker: str, label: str | None) -> None:
    axes.scatter([found.estimate], [place], s=20, color=colour, marker=marker, label=label, zorder=3)
    if found.defined:
        axes.hlines(place, found.low, found.high, color=colour, linewidth=1.4)


def _short(name: str, longest: int) -> str:
    return plain(shortened(name, longest))
