"""Figures of several runs, all of a kind on the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.drawing.style import COLOURS, new_figure, place_legend_above, plain, shortened
from evaluation.page.text import number
from evaluation.per_base.scores import UNIFORM_NLL
from evaluation.runs.leaderboard import PARTS, Leaderboard
from evaluation.runs.reading import Entry
from evaluation.statistics.bootstrap import Interval

#: Rows that a figure has room for.
MOST_ROWS = 40
#: Models whose pairs, and curves that can be told apart, fit into a figure.
MOST_CELLS = 12
MOST_CURVES = 14
_LONGEST_LABEL = 34
_ROW = 0.24


class _Look(NamedTuple):
    """How a part of the bases is drawn, and how far from the middle of its row."""

    marker: str
    filled: bool
    shift: float


_LOOKS = {"all": _Look("o", True, -0.22), "outside": _Look("s", False, 0.0), "inside": _Look("^", False, 0.22)}
#: Okabe & Ito's, in an order in which neighbours differ in grey as well.
_CURVES = ("#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#D55E00", "#56B4E9")


def colours(board: Leaderboard, adapted: set[str]) -> dict[str, str]:
    """Colour of each label: that of the base model for models as published, of the adapted one for `adapted`."""
    return {label: COLOURS["adapted" if label in adapted else "base"] for label in board.models} | dict.fromkeys(
        board.baselines, COLOURS["uniform"]
    )


def forest(board: Leaderboard, colour: Mapping[str, str]) -> Figure:
    """NLL of every model and baseline with its interval: over all bases, outside repeats, in repeats.

    Parameters
    ----------
    board : Leaderboard
    colour : mapping
        From `colours`.
    """
    rows = [*board.models[:MOST_ROWS], *board.baselines]
    figure = new_figure(0.75 + (_ROW + 0.06) * len(rows))
    axes = figure.subplots()
    has_repeats = 0 < board.repeat_share < 1
    for part in PARTS if has_repeats else ["all"]:
        for place, label in enumerate(rows):
            shift = _LOOKS[part].shift if has_repeats else 0
            _draw_interval(axes, board.nll[part][label], place + shift, colour[label], _LOOKS[part])
    axes.axvline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", linewidth=0.8)
    if board.baselines:
        axes.axhline(len(rows) - len(board.baselines) - 0.5, color="#333333", linewidth=0.5)
    _name_rows(axes, rows)
    axes.set_xlabel("NLL (nats per base)")
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.5)
    axes.set_axisbelow(True)
    if has_repeats:
        for part, title in PARTS.items():
            axes.plot([], [], linestyle="none", label=title, color="#333333", **_mark(_LOOKS[part], "#333333"))
        place_legend_above(axes, 3)
    return figure


def _draw_interval(axes: Axes, value: Interval, place: float, colour: str, look: _Look) -> None:
    if value.defined:
        axes.plot([value.low, value.high], [place, place], color=colour, linewidth=1.1, solid_capstyle="butt")
    axes.plot(value.estimate, place, color=colour, **_mark(look, colour))


def _mark(look: _Look, colour: str) -> dict[str, Any]:
    return {"marker": look.marker, "markersize": 4, "markerfacecolor": colour if look.filled else "white"}


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [plain(shortened(label, _LONGEST_LABEL)) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def distributions(per_base: dict[str, np.ndarray], weights: np.ndarray, colour: Mapping[str, str]) -> Figure:
    """NLL of the windows of each model: median, middle half, and middle nine tenths of the bases.

    Parameters
    ----------
    per_base : dict
        By label, (windows,) nats per base.
    weights : ndarray, (windows,)
        Bases of each window.
    colour : mapping
        From `colours`.
    """
    rows = list(per_base)[:MOST_ROWS]
    figure = new_figure(0.6 + _ROW * len(rows))
    axes = figure.subplots()
    for place, label in enumerate(rows):
        low, first, middle, third, high = _quantiles(per_base[label], weights)
        axes.plot([low, high], [place, place], color=colour[label], linewidth=0.9, solid_capstyle="butt")
        axes.plot([first, third], [place, place], color=colour[label], linewidth=5, alpha=0.55, solid_capstyle="butt")
        axes.plot(middle, place, marker="|", color="black", markersize=8, markeredgewidth=1.4)
    axes.axvline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", linewidth=0.8)
    _name_rows(axes, rows)
    axes.set_xlabel("NLL of a window (nats per base)")
    return figure


def _quantiles(values: np.ndarray, weights: np.ndarray) -> list[float]:
    order = np.argsort(values, kind="stable")
    covered = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    return [float(np.interp(share, covered, values[order])) for share in (0.05, 0.25, 0.5, 0.75, 0.95)]


def matrix(board: Leaderboard) -> Figure:
    """Gain of each row's model over each column's, framed where it stands after correction."""
    labels = board.models[:MOST_CELLS]
    size = len(labels)
    gains, shown = np.full((size, size), np.nan), np.zeros((size, size), bool)
    for pair in board.pairs:
        if pair.model in labels and pair.reference in labels:
            row, column = labels.index(pair.model), labels.index(pair.reference)
            gains[row, column], gains[column, row] = pair.gain.estimate, -pair.gain.estimate
            shown[row, column] = shown[column, row] = pair.is_shown
    figure = new_figure(1.3 + 0.36 * size)
    axes = figure.subplots()
    limit = max(float(np.nanmax(np.abs(gains))), 1e-9)
    colours = mpl.colormaps["PuOr"].with_extremes(bad="#EEEEEE")
    image = axes.imshow(np.ma.masked_invalid(gains), cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
    decimals = int(min(max(-np.floor(np.log10(limit)) + 1, 2), 5))
    for row, column in np.argwhere(np.isfinite(gains)):
        dark = abs(gains[row, column]) > 0.65 * limit
        axes.text(
            column,
            row,
            number(gains[row, column], decimals, signed=True),
            ha="center",
            va="center",
            fontsize=6.5,
            color="white" if dark else "black",
            weight="bold" if shown[row, column] else "normal",
        )
    _name_rows(axes, labels)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_xticks(range(size), [plain(shortened(label, 22)) for label in labels], rotation=40, ha="right")
    axes.tick_params(axis="x", length=0)
    axes.spines[:].set_visible(False)
    # In two lines: it must fit beside two rows.
    figure.colorbar(image, ax=axes, label="gain of the row\n(nats per base)", aspect=22, pad=0.02)
    return figure


def learning_curves(entries: Sequence[Entry]) -> Figure | None:
    """Validation loss of every training over the bases that it has read; None where none was logged.

    The first `MOST_CURVES` of the entries that have one.
    """
    curves = {}
    for entry in entries:
        metrics = entry.facts.metrics
        if entry.model == "adapted" and metrics is not None:
            points = metrics[(metrics["name"] == "val_loss") & np.isfinite(metrics["value"])].sort_values("bases_seen")
            if len(points):
                curves[entry.label] = points
    if not curves:
        return None
    shown = list(curves)[:MOST_CURVES]
    rows = -(-len(shown) // 2)
    figure = new_figure(2.5 + 0.17 * rows)
    axes = figure.subplots()
    for place, label in enumerate(shown):
        axes.plot(
            curves[label]["bases_seen"] / 1e6,
            curves[label]["value"],
            color=_CURVES[place % len(_CURVES)],
            linestyle="-" if place < len(_CURVES) else "--",
            marker="o",
            markersize=2.5,
            label=plain(shortened(label, 48)),
        )
    axes.axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", linewidth=0.8)
    axes.set(xlabel="bases read in training (Mb)", ylabel="validation loss (nats per base)")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    place_legend_above(axes, 2)
    return figure


def training_effect(board: Leaderboard, entries: Sequence[Entry]) -> Figure | None:
    """Gain of each adapted model over the one it began from, against the bases read; None where there is none."""
    points = [
        (entry.label, float(bases), board.gains[entry.label, entry.start])
        for entry in entries
        if entry.start is not None and (bases := entry.trained["bases_seen"])
    ]
    if not points:
        return None
    figure = new_figure(2.6)
    axes = figure.subplots()
    for label, bases, gain in points[:MOST_ROWS]:
        if gain.defined:
            axes.plot([bases, bases], [gain.low, gain.high], color=COLOURS["adapted"], linewidth=1.1)
        axes.plot(bases, gain.estimate, marker="o", markersize=4, color=COLOURS["adapted"])
        if len(points) <= 10:
            axes.annotate(
                plain(shortened(label, 28)),
                (bases, gain.estimate),
                xytext=(5, 3),
                textcoords="offset points",
                fontsize=6.5,
            )
    axes.axhline(0, color=COLOURS["base"], linewidth=0.8, linestyle="--", label="as published")
    axes.margins(x=0.25)
    read = [bases for _, bases, _ in points]
    is_wide = max(read) > 5 * min(read)
    if is_wide:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(5))
    scale = " (logarithmic)" if is_wide else ""
    axes.set(xlabel=f"bases read in training{scale}", ylabel="gain over its start\n(nats per base)")
    axes.yaxis.set_major_locator(MaxNLocator(6))
    place_legend_above(axes, 1)
    return figure
