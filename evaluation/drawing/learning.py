"""The learning curve."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluation.drawing.style import COLOURS, new_figure, place_legend_above
from evaluation.page.text import number, plural
from evaluation.per_base.scores import UNIFORM_NLL

_LOOKS = {
    "train_loss": ("train batches", {"color": "#999999", "linewidth": 0.8}),
    "val_loss": ("validation", {"color": COLOURS["adapted"], "marker": "o", "markersize": 3.5}),
    "val_loss_nonrepeat": (
        "validation, outside repeats",
        {"color": COLOURS["truth"], "marker": "s", "markersize": 3, "linestyle": "--"},
    ),
}
#: Share of the steps in which a model with random weights finds the frequencies of the bases.
_BEGINNING = 0.1
#: Share of the axis that is left free at its ends.
_MARGIN = 0.08


def learning_curve(metrics: pd.DataFrame, ceiling: float | None) -> Figure:
    """Loss over optimizer steps: training batches, validation, validation outside repeats, and ln 4.

    Parameters
    ----------
    metrics : DataFrame
        Training log in long form: step, name, value (nats per base).
    ceiling : float or None
        Upper end of the axis; None to show everything.
    """
    figure = new_figure(2.6)
    axes = figure.subplots()
    losses = _losses(metrics)
    for name, (label, look) in _LOOKS.items():
        points = losses[losses["name"] == name].sort_values("step")
        if len(points):
            axes.plot(points["step"], points["value"], label=label, **look)  # type: ignore[arg-type]
    axes.axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", label="uniform guess (ln 4)")
    axes.set(xlabel="optimizer step", ylabel="loss (nats per base)")
    if ceiling is not None:
        lowest = min(float(losses["value"].min()), UNIFORM_NLL)
        axes.set_ylim(lowest - _MARGIN * (ceiling - lowest), ceiling)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    place_legend_above(axes, 4)
    return figure


def ceiling(metrics: pd.DataFrame) -> float | None:
    """Where the axis of a training from random weights should end, in nats per base.

    Just above ln 4 and every loss after the first tenth of the steps. None when the losses before would take less
    than half of an axis that shows everything.
    """
    losses = _losses(metrics)
    if losses.empty:
        return None
    settled = losses.loc[losses["step"] > _BEGINNING * losses["step"].max(), "value"]
    lowest, top = min(float(losses["value"].min()), UNIFORM_NLL), max(float(settled.max()), UNIFORM_NLL)
    if losses["value"].max() - top <= top - lowest:
        return None
    return top + _MARGIN * (top - lowest)


def above(metrics: pd.DataFrame, ceiling: float) -> str:
    """A sentence on what an axis that ends at `ceiling` does not show."""
    values = _losses(metrics)["value"]
    return (
        f"The axis ends at {number(ceiling, 2)}; {plural(int((values > ceiling).sum()), 'early value')} of up to "
        f"{number(float(values.max()), 2)} nats per base, as random weights give, lie above it."
    )


def _losses(metrics: pd.DataFrame) -> pd.DataFrame:
    """The finite values of the curves."""
    losses: pd.DataFrame = metrics[metrics["name"].isin(list(_LOOKS)) & np.isfinite(metrics["value"])]
    return losses
