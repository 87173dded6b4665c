"""Figures of the comparison: scores with their intervals, calibration, agreement, learning curves, numbers."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.classification.analysis import Analysis
from evaluation.classification.classes import class_table, confusion, f1_and_support, jaccard, reliability
from evaluation.classification.measures import TITLES
from evaluation.classification.reading import BASELINE, Classified, Method
from evaluation.drawing.style import COLOURS, PAGE_WIDTH, SEQUENTIAL_MAP, new_figure, plain, shortened
from evaluation.page.text import MISSING, number

#: By family.
_LOOKS = {
    "kmer": (COLOURS["kmer"], "s", "k-mer counts (baseline)"),
    "shallow": (COLOURS["copy"], "^", "on embeddings"),
    "neural": (COLOURS["adapted"], "o", "trained with the model"),
}
_OTHER = (COLOURS["uniform"], "D", "other")
_WIDE = 3
_LONGEST_TITLE, _LONGEST_LEVEL = 34, 26
_MISSING_COLOUR = "#E0E0E0"
#: Dots beyond which numbers are drawn as densities.
_MOST_DOTS = 2000
_EMPTY = "not defined"


def name_of(text: str, longest: int) -> str:
    """A name from the input as a figure shows it."""
    return plain(shortened(text, longest))


def scores(analysis: Analysis) -> Figure:
    """The deciding measure of every method with its interval, a panel a level; the baseline's reaches across."""
    data = analysis.data
    wide = min(len(data.levels), _WIDE)
    deep = -(-len(data.levels) // wide)
    figure = new_figure(deep * (0.75 + 0.21 * len(data.methods)) + 0.25)
    panels = figure.subplots(deep, wide, sharey=True, squeeze=False).ravel()
    for axes, level in zip(panels, data.levels, strict=False):
        found = [(method, analysis.score(method.name, analysis.key, level)) for method in data.methods]
        for place, (method, score) in enumerate(found):
            colour, marker, label = _LOOKS.get(method.family, _OTHER)
            if method.name == BASELINE and score.defined:
                axes.axvspan(score.low, score.high, color=colour, alpha=0.25, linewidth=0)
            if np.isfinite(score.estimate):
                axes.scatter([score.estimate], [place], color=colour, marker=marker, s=22, label=label, zorder=3)
            if score.defined:
                axes.hlines(place, score.low, score.high, color=colour, linewidth=1.4)
        axes.set_title(name_of(level, _LONGEST_LEVEL))
        axes.set_xlabel(TITLES[analysis.key])
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.08)
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.6)
        axes.set_axisbelow(True)
        if not any(np.isfinite(score.estimate) for _, score in found):
            _tell(axes, _EMPTY)
            axes.set_xticks([])
    names = [name_of(method.title, _LONGEST_TITLE) for method in data.methods]
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
    _hide(panels[len(data.levels) :])
    _legend(figure, panels)
    return figure


def f1_and_supports(analysis: Analysis, level: str) -> Figure:
    """F1 of every class against its number of test rows, a panel a method."""
    data = analysis.data
    figure, panels = _panels(len(data.methods), 1.9)
    for axes, method in zip(panels, data.methods, strict=False):
        table = class_table(confusion(data, method, level))
        known = table[table["support"] > 0]
        axes.scatter(known["support"], known["f1"], **_dots(len(known)), color=_LOOKS.get(method.family, _OTHER)[0])
        found = f1_and_support(table, analysis.confidence, analysis.seed)
        ends = f" [{number(found.low, 2)}, {number(found.high, 2)}]" if found.defined else ""
        rho = MISSING if np.isnan(found.estimate) else f"{number(found.estimate, 2)}{ends}"
        _title(axes, method.title, f"ρ = {rho}")
        axes.set_ylim(-0.04, 1.04)
        axes.margins(x=0.12)
        _log_scale(axes, known["support"].to_numpy(float))
    _label_edges(panels, len(data.methods), f"support (test {data.row_noun}s)", "F1")
    return figure


def calibration(analysis: Analysis, level: str) -> Figure | None:
    """Share of hits by confidence, a panel a method; None where no method gives probabilities."""
    data = analysis.data
    drawn = [(m, table) for m in data.methods if (table := reliability(data, m, level)) is not None]
    if not drawn:
        return None
    figure, panels = _panels(len(drawn), 2.0)
    for axes, (method, table) in zip(panels, drawn, strict=False):
        colour, marker, _ = _LOOKS.get(method.family, _OTHER)
        axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=0.9)
        axes.plot(table["confidence"], table["hits"], color=colour, linewidth=0.8)
        sizes = 4 + 60 * table["rows"] / table["rows"].sum()
        axes.scatter(table["confidence"], table["hits"], s=sizes, color=colour, marker=marker, linewidths=0)
        _title(axes, method.title, f"error {number(analysis.score(method.name, 'calibration_error', level).estimate)}")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    _label_edges(panels, len(drawn), "probability of the predicted class", "share that is right")
    return figure


def agreement(data: Classified) -> Figure:
    """Jaccard similarity of the rows that each two methods tell right, a panel a level."""
    amount, levels = len(data.methods), data.levels
    wide = 1 if amount > 5 else min(len(levels), 2)
    deep = -(-len(levels) // wide)
    side = min(0.27 * amount, 3.0)
    figure = new_figure(deep * (side + 0.4) + 1.5)
    panels = figure.subplots(deep, wide, squeeze=False, sharex=True, sharey=True).ravel()
    names = [name_of(method.title, _LONGEST_TITLE) for method in data.methods]
    for axes, level in zip(panels, levels, strict=False):
        shared = jaccard(data, level)
        colours = mpl.colormaps[SEQUENTIAL_MAP].with_extremes(bad=_MISSING_COLOUR)
        image = axes.imshow(np.ma.masked_invalid(shared), cmap=colours, vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(shared):
            ink = "white" if value < 0.5 else "black"
            axes.text(column, row, number(value, 2), ha="center", va="center", fontsize=7, color=ink)
        axes.set_title(name_of(level, 2 * _LONGEST_LEVEL))
        axes.set_xticks(range(amount), names, rotation=38, ha="right")
        axes.set_yticks(range(amount), names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    _hide(panels[len(levels) :])
    figure.colorbar(image, ax=panels, label="Jaccard similarity", aspect=25 * deep, pad=0.01)
    return figure


def learning_curves(data: Classified) -> Figure | None:
    """Loss of training and validation by epoch, a panel a method; None where nothing was recorded."""
    drawn = [(method, method.history) for method in data.methods if method.history is not None]
    drawn = [(method, history) for method, history in drawn if history["name"].isin(["train_loss", "val_loss"]).any()]
    if not drawn:
        return None
    figure, panels = _panels(len(drawn), 1.9)
    for axes, (method, history) in zip(panels, drawn, strict=False):
        _draw_losses(axes, method, history)
    _label_edges(panels, len(drawn), "epoch", "loss (squared error)" if data.is_regression else "loss (nats)")
    _legend(figure, panels)
    return figure


def _draw_losses(axes: Axes, method: Method, history: pd.DataFrame) -> None:
    looks = (
        ("train_loss", "train batches", {"color": "#999999", "linewidth": 0.8}),
        ("val_loss", "validation", {"color": COLOURS["adapted"], "marker": "o", "markersize": 3}),
    )
    for name, label, look in looks:
        points = history[(history["name"] == name) & np.isfinite(history["value"])].sort_values("epoch")
        if len(points):
            axes.plot(points["epoch"], points["value"], label=label, **look)  # type: ignore[arg-type]
    best = method.detail("best_epoch")
    if isinstance(best, int | float):
        axes.axvline(best, color="#333333", linestyle="--", linewidth=0.8, label="best epoch, which is kept")
    _title(axes, method.title, "")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def predicted_numbers(analysis: Analysis, column: str) -> Figure:
    """Predicted against true numbers, a panel a method; hexagons beyond 2,000 rows."""
    data = analysis.data
    figure, panels = _panels(len(data.methods), 2.1)
    true = data.true[column]
    for axes, method in zip(panels, data.methods, strict=False):
        predicted = method.predicted[column]
        known = np.isfinite(true) & np.isfinite(predicted)
        colour = _LOOKS.get(method.family, _OTHER)[0]
        if not known.any():
            _tell(axes, _EMPTY)
        elif known.sum() > _MOST_DOTS:
            axes.hexbin(predicted[known], true[known], gridsize=30, mincnt=1, bins="log", cmap=SEQUENTIAL_MAP)
        else:
            axes.scatter(predicted[known], true[known], **_dots(int(known.sum())), color=colour)
        score = analysis.score(method.name, "spearman", column)
        _title(axes, method.title, f"Spearman {number(score.estimate, 2)}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(4))
    _label_edges(panels, len(data.methods), "predicted", name_of(f"measured {column}", _LONGEST_TITLE))
    return figure


def _panels(amount: int, height: float) -> tuple[Figure, np.ndarray]:
    """A figure with so many panels of one size, up to three in a row."""
    deep = -(-amount // _WIDE)
    wide = min(amount, _WIDE)
    figure = new_figure(deep * height + 0.45, PAGE_WIDTH * max(wide, 2) / _WIDE)
    return figure, figure.subplots(deep, wide, squeeze=False).ravel()


def _label_edges(panels: np.ndarray, amount: int, below: str, beside: str) -> None:
    """Label the outer panels only, and hide those without content."""
    wide = min(amount, _WIDE)
    for place, axes in enumerate(panels[:amount]):
        if place + wide >= amount:
            axes.set_xlabel(below)
        if place % wide == 0:
            axes.set_ylabel(beside)
    _hide(panels[amount:])


def _hide(panels: np.ndarray) -> None:
    for axes in panels:
        axes.set_visible(False)


def _title(axes: Axes, name: str, told: str) -> None:
    lines = [name_of(name, _LONGEST_TITLE), *([told] if told else [])]
    axes.set_title("\n".join(lines), fontsize=8, fontweight="normal")


def _dots(amount: int) -> dict[str, float | bool]:
    return {"s": 12, "alpha": 0.75 if amount < 200 else 0.4, "linewidths": 0, "rasterized": amount > 500}


def _log_scale(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic axis with ticks at powers of ten, or at the ends of a range that is too short for them."""
    if not len(values):
        _tell(axes, _EMPTY)
        axes.set_xticks([])
        return
    axes.set_xscale("log")
    low, high = values.min(), values.max()
    powers = 10.0 ** np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
    ticks = powers if len(powers) > 1 else np.unique([low, high])
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.set_xticks([], minor=True)


def _tell(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="#666666")


def _legend(figure: Figure, panels: np.ndarray) -> None:
    """One legend for all panels, each entry once."""
    entries = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if entries:
        figure.legend(list(entries.values()), list(entries), loc="outside upper left", ncols=4, handlelength=1.6)
