from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base import figures as figures_scores
from evaluation.per_base.scores import WindowScores
from evaluation.statistics.bootstrap import Interval

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 3"}


def test_heatmap_shows_log_probabilities_and_marks_what_is_there() -> None:
    base = np.log(np.random.default_rng(0).dirichlet(np.ones(4), 6))
    base[0] = np.nan
    bases = np.frombuffer(b"ACGTNa", np.uint8)
    figure = figures_scores.window_heatmap({"base": base, "adapted": base + 0.1}, bases, LABELS, start=10)
    image = figure.axes[0].images[0].get_array()
    assert image.shape == (4, 6)
    assert image.mask[:, 0].all()
    np.testing.assert_allclose(image[:, 1:], base[1:].T)
    marks = figure.axes[0].collections[0].get_offsets()
    assert marks.tolist() == [[10, 0], [11, 1], [12, 2], [13, 3], [15, 0]]
    gains = [patch.get_height() for patch in figure.axes[2].patches]
    assert gains == pytest.approx([0, 0.1, 0.1, 0.1, 0, 0.1])


@pytest.mark.parametrize(("reverse", "first"), [(False, 1000), (True, 1009)])
def test_entropy_track_runs_along_the_strand(reverse: bool, first: int) -> None:
    logprobs = np.full((10, 4), np.log(0.25))
    logprobs[0] = [0, -50, -50, -50]
    figure = figures_scores.entropy_track({"base": logprobs}, LABELS, "s$x", 1000, slice(2, 5), reverse)
    line = figure.axes[0].lines[0]
    assert line.get_xdata()[0] == first
    assert line.get_ydata()[:2] == pytest.approx([0, 2])
    axes = figure.axes[0]
    band = axes.patches[0].get_window_extent().transformed(axes.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((1004.5, 1007.5) if reverse else (1001.5, 1004.5))


def test_distributions_hold_every_window_and_survive_equal_ones() -> None:
    table = pd.DataFrame(
        {"bases": 10, "nll_base": [12.0, 13, 14, 15], "nll_adapted": [11.0, 12, 13, 14], "nll_markov": 13.0}
    )
    scores = WindowScores(table, ("base", "adapted", "markov"), 0, 0, 0)
    figure = figures_scores.score_distributions(scores, LABELS, Interval(0.1, 0.09, 0.11))
    assert sum(bar.get_height() for bar in figure.axes[2].patches[:-1]) == 4
    assert len(figure.axes) == 3
    assert len(figures_scores.score_distributions(scores, LABELS, None).axes) == 2
