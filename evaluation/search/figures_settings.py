"""Figures of the settings: how much each decides, and the value of the trials along each."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from evaluation.drawing.style import COLOURS, SEQUENTIAL_MAP, new_figure, plain, shortened
from evaluation.page.text import MISSING
from evaluation.search.looks import BEST, DEFAULT, axis_label, folded, limit, ticks
from evaluation.search.reading import Study
from evaluation.search.space import Setting, told

_COLUMNS = 4
_LONGEST_NAME, _LONGEST_ROW = 22, 34
#: Categories whose names an axis has room for.
_MOST_NAMED = 12
#: Share of the distance of two categories over which their trials are spread, so that they can be told apart.
_SPREAD = 0.6
_GOLDEN = 0.618034
_MOST_ROUND = 4
#: Decades over which a logarithmic axis is labelled at powers of ten alone.
_WIDE = 2.0


def importances(study: Study) -> Figure | None:
    """Share of the variance of each objective that each setting decides; None where there is nothing to tell."""
    known = [objective for objective in study.objectives if study.importances.get(objective.name)]
    if not known or len(study.settings) < 2:
        return None
    first = study.importances[known[0].name]
    settings = sorted(study.settings, key=lambda setting: -np.nan_to_num(first.get(setting.key, -1.0)))
    figure = new_figure(0.75 + 0.22 * len(settings))
    panels = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
    for axes, objective in zip(panels, known, strict=True):
        shares = study.importances[objective.name]
        values = np.array([shares.get(setting.key, np.nan) for setting in settings])
        axes.barh(range(len(settings)), np.nan_to_num(values), color=COLOURS["base"], height=0.62)
        for row in np.flatnonzero(np.isnan(values)):
            axes.text(0.01, row, MISSING, va="center", color="#333333")
        axes.axvline(1 / len(settings), color="#333333", linewidth=0.8, linestyle=":")
        axes.set(xlim=(0, max(1.06 * float(np.nanmax(values)), 1.2 / len(settings))), xlabel="share of the variance")
        if len(known) > 1:
            axes.set_title(folded(objective.label, 66 // len(known)))
        axes.xaxis.set_major_locator(ticks(5))
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(settings)), [plain(shortened(s.name, _LONGEST_ROW)) for s in settings])
    panels[0].set_ylim(len(settings) - 0.4, -0.6)
    return figure


def slices(study: Study, objective: int) -> Figure | None:
    """Value of every complete trial along each setting; None where no trial is complete."""
    values = study.values[:, objective]
    if np.isnan(values).all() or not study.settings:
        return None
    columns = min(_COLUMNS, len(study.settings))
    rows = -(-len(study.settings) // columns)
    figure = new_figure(0.65 + 1.75 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(study.settings) :]:
        axes.set_visible(False)
    drawn = limit(panels[0, 0], values, study.objectives[objective].sign)
    numbers = np.array(study.numbers)
    dots = None
    for axes, setting in zip(panels.flat, study.settings, strict=False):
        places = jittered(setting, numbers)
        shown = np.isfinite(places) & np.isfinite(drawn)
        dots = axes.scatter(
            places[shown],
            drawn[shown],
            c=numbers[shown],
            s=9,
            cmap=SEQUENTIAL_MAP,
            linewidths=0,
            vmin=numbers.min(),
            vmax=max(numbers.max(), numbers.min() + 1),
        )
        for row, look, name in ((study.default, DEFAULT, "default"), (study.best(objective), BEST, "best")):
            if row is not None and shown[row]:
                axes.scatter(places[row], drawn[row], label=name, **look)
        label_setting(axes, setting)
    for line in panels:
        line[0].set_ylabel(axis_label(study.objectives[objective], 22), fontsize=8)
    figure.align_xlabels()
    assert dots is not None
    bar = figure.colorbar(dots, ax=panels, label="trial", aspect=30, pad=0.01, shrink=min(1.0, 0.5 + 0.5 / rows))
    bar.locator = ticks(5, integer=True)
    bar.update_ticks()
    handles = {
        name: handle for axes in panels.flat for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=2, handlelength=1.4)
    return figure


def jittered(setting: Setting, numbers: np.ndarray) -> np.ndarray:
    """Places on the axis; those of choices moved sideways, each trial by a fixed amount (golden ratio sequence)."""
    if setting.choices is None:
        return setting.places
    moved: np.ndarray = setting.places + ((numbers * _GOLDEN) % 1 - 0.5) * _SPREAD
    return moved


def label_setting(axes: Axes, setting: Setting) -> None:
    """Name, scale, range and ticks of the horizontal axis of a setting."""
    inactive = int(np.isnan(setting.places).sum())
    note = f"\ninactive in {inactive:,}" if inactive else ""
    axes.set_xlabel(f"{plain(shortened(setting.name, _LONGEST_NAME))}{note}", fontsize=8)
    if setting.choices is not None:
        names = [plain(name) for name in setting.categories]
        step = -(-len(names) // _MOST_NAMED)
        axes.set_xticks(range(0, len(names), step), names[::step])
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.tick_params(axis="x", length=0, labelsize=7)
        return
    if setting.log:
        axes.set_xscale("log")
        if np.log10(setting.high / setting.low) > _WIDE:
            axes.xaxis.set_major_locator(LogLocator(numticks=4))
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            places = round_numbers(setting.low, setting.high)
            axes.set_xticks(places, [told(place) for place in places])
            axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(ticks(4))
    axes.tick_params(axis="x", labelsize=7)
    shares = np.array([-0.05, 1.05])
    if setting.high > setting.low:
        if setting.log:
            axes.set_xlim(*(setting.low * (setting.high / setting.low) ** shares))
        else:
            axes.set_xlim(*(setting.low + (setting.high - setting.low) * shares))


def round_numbers(low: float, high: float) -> list[float]:
    """At most four of 1, 2, 5, 10, 20, 50, … between two positive numbers, evenly chosen; else the two themselves."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    found = [value for power in powers for value in (power, 2 * power, 5 * power) if low <= value <= high]
    if len(found) < 2:
        return [low, high]
    return [float(f"{value:.3g}") for value in found[:: -(-len(found) // _MOST_ROUND)]]
