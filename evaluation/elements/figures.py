"""Figures of the elements: scores by set, how well they rank, and how well the background matches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from evaluation.drawing.style import COLOURS, PAGE_WIDTH, SEQUENTIAL_MAP, new_figure
from evaluation.elements.contrasts import CONTROLS, ELEMENT, FEATURES, LIKELIHOODS, Elements
from evaluation.page.text import bracketed
from evaluation.statistics.bootstrap import Interval

#: Colour of each row of the forest.
_COLOURS = {"kmer": "#56B4E9", "gc": COLOURS["uniform"]} | COLOURS
_MARKERS = {"adapted": "o", "base": "s", "markov": "^", "kmer": "D", "gc": "v"}
#: How strongly the violins of the sets are filled.
_STRENGTH = {ELEMENT: 0.6, "background": 0.3, "shuffled": 0.1}
_MOST_DOTS = 100
_MOST_POINTS = 2000
_ROW, _BELOW = 0.24, 0.75


def score_violins(elements: Elements, labels: Mapping[str, str]) -> Figure:
    """Mean log-likelihood of elements, background and shuffled copies, one panel a model, one scale."""
    table = elements.table
    models = elements.models
    figure = new_figure(2.7)
    panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    for axes, model in zip(panels, models, strict=True):
        for place, (name, strength) in enumerate(_STRENGTH.items()):
            values = table.loc[table["set"] == name, f"score_{model}"].to_numpy(float)
            _draw_violin(axes, place, values[np.isfinite(values)], COLOURS[model], strength)
        axes.set_xticks(range(len(_STRENGTH)), _names_with_numbers(table), fontsize=7)
        axes.set(xlim=(-0.6, len(_STRENGTH) - 0.4), title=labels[model])
        axes.tick_params(axis="x", length=0)
    panels[0].set_ylabel("mean log-likelihood (nats per base)")
    return figure


def _names_with_numbers(table: pd.DataFrame) -> list[str]:
    names = {ELEMENT: "regulatory\nelements", "background": "matched\nbackground", "shuffled": "shuffled\ncopies"}
    return [f"{names[name]}\nn = {int((table['set'] == name).sum()):,}" for name in _STRENGTH]


def _draw_violin(axes: Axes, place: int, values: np.ndarray, colour: str, strength: float) -> None:
    # A density of fewer than three different values would be an invention.
    if len(np.unique(values)) >= 3:
        body = axes.violinplot(values, [place], widths=0.85, showextrema=False)
        for part in body["bodies"]:  # type: ignore[attr-defined]
            part.set(facecolor=colour, alpha=strength, linewidth=0)
        outline = axes.violinplot(values, [place], widths=0.85, showextrema=False)
        for part in outline["bodies"]:  # type: ignore[attr-defined]
            part.set(facecolor="none", alpha=1, edgecolor=colour, linewidth=0.8)
    if len(values) <= _MOST_DOTS:
        # The golden ratio spreads any number of points evenly and the same way in every run.
        jitter = ((np.arange(len(values)) * 0.618034 + 0.5) % 1 - 0.5) * 0.3
        axes.scatter(place + jitter, values, s=5, color=colour, alpha=0.8, linewidths=0)
    if len(values):
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axes.vlines(place, low, high, color="#222222", linewidth=3)
        axes.scatter([place], [middle], s=14, color="white", edgecolors="#222222", linewidths=0.8, zorder=3)


def auroc_forest(elements: Elements, labels: Mapping[str, str]) -> Figure:
    """AUROC with its interval, one row a model or baseline, one panel a control."""
    rows = [name for name in (*LIKELIHOODS, *FEATURES) if any(name in found for found in _areas(elements).values())]
    figure = new_figure(_ROW * len(rows) + _BELOW)
    panels = figure.subplots(1, len(CONTROLS), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (control, areas) in zip(panels, _areas(elements).items(), strict=True):
        axes.axvline(0.5, color=COLOURS["uniform"], linestyle=":")
        for place, name in enumerate(rows):
            area = areas.get(name, Interval(np.nan, np.nan, np.nan))
            _draw_interval(axes, place, area, name)
            text = bracketed(area) if np.isfinite(area.estimate) else "–"
            axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7)
        axes.set(xlabel="AUROC", title=f"against {CONTROLS[control]}", ylim=(len(rows) - 0.5, -0.5))
        axes.set_xlim(*_limits([area for of_control in _areas(elements).values() for area in of_control.values()]))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.set_yticks(range(len(rows)), [labels[name] for name in rows])
        axes.tick_params(axis="y", length=0)
    return figure


def _areas(elements: Elements) -> dict[str, dict[str, Interval]]:
    return {control: elements.contrasts[control].areas.auroc for control in CONTROLS}


def _draw_interval(axes: Axes, place: int, area: Interval, name: str) -> None:
    if area.defined:
        axes.hlines(place, area.low, area.high, color=_COLOURS[name], linewidth=1.6)
    axes.scatter([area.estimate], [place], s=26, marker=_MARKERS[name], color=_COLOURS[name], zorder=3, linewidths=0)


def _limits(areas: list[Interval]) -> tuple[float, float]:
    """Ends of an axis that shows every interval and 0.5, with some room."""
    ends = np.array([0.45, 0.55, *(end for area in areas for end in (area.estimate, area.low, area.high))])
    low, high = np.nanmin(ends), np.nanmax(ends)
    room = 0.05 * (high - low)
    return float(low - room), float(high + room)


def matching(elements: Elements) -> Figure:
    """GC and soft-masked share of each element against its background fragment; lengths where they differ."""
    table = elements.table
    pairs = {name: table[table["set"] == name].sort_values("pair") for name in (ELEMENT, "background")}
    masked = bool(pd.concat(pairs.values())["soft_masked"].any())
    lengths = pairs[ELEMENT]["length"].to_numpy(float)
    varied = bool(np.ptp(lengths))
    shown = [("gc", "GC share"), *([("soft_masked", "soft-masked share")] if masked else [])]
    figure = new_figure(2.4, PAGE_WIDTH / 3 * (len(shown) + varied))
    panels = figure.subplots(1, len(shown) + varied, squeeze=False)[0]
    for axes, (column, name) in zip(panels, shown, strict=False):
        _draw_pairs(axes, pairs, column, name)
    if varied:
        bins = np.geomspace(lengths.min(), lengths.max() * 1.001, 25)
        panels[-1].hist(lengths, bins.tolist(), color="#888888")
        panels[-1].set(xscale="log", xlabel="length, of both (bp)", ylabel="elements")
        panels[-1].yaxis.set_major_locator(MaxNLocator(5, integer=True))
        panels[-1].xaxis.set_major_locator(LogLocator(subs=(1, 3) if np.ptp(np.log10(lengths)) < 2 else (1,)))
        panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        panels[-1].xaxis.set_minor_locator(NullLocator())
    return figure


def _draw_pairs(axes: Axes, pairs: Mapping[str, pd.DataFrame], column: str, name: str) -> None:
    element, background = (pairs[kind][column].to_numpy(float) for kind in (ELEMENT, "background"))
    both = np.concatenate([element, background])
    low, high = float(both.min()), float(both.max())
    room = max(0.04 * (high - low), 0.005)
    if len(element) > _MOST_POINTS:
        axes.hexbin(element, background, gridsize=40, cmap=SEQUENTIAL_MAP, mincnt=1, linewidths=0, bins="log")
    else:
        axes.scatter(element, background, s=6, color=COLOURS["genome"], alpha=0.5, linewidths=0)
    axes.axline((low, low), slope=1, color=COLOURS["uniform"], linestyle=":", zorder=0)
    axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
    axes.set(xlabel=f"{name}, element", ylabel=f"{name}, background", aspect="equal")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
