"""Figures of choices within codons, and of codons among a model's states."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from evaluation.codons.choices import CodonChoices
from evaluation.drawing.style import COLOURS, new_figure, plain, shortened
from evaluation.statistics.bootstrap import Interval

_MARKERS = {"base": "o", "adapted": "^", "markov": "s", "copy": "D"}
_OTHER_COLOUR = "#333333"
_LONGEST_LABEL = 28
#: Measure, what is expected by chance, label of the axis, whether it is a share.
_PANELS = (
    ("third_synonymous", "third_by_chance", "wrong third bases\nthat are synonymous", True),
    ("codon_synonymous", "codon_by_chance", "wrong codons\nthat are synonymous", True),
    ("error_severity", "error_severity_by_chance", "tree distance of wrong codons\n(levels)", False),
)


def choices(result: CodonChoices, labels: Mapping[str, str]) -> Figure:
    """Synonymous share and severity of each model's errors, beside those of random errors in their place."""
    models = [model for model in result.table["model"] if model != "uniform"]
    figure = new_figure(1.25 + 0.27 * len(models))
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (measure, chance, label, is_share) in zip(panels, _PANELS, strict=True):
        for place, model in enumerate(models):
            _draw_point(axes, place, result.interval(model, measure), model)
            by_chance = result.interval(model, chance).estimate
            if np.isfinite(by_chance):
                axes.plot(by_chance, place, "|", color="#555555", markersize=11, markeredgewidth=1.6, zorder=2)
        axes.set_xlabel(label)
        axes.grid(axis="x", color="#E5E5E5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        if is_share:
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.12)
    panels[0].set_ylim(len(models) - 0.5, -0.5)
    panels[0].set_yticks(
        range(len(models)), [plain(shortened(labels.get(model, model), _LONGEST_LABEL)) for model in models]
    )
    for axes in panels:
        if not axes.lines:
            axes.set_xticks([])
            axes.text(0.5, 0.5, "no errors", transform=axes.transAxes, ha="center", va="center", fontsize=8)
    marks = [
        Axes.plot(panels[0], [], [], "o", color="#555555", markersize=4, label="what the model chose, with interval")[
            0
        ],
        Axes.plot(
            panels[0],
            [],
            [],
            "|",
            color="#555555",
            markersize=11,
            markeredgewidth=1.6,
            label="random errors in the same places",
        )[0],
    ]
    figure.legend(handles=marks, loc="outside upper left", ncols=2, handlelength=1.2)
    return figure


def _draw_point(axes: Axes, place: int, found: Interval, model: str) -> None:
    if not np.isfinite(found.estimate):
        return
    colour = COLOURS.get(model, _OTHER_COLOUR)
    if found.defined:
        axes.plot([found.low, found.high], [place, place], color=colour, linewidth=1.2, zorder=3)
    axes.plot(found.estimate, place, _MARKERS.get(model, "o"), color=colour, markersize=4.5, zorder=4)
