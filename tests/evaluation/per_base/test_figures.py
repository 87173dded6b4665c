from __future__ import annotations

import pandas as pd

from evaluation.per_base import figures as figures_scores
from evaluation.per_base.scores import WindowScores
from evaluation.statistics.bootstrap import Interval

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 3"}


def test_distributions_hold_every_window_and_survive_equal_ones() -> None:
    table = pd.DataFrame(
        {"bases": 10, "nll_base": [12.0, 13, 14, 15], "nll_adapted": [11.0, 12, 13, 14], "nll_markov": 13.0}
    )
    scores = WindowScores(table, ("base", "adapted", "markov"), 0, 0, 0)
    figure = figures_scores.score_distributions(scores, LABELS, Interval(0.1, 0.09, 0.11))
    assert sum(bar.get_height() for bar in figure.axes[2].patches[:-1]) == 4
    assert len(figure.axes) == 3
    assert len(figures_scores.score_distributions(scores, LABELS, None).axes) == 2
