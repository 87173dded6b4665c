"""Figures of the scores by stratum, and of the calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from evaluation.drawing.style import COLOURS, new_figure, plain, shortened
from evaluation.per_base.calibration import Calibration
from evaluation.per_base.scores import ALL, INSIDE, OUTSIDE, UNIFORM_NLL
from evaluation.per_base.strata import CLASSES, NLL_EDGES, Strata
from evaluation.statistics.bootstrap import Interval

_MARKERS = {"base": "o", "adapted": "^", "markov": "s", "copy": "D"}
#: Vertical place of a row within its stratum, and whether its markers are filled.
_PLACES = {ALL: (0.0, True), OUTSIDE: (-0.22, True), INSIDE: (0.22, False)}
_LONGEST_NAME = 28
_ROW_HEIGHT = 0.24
#: Between the models of a row, so that no interval hides another.
_DODGE = 0.1
# A bin of fewer bases has a rate that says nothing.
_FEWEST_BASES = 100
# Of the bases of a class lies this share beyond the edge of the figure.
_BEYOND = 0.002


def forest(strata: Strata, kind: str, labels: Mapping[str, str], overall: Interval) -> Figure:
    """NLL of every model, and the gain of the main pair, by stratum: one row a stratum, repeats apart.

    Parameters
    ----------
    strata : Strata
    kind : str
        Which strata.
    labels : mapping
        What each model is called.
    overall : Interval
        Gain over all bases.
    """
    table = strata.kind(kind)
    apart = table[table["repeats"] != ALL]
    rows = table if apart.empty else apart
    names = list(dict.fromkeys(rows["name"]))
    figure = new_figure(1.15 + _ROW_HEIGHT * len(names) * (1 if apart.empty else 1.5))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.25, 1])
    alone = rows["name"].value_counts() == 1
    for row in rows.to_dict("records"):
        offset, filled = _PLACES[row["repeats"]]
        place = names.index(row["name"]) + (0 if alone[row["name"]] else offset)
        for number, model in enumerate(strata.models):
            apart_by = _DODGE * (number - (len(strata.models) - 1) / 2)
            _draw_point(left, row, f"nll_{model}", place + apart_by, model, filled)
        _draw_point(right, row, "gain", place, strata.pair[0], filled)
    left.axvline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", zorder=0)
    right.axvline(0, color="#333333", linewidth=0.8, zorder=0)
    right.axvline(overall.estimate, color=COLOURS[strata.pair[0]], linewidth=0.8, linestyle="--", zorder=0)
    left.set_yticks(range(len(names)), [plain(shortened(name, _LONGEST_NAME)) for name in names])
    left.set_ylim(len(names) - 0.5, -0.5)
    left.set_xlabel("NLL (nats per base)")
    model, reference = (labels[name] for name in strata.pair)
    right.set_xlabel(f"gain, {model} over {reference}\n(nats per base)")
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        for edge in np.arange(len(names) - 1) + 0.5:
            axes.axhline(edge, color="#E5E5E5", linewidth=0.5, zorder=0)
    _forest_legend(figure, strata.models, labels, with_repeats=not apart.empty)
    return figure


def _draw_point(axes: Axes, row: Mapping[Any, Any], column: str, place: float, model: str, filled: bool) -> None:
    colour = COLOURS[model]
    axes.hlines(place, row[f"{column}_low"], row[f"{column}_high"], color=colour, linewidth=1.1)
    face = colour if filled else "white"
    axes.plot(row[column], place, _MARKERS[model], color=colour, markerfacecolor=face, markersize=4.2)


def _forest_legend(figure: Figure, models: Sequence[str], labels: Mapping[str, str], with_repeats: bool) -> None:
    handles = [Line2D([], [], color=COLOURS["uniform"], linestyle=":", label="uniform guess")]
    handles += [
        Line2D([], [], color=COLOURS[model], marker=_MARKERS[model], markersize=4.2, linestyle="", label=labels[model])
        for model in models
    ]
    if with_repeats:
        handles += [
            Line2D([], [], color="#333333", marker="o", markersize=4.2, linestyle="", markerfacecolor=face, label=name)
            for name, face in ((OUTSIDE, "#333333"), (INSIDE, "white"))
        ]
    figure.legend(handles=handles, loc="outside upper left", ncols=5, handlelength=1.2, columnspacing=1.2)


def class_distributions(strata: Strata, labels: Mapping[str, str]) -> Figure:
    """Distribution of the NLL of single bases by class, a violin a model, with median and quartiles."""
    held = strata.histogram.sum(axis=(0, 2)) > 0
    names = [name for name, has_bases in zip(CLASSES, held, strict=True) if has_bases]
    counts = strata.histogram[:, held]
    width = 0.84 / len(strata.models)
    figure = new_figure(3.2)
    axes = figure.subplots()
    middles = (NLL_EDGES[:-1] + NLL_EDGES[1:]) / 2
    for place in range(len(names)):
        for number, model in enumerate(strata.models):
            at = place + (number - (len(strata.models) - 1) / 2) * width
            share = counts[number, place] / counts[number, place].max()
            half = 0.46 * width * share
            axes.fill_betweenx(middles, at - half, at + half, color=COLOURS[model], alpha=0.55, linewidth=0)
            low, middle, high = _quantiles(counts[number, place], [0.25, 0.5, 0.75])
            axes.vlines(at, low, high, color="#222222", linewidth=1.1)
            axes.plot(at, middle, "o", color="white", markeredgecolor="#222222", markeredgewidth=0.6, markersize=2.6)
    axes.axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", zorder=0)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    highest = max(_quantiles(of_class, [1 - _BEYOND])[0] for of_model in counts for of_class in of_model)
    axes.set(xlim=(-0.6, len(names) - 0.4), ylim=(0, max(highest, 1.1 * UNIFORM_NLL)), ylabel="NLL of a base (nats)")
    handles = [Line2D([], [], color=COLOURS["uniform"], linestyle=":", label="uniform guess")]
    handles += [
        Line2D([], [], color=COLOURS[model], alpha=0.55, linewidth=6, label=labels[model]) for model in strata.models
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handlelength=1.4)
    return figure


def _quantiles(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles of a histogram over `NLL_EDGES`, linear within its bins."""
    reached = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    quantiles: np.ndarray = np.interp(shares, reached, NLL_EDGES)
    return quantiles


def reliability(calibration: Calibration, labels: Mapping[str, str]) -> Figure:
    """Accuracy against confidence of each model; beneath, how often each confidence occurs."""
    models = list(calibration.ece)
    figure = new_figure(4.6, 4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0.25, 1], [0.25, 1], color="#333333", linewidth=0.8, linestyle="--", zorder=0)
    for model in models:
        curve = calibration.curve[calibration.curve["model"] == model]
        shown = curve[curve["bases"] >= _FEWEST_BASES]
        _draw_curve(upper, shown, model)
        upper.plot([], [], color=COLOURS[model], marker=_MARKERS[model], markersize=4, label=labels[model])
        edges = np.append(curve["low"].to_numpy(), curve["high"].to_numpy()[-1:])
        share = curve["bases"].to_numpy() / curve["bases"].sum()
        lower.stairs(share, edges, color=COLOURS[model], linewidth=1.1)
    upper.set(ylabel="accuracy", ylim=(0.2, 1.02), xlim=(0.24, 1.01))
    lower.set(xlabel="confidence (probability of the most probable base)", ylabel="share of bases")
    lower.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    lower.yaxis.set_major_locator(MaxNLocator(3))
    figure.legend(loc="outside upper left", ncols=2, handlelength=1.8)
    return figure


def _draw_curve(axes: Axes, curve: pd.DataFrame, model: str) -> None:
    x, y = curve["confidence"].to_numpy(), curve["accuracy"].to_numpy()
    axes.vlines(x, curve["accuracy_low"], curve["accuracy_high"], color=COLOURS[model], linewidth=1, alpha=0.7)
    axes.plot(x, y, color=COLOURS[model], marker=_MARKERS[model], markersize=4, linewidth=1)
