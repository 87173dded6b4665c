"""Figure of whole configurations: parallel coordinates (Inselberg 1985, The Visual Computer 1:69)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from evaluation.drawing.style import COLOURS, SEQUENTIAL_MAP, new_figure, plain, shortened
from evaluation.search.looks import axis_label, folded, shown_range
from evaluation.search.reading import Study
from evaluation.search.space import Setting, told

#: Height at which a line passes the axis of a setting that is inactive in its trial.
_INACTIVE = -0.16
_LONGEST_NAME, _LINE, _LONGEST_TICK = 30, 20, 9
#: Categories that are named on an axis.
_MOST_NAMED = 8
_TICK_SIZE = 6
#: Share of the trials, the best, whose lines do not fade where there are many.
_STRONG = 0.1


def parallel(study: Study) -> Figure | None:
    """A line a complete trial through its settings to its values; None without one or with a single setting.

    Lines are coloured by the first objective, the better ones in front and the best tenth strong; the best and the
    default stand out.
    """
    complete = np.flatnonzero(np.isfinite(study.values).all(axis=1))
    if not len(complete) or len(study.settings) < 2:
        return None
    objective = study.objectives[0]
    columns = [setting.scaled(setting.places) for setting in study.settings]
    ranges = [shown_range(study.values[:, place], of_one.sign) for place, of_one in enumerate(study.objectives)]
    columns += [
        np.clip((study.values[:, place] - low) / (high - low), 0, 1) for place, (low, high) in enumerate(ranges)
    ]
    heights = np.nan_to_num(np.column_stack(columns), nan=_INACTIVE)
    figure = new_figure(3.7)
    axes = figure.subplots()
    places = np.arange(heights.shape[1])
    norm = Normalize(*ranges[0])
    worst_first = complete[np.argsort(-objective.sign * study.values[complete, 0], kind="stable")]
    colour = SEQUENTIAL_MAP if objective.sign > 0 else f"{SEQUENTIAL_MAP}_r"
    fade = float(np.clip(60 / len(complete), 0.15, 0.9))
    lines = LineCollection(
        [np.column_stack([places, heights[row]]) for row in worst_first],
        cmap=colour,
        norm=norm,
        linewidths=0.7,
        alpha=np.where(np.arange(len(complete)) >= (1 - _STRONG) * len(complete), 0.9, fade),
    )
    lines.set_array(study.values[worst_first, 0])
    axes.add_collection(lines)
    for row, look in ((study.best(0), (COLOURS["adapted"], "-", "best")), (study.default, ("black", "--", "default"))):
        if row is not None:
            axes.plot(places, heights[row], color=look[0], linestyle=look[1], linewidth=1.8, label=look[2], zorder=5)
    for place, setting in enumerate(study.settings):
        _draw_axis(axes, place, *_ticks(setting))
    for place, (low, high) in enumerate(ranges, start=len(study.settings)):
        of_one = study.objectives[place - len(study.settings)]
        _draw_axis(axes, place, np.array([0.0, 1.0]), [of_one.told(low), of_one.told(high)])
    has_inactive = any(np.isnan(setting.places[complete]).any() for setting in study.settings)
    if has_inactive:
        axes.text(-0.12, _INACTIVE, "inactive", ha="right", va="center", fontsize=_TICK_SIZE + 1)
    names = [plain(shortened(setting.name, _LONGEST_NAME)) for setting in study.settings]
    names += [folded(of_one.label, _LINE) for of_one in study.objectives]
    axes.set_xticks(places, names, rotation=38, ha="right")
    axes.tick_params(axis="x", length=0, labelsize=7.5)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set(xlim=(-0.3, len(places) - 0.45), ylim=(_INACTIVE - 0.05 if has_inactive else -0.06, 1.06))
    figure.colorbar(ScalarMappable(norm, colour), ax=axes, label=axis_label(objective, 40), aspect=28, pad=0.01)
    figure.legend(loc="outside upper left", ncols=2, handlelength=2)
    return figure


def _draw_axis(axes: Axes, place: int, heights: np.ndarray, names: list[str]) -> None:
    axes.plot([place, place], [0, 1], color="#333333", linewidth=0.7, zorder=3)
    for height, name in zip(heights, names, strict=True):
        axes.annotate(
            plain(shortened(name, _LONGEST_TICK)),
            (place, height),
            xytext=(2.5, 0),
            textcoords="offset points",
            va="center",
            fontsize=_TICK_SIZE,
            zorder=6,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6},
        )


def _ticks(setting: Setting) -> tuple[np.ndarray, list[str]]:
    """Heights on the axis of a setting, and what is written there."""
    if setting.choices is not None:
        step = -(-len(setting.choices) // _MOST_NAMED)
        chosen = np.arange(0, len(setting.choices), step)
        return setting.scaled(chosen.astype(float)), setting.categories[::step]
    if setting.high <= setting.low:
        return np.array([0.5]), [told(setting.low)]
    middle = np.sqrt(setting.low * setting.high) if setting.log else (setting.low + setting.high) / 2
    ends = np.array([setting.low, middle, setting.high])
    return setting.scaled(ends), [told(float(f"{end:.2g}")) for end in ends.tolist()]
