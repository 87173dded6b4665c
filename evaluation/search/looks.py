"""What the figures of a study share: marks of the trials, and axes that one trial far away does not spoil."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from evaluation.drawing.style import COLOURS, plain
from evaluation.search.space import Objective

#: Of dots, by what they stand for.
TRIAL: dict[str, Any] = {"marker": "o", "s": 11, "color": COLOURS["base"], "linewidths": 0}
BEST: dict[str, Any] = {
    "marker": "*",
    "s": 95,
    "color": COLOURS["adapted"],
    "edgecolors": "black",
    "linewidths": 0.5,
    "zorder": 5,
}
DEFAULT: dict[str, Any] = {
    "marker": "D",
    "s": 30,
    "facecolors": "none",
    "edgecolors": "black",
    "linewidths": 1.2,
    "zorder": 6,
}
PRUNED: dict[str, Any] = {"marker": "v", "s": 13, "color": COLOURS["copy"], "linewidths": 0}
FAILED: dict[str, Any] = {"marker": "x", "s": 13, "color": COLOURS["uniform"], "linewidths": 0.9}
#: Share of an axis left free at its ends.
_MARGIN = 0.06
#: Values below which none is left out; the share that is always shown, and how far beyond it the axis goes.
_FEW, _SHOWN, _BEYOND = 8, 0.75, 1.5


def ticks(most: int, integer: bool = False) -> MaxNLocator:
    """Ticks at round numbers: multiples of 1, 2 or 5 times a power of ten."""
    return MaxNLocator(most, steps=[1, 2, 5, 10], integer=integer, min_n_ticks=1 if integer else 2)


def axis_label(objective: Objective, longest: int) -> str:
    """Label and unit of an objective in lines of at most so many letters, the unit in its own if there are several."""
    if len(objective.axis) <= longest:
        return plain(objective.axis)
    return "\n".join([folded(objective.label, longest), *([f"({plain(objective.unit)})"] if objective.unit else [])])


def folded(text: str, longest: int) -> str:
    """Words in lines of at most so many letters."""
    return plain(textwrap.fill(text, longest, break_on_hyphens=False))


def shown_range(values: np.ndarray, sign: int) -> tuple[float, float]:
    """Ends of an axis that shows every good value, and the bad ones up to 1.5 times as far as three quarters reach.

    Parameters
    ----------
    values : ndarray
        NaN where there is none.
    sign : int
        1 where lower is better, −1 where higher is.
    """
    costs = np.sort(sign * values[np.isfinite(values)])
    if not len(costs):
        return 0.0, 1.0
    worst = costs[-1]
    if len(costs) >= _FEW:
        worst = min(worst, costs[0] + (1 + _BEYOND) * (np.quantile(costs, _SHOWN) - costs[0]))
        # Where three quarters are the same, the axis would have no length.
        worst = costs[-1] if worst <= costs[0] else worst
    margin = _MARGIN * (worst - costs[0]) or 0.02 * abs(worst) or 0.5
    ends = sign * (costs[0] - margin), sign * (worst + margin)
    return float(min(ends)), float(max(ends))


def limit(axes: Axes, values: np.ndarray, sign: int, vertical: bool = True) -> np.ndarray:
    """Set the range of an axis by `shown_range`; returns the values with those beyond it moved to its end."""
    low, high = shown_range(values, sign)
    (axes.set_ylim if vertical else axes.set_xlim)(low, high)
    moved: np.ndarray = np.clip(values, low, high)
    return moved


def beyond(values: np.ndarray, sign: int) -> int:
    """How many values an axis of `shown_range` does not show at their place."""
    low, high = shown_range(values, sign)
    return int(((values < low) | (values > high)).sum())
