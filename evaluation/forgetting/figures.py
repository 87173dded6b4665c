"""Figure of the models on other organisms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.drawing.style import COLOURS, new_figure
from evaluation.forgetting.changes import Forgetting

_MARKERS = {"base": "o", "adapted": "^", "markov": "s"}


def changes_by_organism(forgetting: Forgetting, labels: Mapping[str, str]) -> Figure:
    """NLL of each model on each organism, and beside it the change with its interval."""
    table = forgetting.organisms
    places = np.arange(len(table))[::-1]
    figure = new_figure(1.1 + 0.28 * len(table))
    levels, changes = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for model, marker in _MARKERS.items():
        if f"nll_{model}" in table:
            levels.scatter(
                table[f"nll_{model}"], places, s=26, marker=marker, color=COLOURS[model], label=labels[model], zorder=3
            )
    levels.axvline(table["nll_uniform"].iloc[0], color=COLOURS["uniform"], linestyle=":", label=labels["uniform"])
    levels.set_yticks(places, [name.replace("$", r"\$") for name in table["organism"]])
    levels.set(xlabel="NLL (nats per base)", ylim=(-0.6, len(table) - 0.4))
    figure.legend(*levels.get_legend_handles_labels(), loc="outside upper left", ncols=4, handlelength=1.6)
    for place, name in zip(places, table["organism"], strict=True):
        change = forgetting.changes.get(name)
        if change is not None:
            changes.scatter([change.estimate], [place], s=22, color=COLOURS["adapted"], zorder=3)
            changes.hlines(place, change.low, change.high, color=COLOURS["adapted"], linewidth=1.4)
    changes.axvline(0, color="#333333", linewidth=0.8)
    if forgetting.changes:
        changes.axvline(forgetting.limit, color="#333333", linestyle="--", linewidth=0.8)
    changes.set(xlabel="change, adapted − base\n(nats per base)")
    changes.xaxis.set_major_locator(MaxNLocator(4))
    changes.tick_params(axis="y", length=0)
    return figure
