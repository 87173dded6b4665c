"""The leakage figure: how much of val and test is in train, beside what a random split would leave."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from evaluation.drawing.style import COLOURS, SPLIT_COLOURS, new_figure
from evaluation.page.text import percent

_LOOKS = {
    "random": ("random split", {"color": COLOURS["uniform"], "linestyle": "--"}),
    "val": ("val", {"color": SPLIT_COLOURS["val"]}),
    "test": ("test", {"color": SPLIT_COLOURS["test"]}),
}
_HALF = 0.5
_GRID = np.linspace(0, 1, 401)
#: Shares of the axis: from label to label, of a label, from it to its line, and where a line is at the top.
_BETWEEN_LABELS, _LABEL, _ABOVE_LINE, _TOP = 0.085, 0.07, 0.02, 0.9


def leakage(windows: pd.DataFrame, naive: pd.DataFrame, threshold: float) -> Figure:
    """Share of windows at or above each containment in one stretch of train; and k-mers that are anywhere in train.

    Parameters
    ----------
    windows : DataFrame
        split, containment, in_train, of the windows of val and test as they were divided.
    naive : DataFrame
        The same columns, of a random split.
    threshold : float
        Windows above it are left out.
    """
    compared = {
        name: table.dropna(subset="containment")
        for name, table in (
            ("random", naive),
            ("val", windows[windows["split"] == "val"]),
            ("test", windows[windows["split"] == "test"]),
        )
    }
    compared = {name: table for name, table in compared.items() if len(table)}
    figure = new_figure(2.9)
    panels = figure.subplots(1, 2, width_ratios=[1.45, 1])
    survival = {name: share_at_least(table["containment"], _GRID) for name, table in compared.items()}
    for name, shares in survival.items():
        panels[0].plot(_GRID, shares, linewidth=1.6, **_LOOKS[name][1])
    _mark_threshold(panels[0], threshold)
    _label_lines(panels[0], survival, near_copy(threshold))
    panels[0].set(xlabel="containment in one stretch of train", ylabel="windows at or above", title="a")
    edges = np.linspace(0, 1, 26)
    for name, table in compared.items():
        shares = np.histogram(table["in_train"], edges)[0] / len(table)
        panels[1].stairs(shares, edges, linewidth=1.4, **_LOOKS[name][1])
    panels[1].set(xlabel="share of k-mers anywhere in train", ylabel="windows", title="b")
    for axes in panels:
        axes.set_xlim(-0.005, 1.005)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    panels[0].set_ylim(0, 1.02)
    panels[1].set_ylim(bottom=0)
    return figure


def near_copy(threshold: float) -> float:
    """Containment from which a window has a near copy: that above which windows are left out, else 1/2."""
    return threshold if threshold < 1 else _HALF


def share_at_least(values: pd.Series, limits: np.ndarray) -> np.ndarray:
    """Share of the values at or above each limit, shape of `limits`; values without NaN, at least one."""
    ordered = np.sort(values.to_numpy(float))
    shares: np.ndarray = 1 - np.searchsorted(ordered, limits, side="left") / len(ordered)
    return shares


def _mark_threshold(axes: Axes, threshold: float) -> None:
    axes.axvline(near_copy(threshold), color="#333333", linewidth=0.7, linestyle=":")
    if threshold < 1:
        axes.axvspan(threshold, 1, color="#000000", alpha=0.05, linewidth=0)
        axes.text((threshold + 1) / 2, 1.04, "left out", ha="center", va="bottom", fontsize=8)


def _label_lines(axes: Axes, survival: dict[str, np.ndarray], limit: float) -> None:
    """Name and height of each line: right of where it is told, above the line, as lines fall; left of it at the top."""
    heights = {name: float(np.interp(limit, _GRID, shares)) for name, shares in survival.items()}
    lowest = 0.0
    for name in sorted(heights, key=heights.__getitem__):
        is_at_top = heights[name] >= _TOP
        wanted = heights[name] + _ABOVE_LINE if not is_at_top else heights[name] - _BETWEEN_LABELS
        lowest = max(lowest, wanted)
        for height in sorted(heights.values()):
            if lowest - _ABOVE_LINE < height < lowest + _LABEL:
                lowest = height + _ABOVE_LINE
        axes.text(
            limit - 0.015 if is_at_top else limit + 0.015,
            lowest,
            f"{_LOOKS[name][0]}: {percent(heights[name])}",
            color=_LOOKS[name][1]["color"],
            fontsize=8,
            fontweight="bold",
            ha="right" if is_at_top else "left",
            va="bottom",
        )
        lowest += _BETWEEN_LABELS
