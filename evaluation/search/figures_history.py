"""Figures of how a search went: values and durations of the trials one after the other, and their losses."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from evaluation.drawing.style import COLOURS, new_figure
from evaluation.search.looks import BEST, DEFAULT, FAILED, PRUNED, TRIAL, axis_label, folded, limit, shown_range, ticks
from evaluation.search.progress import running_best
from evaluation.search.reading import Study

#: Share of the axis, beyond its worst values, that holds the marks of trials without a value.
_STRIP = 0.14
#: Share of the steps in which a training finds its place.
_BEGINNING = 0.1
#: Letters for which a vertical axis has room.
_LABEL_LETTERS = 26
_HOUR, _MINUTE = 3600.0, 60.0


def history(study: Study) -> Figure:
    """Value of every complete trial and the best so far, a panel an objective.

    Pruned and failed trials are marked in a strip at the worse end.
    """
    amount = len(study.objectives)
    figure = new_figure(0.6 + (2.4 if amount == 1 else 1.9) * amount)
    panels = figure.subplots(amount, 1, sharex=True, squeeze=False)[:, 0]
    numbers = np.array(study.numbers)
    for place, axes in enumerate(panels):
        objective, values = study.objectives[place], study.values[:, place]
        drawn = limit(axes, values, objective.sign)
        low, high = axes.get_ylim()
        free = _STRIP * (high - low)
        axes.set_ylim((low, high + free) if objective.sign > 0 else (low - free, high))
        if study.best(place) is None:
            axes.set_yticks([])
        else:
            _draw_values(axes, study, place, drawn)
        for state, look, depth in (("pruned", PRUNED, 0.03), ("failed", FAILED, 0.09)):
            chosen = numbers[study.in_state(state)]
            if len(chosen):
                height = 1 - depth if objective.sign > 0 else depth
                heights = np.full(len(chosen), height)
                axes.scatter(chosen, heights, transform=axes.get_xaxis_transform(), label=state, **look)
        axes.set_ylabel(axis_label(objective, _LABEL_LETTERS))
    _number_trials(panels[-1], numbers)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=6, handlelength=1.4)
    return figure


def _draw_values(axes: Axes, study: Study, place: int, drawn: np.ndarray) -> None:
    """Complete trials at the heights `drawn`, the best of them and so far, and the default."""
    numbers, best, so_far = study.numbers, study.best(place), running_best(study, place)
    axes.yaxis.set_major_locator(ticks(6))
    axes.scatter(numbers, drawn, label="complete", **TRIAL)
    axes.plot(numbers, so_far, color=COLOURS["adapted"], drawstyle="steps-post", label="best so far")
    if study.default is not None:
        axes.axhline(drawn[study.default], color="black", linewidth=0.7, linestyle="--", zorder=0)
        axes.scatter(numbers[study.default], drawn[study.default], label="default", **DEFAULT)
    if best is not None:
        axes.scatter(numbers[best], drawn[best], label="best", **BEST)


def _number_trials(axes: Axes, numbers: np.ndarray) -> None:
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(ticks(10, integer=True))
    first, last = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    margin = max(0.02 * (last - first), 0.5)
    axes.set_xlim(first - margin, last + margin)


def curves(study: Study) -> Figure | None:
    """What every trial told while it ran; None where nothing was reported."""
    table = study.intermediate
    if table.empty:
        return None
    objective, best = study.objectives[0], study.best(0)
    numbers = {
        state: {n for n, row in zip(study.numbers, study.in_state(state), strict=True) if row}
        for state in ("complete", "pruned", "failed")
    }
    of_trial, first = np.unique(table["number"].to_numpy(int), return_index=True)
    points = table[["step", "value"]].to_numpy(float)
    lines = dict(zip(of_trial.tolist(), np.split(points, first[1:]), strict=True))
    figure = new_figure(2.9)
    axes = figure.subplots()
    steps, values = points.T
    settled = values[steps > _BEGINNING * steps.max()]
    axes.set_ylim(*shown_range(settled, objective.sign))
    margin = 0.02 * (steps.max() - steps.min()) or 0.5
    axes.set_xlim(steps.min() - margin, steps.max() + margin)
    for state, look in (("failed", FAILED), ("complete", TRIAL), ("pruned", PRUNED)):
        chosen = [line for number, line in lines.items() if number in numbers[state]]
        if not chosen:
            continue
        alpha = float(np.clip(12 / len(chosen), 0.15, 0.8))
        axes.add_collection(LineCollection(chosen, colors=look["color"], linewidths=0.7, alpha=alpha))
        ends = np.array([line[-1] for line in chosen])
        axes.scatter(ends[:, 0], ends[:, 1], label=f"{state}, with its end", **look)
    for row, name, colour, dashes in (
        (best, "best", COLOURS["adapted"], "-"),
        (study.default, "default", "black", "--"),
    ):
        line = None if row is None else lines.get(study.numbers[row])
        if line is not None:
            axes.plot(line[:, 0], line[:, 1], color=colour, linestyle=dashes, linewidth=1.6, label=name, zorder=5)
    axes.set(xlabel="optimizer step", ylabel=folded(study.followed, _LABEL_LETTERS))
    axes.xaxis.set_major_locator(ticks(8, integer=True))
    figure.legend(loc="outside upper left", ncols=5, handlelength=1.6)
    return figure


def costs(study: Study) -> Figure | None:
    """Duration of every trial, and what each way to end has taken together; None where no duration is known."""
    seconds = study.trials["seconds"].to_numpy(float, na_value=np.nan)
    hours = study.trials["gpu_hours"].to_numpy(float, na_value=np.nan)
    known = np.isfinite(seconds) & (seconds > 0)
    if not known.any():
        return None
    unit, name = (
        (_HOUR, "h")
        if np.median(seconds[known]) > _HOUR
        else ((_MINUTE, "min") if np.median(seconds[known]) > _MINUTE else (1.0, "s"))
    )
    figure = new_figure(2.6)
    trials, sums = figure.subplots(1, 2, width_ratios=(3, 1.3))
    numbers = np.array(study.numbers)
    states = [("complete", TRIAL), ("pruned", PRUNED), ("failed", FAILED)]
    for state, look in states:
        chosen = study.in_state(state) & known
        if chosen.any():
            trials.scatter(numbers[chosen], seconds[chosen] / unit, label=state, **look)
    if seconds[known].max() > 20 * np.median(seconds[known]):
        trials.set_yscale("log")
    else:
        trials.set_ylim(0, None)
        trials.yaxis.set_major_locator(ticks(5))
    trials.set_ylabel(f"duration of a trial ({name})")
    _number_trials(trials, numbers)
    has_gpu = bool(np.nansum(hours) > 0)
    spent = hours if has_gpu else seconds / _HOUR
    totals = [float(np.nansum(spent[study.in_state(state)])) for state, _ in states]
    sums.barh(range(len(states)), totals, color=[look["color"] for _, look in states], height=0.6)
    sums.set_yticks(range(len(states)), [state for state, _ in states])
    sums.invert_yaxis()
    sums.tick_params(axis="y", length=0)
    sums.set_xlabel("GPU hours together" if has_gpu else "hours together")
    sums.xaxis.set_major_locator(ticks(4))
    figure.legend(*trials.get_legend_handles_labels(), loc="outside upper left", ncols=3, handlelength=1.4)
    return figure
