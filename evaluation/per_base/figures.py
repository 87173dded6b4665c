"""Figures of the per-base and per-window scores."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.drawing.style import COLOURS, new_figure
from evaluation.per_base.scores import UNIFORM_NLL, WindowScores
from evaluation.statistics.bootstrap import Interval

_MOST_POINTS = 100


def score_distributions(scores: WindowScores, labels: dict[str, str], gain: Interval | None) -> Figure:
    """Mean NLL per window of each model, as histogram and violin, and the paired gain per window."""
    panels_wide = 3 if gain is not None else 2
    figure = new_figure(2.9)
    panels = figure.subplots(1, panels_wide)
    values = {model: scores.per_base(model) for model in scores.models}
    edges = _edges(np.concatenate(list(values.values())))
    for model, per_window in values.items():
        panels[0].hist(per_window, edges, histtype="stepfilled", color=COLOURS[model], alpha=0.25, linewidth=0)
        panels[0].hist(per_window, edges, histtype="step", color=COLOURS[model], label=labels[model], linewidth=1.2)
    panels[0].axvline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", label="uniform guess")
    panels[0].set(xlabel="NLL (nats per base)", ylabel="windows", title="a")
    panels[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    for place, (model, per_window) in enumerate(values.items()):
        _draw_violin(panels[1], place, per_window, COLOURS[model])
    panels[1].axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":")
    names = [labels[model] for model in values]
    panels[1].set_xticks(range(len(values)), names, rotation=30, ha="right", rotation_mode="anchor")
    panels[1].set(xlim=(-0.6, len(values) - 0.4), ylabel="NLL (nats per base)", title="b")
    if gain is not None:
        _draw_gain_histogram(panels[2], scores.gain("adapted", "base"), gain)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(names), handlelength=1.6)
    return figure


def _draw_violin(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    # A density of fewer than three different values would be an invention.
    if len(np.unique(values)) >= 3:
        body = axes.violinplot(values, [place], widths=0.8, showextrema=False)
        for part in body["bodies"]:  # type: ignore[attr-defined]
            part.set(facecolor=colour, alpha=0.3, edgecolor=colour, linewidth=0.8)
    if len(values) <= _MOST_POINTS:
        # The golden ratio spreads any number of points evenly and the same way in every run.
        jitter = ((np.arange(len(values)) * 0.618034 + 0.5) % 1 - 0.5) * 0.28
        axes.scatter(place + jitter, values, s=5, color=colour, alpha=0.7, linewidths=0)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    axes.vlines(place, low, high, color="#222222", linewidth=3)
    axes.scatter([place], [middle], s=14, color="white", edgecolors="#222222", linewidths=0.8, zorder=3)


def _draw_gain_histogram(axes: Axes, gains: np.ndarray, gain: Interval) -> None:
    axes.hist(gains, _edges(gains).tolist(), color=COLOURS["adapted"], alpha=0.55, edgecolor="white", linewidth=0.5)
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.axvline(gain.estimate, color=COLOURS["adapted"], linewidth=1.4)
    if gain.defined:
        axes.axvspan(gain.low, gain.high, color=COLOURS["adapted"], alpha=0.2, linewidth=0)
    axes.set(xlabel="gain, adapted over base\n(nats per base)", ylabel="windows", title="c")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _edges(values: np.ndarray) -> np.ndarray:
    """Histogram edges: Freedman–Diaconis or Sturges, whichever is finer, but 10 to 60 bins."""
    bins = len(np.histogram_bin_edges(values, "auto")) - 1
    edges: np.ndarray = np.histogram_bin_edges(values, min(max(bins, 10), 60))
    return edges
