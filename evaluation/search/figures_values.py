"""Figures of the values: objectives against each other, and the best against the noise of seeds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.drawing.style import COLOURS, new_figure
from evaluation.search.looks import BEST, DEFAULT, TRIAL, axis_label, shown_range, ticks
from evaluation.search.noise import Noise
from evaluation.search.progress import pareto_front
from evaluation.search.reading import Study

_COLUMNS = 3
#: Other trials beside the best that the figure of its noise shows.
MOST_OTHERS = 20


def pareto(study: Study) -> Figure | None:
    """Every two objectives of the complete trials; None with one objective or without a complete trial."""
    pairs = list(combinations(range(len(study.objectives)), 2))
    if not pairs or study.best(0) is None:
        return None
    columns = min(_COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = new_figure(0.5 + rows * (3.0 if len(pairs) == 1 else 2.4))
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(pairs) :]:
        axes.set_visible(False)
    front = pareto_front(study)
    for axes, (first, second) in zip(panels.flat, pairs, strict=False):
        _pair(axes, study, front, first, second)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4, handlelength=1.4)
    return figure


def _pair(axes: Axes, study: Study, front: np.ndarray, first: int, second: int) -> None:
    """Two objectives; with only these two, a line borders what has been reached."""
    along, up = study.objectives[first], study.objectives[second]
    ends = [_ends(study.values[:, place], front, study.objectives[place].sign) for place in (first, second)]
    axes.set(xlim=ends[0], ylim=ends[1])
    x, y = (np.clip(study.values[:, place], *limits) for place, limits in zip((first, second), ends, strict=True))
    axes.scatter(x[~front], y[~front], label="complete", **TRIAL | {"color": COLOURS["kmer"]})
    if len(study.objectives) == 2:
        order = np.flatnonzero(front)[np.argsort(along.sign * x[front], kind="stable")]
        # From a point of the front only what is worse in the first objective is reached, at the same second one.
        axes.plot(x[order], y[order], color=COLOURS["base"], linewidth=0.8, drawstyle="steps-post", zorder=2)
    axes.scatter(x[front], y[front], label="Pareto front", **TRIAL | {"s": 24, "marker": "s", "zorder": 3})
    if study.default is not None:
        axes.scatter(x[study.default], y[study.default], label="default", **DEFAULT)
    best = study.best(0)
    axes.scatter(x[best], y[best], label=f"{study.objectives[0].best} {study.objectives[0].phrase}", **BEST)
    axes.set(xlabel=axis_label(along, 32), ylabel=axis_label(up, 32))
    axes.xaxis.set_major_locator(ticks(5))
    axes.yaxis.set_major_locator(ticks(5))


def _ends(values: np.ndarray, front: np.ndarray, sign: int) -> tuple[float, float]:
    """Ends of an axis that shows the whole front, and of the other trials most."""
    low, high = shown_range(values, sign)
    margin = 0.04 * (high - low)
    low, high = min(low, values[front].min(initial=high) - margin), max(high, values[front].max(initial=low) + margin)
    return float(low), float(high)


def seeds(study: Study, found: list[Noise | None]) -> Figure | None:
    """The best configuration with other seeds, beside the default and the trials next to the best; None without."""
    shown = [(place, noise) for place, noise in enumerate(found) if noise is not None]
    if not shown:
        return None
    best = study.best(0)
    assert best is not None
    rows = [
        "default configuration",
        f"trial {study.numbers[best]} in the search",
        "trained again, each seed",
        "mean and interval",
        "next best trials",
    ]
    figure = new_figure(0.5 + 1.75 * len(shown))
    panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, (place, noise) in zip(panels, shown, strict=True):
        objective, values = study.objectives[place], study.values[:, place]
        if study.default is not None:
            axes.scatter(values[study.default], 0, **DEFAULT)
            axes.axvline(values[study.default], color="black", linewidth=0.7, linestyle="--", zorder=0)
        axes.scatter(values[best], 1, **BEST)
        axes.scatter(noise.values, np.full(len(noise.values), 2), **TRIAL | {"s": 20, "alpha": 0.75})
        if noise.mean.defined:
            axes.plot([noise.mean.low, noise.mean.high], [3, 3], color=COLOURS["adapted"], linewidth=1.6)
            axes.axvspan(noise.mean.low, noise.mean.high, color=COLOURS["adapted"], alpha=0.1, linewidth=0, zorder=0)
        axes.plot(noise.mean.estimate, 3, marker="|", markersize=11, markeredgewidth=1.8, color=COLOURS["adapted"])
        others = np.sort(objective.sign * np.delete(values, best))[:MOST_OTHERS] * objective.sign
        axes.scatter(others, np.full(len(others), 4), **TRIAL | {"color": COLOURS["uniform"]})
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"{objective.axis}, {objective.better} is better")
        axes.xaxis.set_major_locator(ticks(6))
        axes.margins(x=0.06)
    return figure
