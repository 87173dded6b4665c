from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.drawing import learning
from evaluation.per_base.scores import UNIFORM_NLL


def log(values: list[float] | np.ndarray, name: str = "train_loss") -> pd.DataFrame:
    return pd.DataFrame({"step": np.arange(1, len(values) + 1), "bases_seen": 0, "name": name, "value": values})


def from_random_weights(steps: int = 1000) -> np.ndarray:
    return 1.3 + (np.log(512) - 1.3) * np.exp(-np.arange(steps) / 10)


def test_curve_has_the_uniform_line() -> None:
    figure = learning.learning_curve(pd.concat([log([1.4, 1.3]), log([1.35], "val_loss")]), None)
    lines = figure.axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [2, 1, 2]
    assert lines[-1].get_ydata()[0] == UNIFORM_NLL


def test_the_start_from_random_weights_does_not_flatten_the_rest() -> None:
    metrics = log(from_random_weights())
    ceiling = learning.ceiling(metrics)
    assert ceiling is not None
    assert UNIFORM_NLL < ceiling < 1.5
    bottom, top = learning.learning_curve(metrics, ceiling).axes[0].get_ylim()
    assert top == ceiling
    assert 1.2 < bottom < 1.3
    hidden = int((metrics["value"] > ceiling).sum())
    assert learning.above(metrics, ceiling) == (
        f"The axis ends at {ceiling:.2f}; {hidden} early values of up to 6.24 nats per base, as random weights give, "
        "lie above it."
    )


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(1.4, 1.2, 100),
        from_random_weights()[::-1],  # A loss that explodes at the end has to be seen.
        np.full(100, 1.3),
        [6.2],
        [np.nan, np.nan],
    ],
)
def test_everything_else_is_shown_whole(values: np.ndarray) -> None:
    assert learning.ceiling(log(values)) is None
