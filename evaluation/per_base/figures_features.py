"""Figures of what models do around features, along codons, and against similarity to train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.drawing.style import COLOURS, new_figure
from evaluation.page.text import count, plural
from evaluation.per_base.around import KINDS, REACH, READINGS, Around
from evaluation.per_base.codons import POSITIONS, CodonErrors
from evaluation.per_base.periodicity import CODON, FREQUENCIES, Periodicity
from evaluation.per_base.scores import UNIFORM_NLL
from evaluation.per_base.similarity import BIN_NAMES, Similarity

KIND_LABELS = {
    "tss": "transcription start",
    "start_codon": "start codon",
    "donor": "donor",
    "acceptor": "acceptor",
    "stop_codon": "stop codon",
}
READING_LABELS = {"along": "read along the gene", "against": "read against the gene"}
_QUANTITIES = {"nll": ("NLL (nats per base)", UNIFORM_NLL), "entropy": ("entropy (bits)", 2.0)}
#: Told apart in grey: width and dashes of a line, shape of a point. Thin lines lie on top of thick ones.
_LINES: dict[str, dict[str, Any]] = {
    "base": {"linewidth": 0.7, "zorder": 3},
    "adapted": {"linewidth": 1.2, "zorder": 2.5},
    "markov": {"linewidth": 0.8, "linestyle": (0, (2.5, 1)), "zorder": 3.5},
    "copy": {"linewidth": 0.8, "linestyle": (0, (1, 1)), "zorder": 3.5},
}
_MARKERS = {"base": "o", "adapted": "^", "markov": "s", "copy": "D"}
_DODGE = 0.16
# Of the error of a uniform guess: below, a ratio to it says nothing.
_LEAST_SHARE = 0.01
_LEAST_POWER = 0.1


def around(result: Around, quantity: str, labels: Mapping[str, str]) -> Figure:
    """NLL or entropy by distance from each kind of site: a row a kind, a column a direction of reading.

    Parameters
    ----------
    result : Around
    quantity : str
        `nll` or `entropy`.
    labels : mapping
        What each model is called.
    """
    met = set(result.sites.loc[result.sites["sites"] > 0, "kind"])
    kinds = [kind for kind in KINDS if kind in met]
    figure = new_figure(0.75 + 1.3 * len(kinds))
    panels = figure.subplots(len(kinds), len(READINGS), sharex=True, sharey="row", squeeze=False)
    sites = result.sites.set_index(["kind", "reading"])["sites"].to_dict()
    label, of_uniform = _QUANTITIES[quantity]
    for row, kind in zip(panels, kinds, strict=True):
        for axes, reading in zip(row, READINGS, strict=True):
            axes.axvline(0, color="#999999", linewidth=0.6)
            axes.axhline(of_uniform, color=COLOURS["uniform"], linestyle=":", label=labels["uniform"])
            for model in result.table["model"].unique():
                profile = result.profile(kind, reading, model)
                _draw_line(axes, profile["offset"], profile, quantity, model, labels)
            number = plural(sites[kind, reading], "site")
            axes.set_title(f"{KIND_LABELS[kind]}, {READING_LABELS[reading]}\n{number}", fontsize=8, linespacing=1.1)
            axes.set_xlim(-REACH - 1, REACH + 1)
            if not sites[kind, reading]:
                _say(axes, "no such site in the scored windows")
        row[0].yaxis.set_major_locator(MaxNLocator(4))
        row[0].set_ylim(*_limits(result.table[result.table["kind"] == kind], quantity, of_uniform))
    for axes in panels[-1]:
        axes.set_xlabel("distance in the direction of transcription (bp)")
    figure.supylabel(label, fontsize=8.5)
    _legend(figure, panels[0, 0])
    return figure


def periodicity(result: Periodicity, labels: Mapping[str, str]) -> Figure:
    """Power spectrum of the NLL along coding sequence, and its mean by codon position; a row a direction of reading."""
    readings = [name for name in READINGS if result.positions.loc[result.positions["reading"] == name, "n"].any()]
    figure = new_figure(0.65 + 1.9 * len(readings))
    panels = figure.subplots(len(readings), 2, width_ratios=[2.4, 1], sharex="col", sharey="col", squeeze=False)
    models = list(result.positions["model"].unique())
    for row, reading in zip(panels, readings, strict=True):
        spectrum = result.spectrum[result.spectrum["reading"] == reading]
        row[0].axvline(1 / CODON, color="#999999", linewidth=0.6)
        row[0].axhline(1, color=COLOURS["uniform"], linestyle=":", label="white noise (left), uniform guess (right)")
        for place, model in enumerate(models):
            of_model = spectrum[spectrum["model"] == model]
            _draw_line(row[0], of_model["frequency"], of_model, "power", model, labels)
            positions = result.positions[
                (result.positions["reading"] == reading) & (result.positions["model"] == model)
            ]
            at = positions["position"] + _DODGE * (place - (len(models) - 1) / 2)
            _draw_points(row[1], at, positions, "nll", model, labels)
        row[1].axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":")
        segments = plural(int(spectrum["segments"].max()), "segment")
        row[0].set_title(f"{READING_LABELS[reading]}, {segments}", fontsize=8)
        row[0].set(xlim=(0, FREQUENCIES[-1]), ylabel="power (white noise = 1)")
        row[0].set_xticks([0, 0.1, 0.2, 1 / CODON, 0.4, 0.5], ["0", "0.1", "0.2", "1/3", "0.4", "0.5"])
        row[1].set_ylabel("NLL (nats per base)")
        row[1].yaxis.set_major_locator(MaxNLocator(5))
    panels[0, 0].set_yscale("log")
    panels[0, 0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    highest = result.spectrum[["power", "power_high"]].to_numpy(float)
    panels[0, 0].set_ylim(_LEAST_POWER, float(np.nanmax(1.3 * highest, initial=10)))
    panels[-1, 0].set_xlabel("frequency (cycles per base)")
    panels[-1, 1].set_xlabel("codon position")
    panels[-1, 1].set_xticks(range(1, CODON + 1))
    _legend(figure, panels[0, 0])
    return figure


def codon_errors(result: CodonErrors, labels: Mapping[str, str]) -> Figure:
    """Synonymous share and severity of the error mass, over those of a uniform guess; a row a direction of reading.

    The synonymous share is not shown where a uniform guess has less than 1 % of its error there.
    """
    table = result.table
    readings = [name for name in READINGS if table.loc[table["reading"] == name, "codons"].any()]
    figure = new_figure(0.65 + 1.9 * len(readings))
    panels = figure.subplots(len(readings), 2, sharex=True, sharey="col", squeeze=False)
    models = [model for model in table["model"].unique() if model != "uniform"]
    shown = (("synonymous", "synonymous share"), ("severity", "severity"))
    for row, reading in zip(panels, readings, strict=True):
        of_reading = table[table["reading"] == reading]
        uniform = of_reading[of_reading["model"] == "uniform"]
        for axes, (measure, label) in zip(row, shown, strict=True):
            axes.axhline(1, color=COLOURS["uniform"], linestyle=":", label=labels["uniform"])
            says_something = uniform[measure].to_numpy(float) >= _LEAST_SHARE
            for place, model in enumerate(models):
                of_model = of_reading[of_reading["model"] == model][says_something]
                at = of_model["position"] + _DODGE * (place - (len(models) - 1) / 2)
                _draw_points(axes, at, of_model, f"{measure}_ratio", model, labels)
            axes.set_ylabel(f"{label}\n(uniform guess = 1)")
            axes.set_xticks(POSITIONS, ["all", "1", "2", "3"])
            axes.set_xlim(-0.5, POSITIONS[-1] + 0.5)
            axes.yaxis.set_major_locator(MaxNLocator(5))
        codons = plural(int(of_reading["codons"].max()), "codon")
        row[0].set_title(f"{READING_LABELS[reading]}, {codons}", fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("codon position")
    _legend(figure, panels[0, 0])
    return figure


def similarity(result: Similarity, labels: Mapping[str, str]) -> Figure:
    """NLL, and gain over the reference, by how much of a window is in one stretch of train."""
    bins = result.bins
    names = [name for name in BIN_NAMES if name in set(bins["bin"])]
    figure = new_figure(2.9)
    panels = figure.subplots(1, 2)
    models = list(bins["model"].unique())
    panels[0].axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", label=labels["uniform"])
    panels[1].axhline(0, color="#333333", linewidth=0.8)
    for place, model in enumerate(models):
        of_model = bins[bins["model"] == model]
        at = of_model["bin"].map(names.index) + 0.6 * _DODGE * (place - (len(models) - 1) / 2)
        _draw_points(panels[0], at, of_model, "nll", model, labels, joined=True)
        if model != result.reference:
            _draw_points(panels[1], at, of_model, "gain", model, labels, joined=True)
    windows = bins.drop_duplicates("bin").set_index("bin")["windows"]
    ticks = [f"{name}\n{_short(int(windows[name]))}" for name in names]
    for axes in panels:
        axes.set_xticks(range(len(names)), ticks, fontsize=6.5 if len(names) > 5 else 8)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_xlabel("containment in one stretch of train (%)\nnumber of windows")
    panels[0].set(ylabel="NLL (nats per base)", title="a")
    panels[1].set(ylabel=f"gain over {labels[result.reference]} (nats per base)", title="b")
    _legend(figure, panels[0])
    return figure


def _short(number: int) -> str:
    """A count that fits under a tick."""
    return count(number) if number < 10_000 else f"{count(number / 1000)}k"


def _limits(table: pd.DataFrame, quantity: str, of_uniform: float) -> tuple[float, float]:
    """All of the curves, and most of their bands: where there are few sites, single bands are far too wide."""
    curve = table[quantity].to_numpy(float)
    lows, highs = (table[f"{quantity}_{end}"].dropna() for end in ("low", "high"))
    low = np.nanmin([np.nanmin(curve), of_uniform, lows.quantile(0.02) if len(lows) else np.nan])
    high = np.nanmax([np.nanmax(curve), of_uniform, highs.quantile(0.98) if len(highs) else np.nan])
    margin = 0.05 * (high - low)
    return float(low - margin), float(high + margin)


def _draw_line(
    axes: Axes, x: pd.Series[Any], table: pd.DataFrame, quantity: str, model: str, labels: Mapping[str, str]
) -> None:
    """A curve with its interval as a band."""
    axes.fill_between(x, table[f"{quantity}_low"], table[f"{quantity}_high"], color=COLOURS[model], alpha=0.2, lw=0)
    axes.plot(x, table[quantity], color=COLOURS[model], label=labels[model], **_LINES[model])


def _draw_points(
    axes: Axes,
    x: pd.Series[Any],
    table: pd.DataFrame,
    quantity: str,
    model: str,
    labels: Mapping[str, str],
    joined: bool = False,
) -> None:
    """Points with their intervals as bars; an undefined interval has no bar."""
    value = table[quantity].to_numpy(float)
    ends = np.abs(table[[f"{quantity}_low", f"{quantity}_high"]].to_numpy(float).T - value)
    axes.errorbar(
        x,
        value,
        np.nan_to_num(ends),
        color=COLOURS[model],
        marker=_MARKERS[model],
        markersize=4,
        linestyle="-" if joined else "none",
        linewidth=0.8,
        elinewidth=1,
        label=labels[model],
    )


def _say(axes: Axes, text: str) -> None:
    # On white, since the lines of the panel run behind it.
    looks: dict[str, Any] = {"fontsize": 8, "color": "#666666", "bbox": {"facecolor": "white", "linewidth": 0}}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", **looks)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(names), handlelength=2)
