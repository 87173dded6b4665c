"""The windows in order of their gain, and what their GC and length have to do with it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from evaluation.drawing.binning import binned_mean, columns
from evaluation.drawing.style import COLOURS, new_figure, place_legend_above, plain, shortened
from evaluation.page.text import number
from evaluation.per_base.scores import BASE_COLUMN, UNIFORM_NLL, WindowScores
from workflow.artifacts import PerBaseScores

_NAMED_AT_EACH_END = 3
_LONGEST_NAME = 36
#: Points of the baseline's line.
_BASELINE_GROUPS = 40
#: Windows up to which each is a dot.
_MOST_DOTS = 400
#: A median of fewer windows is an accident; more groups than this are not read.
_LEAST_IN_GROUP, _MOST_GROUPS = 8, 12
_CHUNK_POSITIONS = 1 << 24


def window_gc(store: PerBaseScores) -> np.ndarray:
    """Share of G and C among the A, C, G, T of each window, (windows,); NaN for a window without any."""
    lengths = store.index["length"].to_numpy(np.int64)
    ends = np.cumsum(lengths)
    gc, known = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    chunk = (ends - lengths) // _CHUNK_POSITIONS
    for rows in np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(chunk)) + 1):
        first = int(ends[rows[0]] - lengths[rows[0]])
        # Mapped anew, so that the pages of a large file leave this process again.
        mapped = np.load(store.folder / "bases.npy", mmap_mode="r", allow_pickle=False)
        codes = BASE_COLUMN[mapped[first : ends[rows[-1]]]]
        borders = ends[rows] - lengths[rows] - first
        known[rows] = np.add.reduceat(codes < 4, borders, dtype=np.int64)
        gc[rows] = np.add.reduceat((codes == 1) | (codes == 2), borders, dtype=np.int64)
    shares: np.ndarray = np.divide(gc, known, out=np.full(len(gc), np.nan), where=known > 0)
    return shares


def ranked_list(scores: WindowScores, labels: Mapping[str, str]) -> Figure:
    """Gain of every window, the largest first, with the names of both ends.

    The line is the Markov baseline over the same reference, as means over neighbours in the ranking; a run whose only
    model is compared with that baseline has none.

    Parameters
    ----------
    scores : WindowScores
    labels : mapping
        What each model is called.
    """
    model, reference = scores.main_pair
    gains = scores.gain(model, reference)
    order = np.argsort(-gains, kind="stable")
    ranked = gains[order]
    figure = new_figure(2.7)
    axes, beside = figure.subplots(1, 2, width_ratios=[2.2, 1])
    edges = columns(len(ranked))
    heights = binned_mean(ranked, edges)
    for name, part in ((model, np.maximum(heights, 0)), (reference, np.minimum(heights, 0))):
        axes.stairs(part, edges + 0.5, fill=True, color=COLOURS[name], alpha=0.75, linewidth=0)
    if reference != "markov":
        edges = np.unique(np.linspace(0, len(ranked), _BASELINE_GROUPS + 1).astype(int))
        baseline = binned_mean(scores.gain("markov", reference)[order], edges)
        label = f"{labels['markov']} over {labels[reference]}"
        middles = (edges[:-1] + edges[1:] + 1) / 2
        axes.plot(middles, baseline, color=COLOURS["markov"], marker="o", markersize=2.5, linewidth=1, label=label)
        place_legend_above(axes, 1)
    axes.axhline(0, color="#333333", linewidth=0.7)
    axes.set(
        xlabel=f"rank of the window (n = {len(ranked):,})",
        ylabel=f"gain, {labels[model]} over\n{labels[reference]} (nats per base)",
        xlim=(0.5, len(ranked) + 0.5),
    )
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    _name_ends(beside, scores.table["sequence_id"].astype(str).to_numpy()[order], ranked)
    return figure


def _name_ends(axes: Axes, names: np.ndarray, gains: np.ndarray) -> None:
    """The names of the first and the last windows; of few windows each once."""
    axes.axis("off")
    shown = min(_NAMED_AT_EACH_END, (len(names) + 1) // 2)
    first, last = np.arange(shown), np.arange(max(len(names) - shown, shown), len(names))
    for y, place, title, ranks in ((1.0, "top", "most", first), (0.0, "bottom", "least", last)):
        lines = [
            f"{rank + 1:,}. {plain(shortened(str(names[rank]), _LONGEST_NAME))}\n"
            f"      {number(gains[rank], 4, signed=True)}"
            for rank in ranks.tolist()
        ]
        text = "\n".join([f"gained {title}", *lines]) if lines else ""
        axes.text(0, y, text, transform=axes.transAxes, va=place, fontsize=6.5, color="#333333", linespacing=1.25)


def composition(scores: WindowScores, gc: np.ndarray, labels: Mapping[str, str]) -> Figure:
    """NLL against GC, and gain against GC and against length, over the windows.

    Lines are medians and bands quartiles of groups of equally many windows; where there are few, each is a dot.

    Parameters
    ----------
    scores : WindowScores
    gc : ndarray, (windows of `scores`,)
        GC share of each window.
    labels : mapping
        What each model is called.
    """
    model, reference = scores.main_pair
    figure = new_figure(2.7)
    left, middle, right = figure.subplots(1, 3)
    for name in scores.models:
        _draw_trend(left, gc, scores.per_base(name), COLOURS[name], labels[name])
    left.axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", label=labels["uniform"])
    left.set(xlabel="GC of the window", ylabel="NLL (nats per base)", title="a")
    pairs = [(model, reference), *([("markov", reference)] if reference != "markov" else [])]
    lengths = scores.table["bases"].to_numpy(float)
    for axes, values, title in ((middle, gc, "b"), (right, lengths, "c")):
        for over, under in pairs:
            _draw_trend(axes, values, scores.gain(over, under), COLOURS[over], labels[over])
        axes.axhline(0, color="#333333", linewidth=0.7)
        axes.set(ylabel=f"gain over {labels[reference]}\n(nats per base)", title=title)
    middle.set_xlabel("GC of the window")
    right.set_xlabel("scored bases of the window")
    for axes in (left, middle):
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for axes in (left, middle, right):
        axes.xaxis.set_major_locator(MaxNLocator(4))
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=min(len(names), 5), handlelength=1.6)
    return figure


def _draw_trend(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, label: str) -> None:
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    if len(x) <= _MOST_DOTS:
        axes.scatter(x, y, s=6, color=colour, alpha=0.45, linewidths=0)
    groups = min(len(x) // _LEAST_IN_GROUP, _MOST_GROUPS)
    # Equal values belong together: a tie that is cut in two would make a trend of nothing.
    borders = np.unique(np.searchsorted(x, x[np.linspace(0, len(x), max(groups, 1) + 1)[1:-1].astype(int)]))
    parts = [part for part in np.split(np.arange(len(x)), borders) if len(part)]
    places = [float(np.median(x[part])) for part in parts]
    low, middle, high = np.array([np.quantile(y[part], [0.25, 0.5, 0.75]) for part in parts]).reshape(-1, 3).T
    axes.plot(places, middle, color=colour, label=label, marker="o", markersize=2.5, linewidth=1.1)
    axes.fill_between(places, low, high, color=colour, alpha=0.13, linewidth=0)
    if len(parts) == 1:
        axes.vlines(places, low, high, color=colour, linewidth=1.1)
