from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from evaluation.classification.influence import macro_ranking, ranking_influence, spearman_influence
from evaluation.classification.measures import around
from evaluation.classification.resampling import Resampling
from evaluation.statistics.correlations import correlate
from evaluation.statistics.ranking import auroc, average_precision, ranking

ROWS = 50
COPIES, MORE = 400, 4


@pytest.fixture
def tied() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and values with ties, and which rows are positive."""
    generator = np.random.default_rng(1)
    positive = generator.random(ROWS) < 0.3
    scores = np.round(generator.normal(size=ROWS) + 0.7 * positive, 1)
    return scores, np.round(scores + generator.normal(size=ROWS), 1), positive


def derivative(measure: Callable[..., float], row: int, *columns: np.ndarray) -> float:
    """Change of a measure with the weight of a row: every row stands there many times, this one a few times more."""
    weights = np.full(ROWS, COPIES)
    before = measure(*(np.repeat(column, weights) for column in columns))
    weights[row] += MORE
    return (measure(*(np.repeat(column, weights) for column in columns)) - before) * ROWS * COPIES / MORE


@pytest.mark.parametrize("row", [0, 7, 23])
def test_influences_are_derivatives(tied: tuple[np.ndarray, np.ndarray, np.ndarray], row: int) -> None:
    scores, values, positive = tied
    of_ranking = ranking_influence(scores, positive)[1][row]
    assert of_ranking[0] == pytest.approx(derivative(auroc, row, scores, positive), abs=0.02)
    assert of_ranking[1] == pytest.approx(derivative(average_precision, row, scores, positive), abs=0.02)
    of_spearman = spearman_influence(scores, values)[1][row]
    assert of_spearman == pytest.approx(
        derivative(lambda x, y: float(stats.spearmanr(x, y)[0]), row, scores, values), abs=0.02
    )


def test_estimates_are_those_of_others_and_influences_sum_to_0(
    tied: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    scores, values, positive = tied
    estimates, influences = ranking_influence(scores, positive)
    assert estimates == pytest.approx([roc_auc_score(positive, scores), average_precision_score(positive, scores)])
    estimate, influence = spearman_influence(scores, values)
    assert estimate == pytest.approx(stats.spearmanr(scores, values)[0])
    assert np.column_stack([influences, influence]).sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)


def test_intervals_agree_with_those_that_rank_every_resampling_anew() -> None:
    generator = np.random.default_rng(2)
    rows, samples = 400, 1500
    positive = generator.random(rows) < 0.3
    scores = generator.normal(size=rows) + positive
    values = scores + generator.normal(size=rows)
    resampling, used = Resampling(np.arange(rows), samples, 0.95, 0), np.ones(rows, bool)
    estimates, influences = ranking_influence(scores, positive)
    sums = resampling.sums(np.column_stack([influences, np.ones(rows)]), used)
    area, precision = (
        found.interval for found in resampling.measure(sums, used, lambda totals: around(estimates, totals, 0.0))
    )
    exact = ranking({"model": scores}, positive, samples, 0.95, 0)
    for found, expected in ((area, exact.auroc["model"]), (precision, exact.auprc["model"])):
        width = expected.high - expected.low
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.15 * width)
    estimate, influence = spearman_influence(scores, values)
    sums = resampling.sums(np.column_stack([influence, np.ones(rows)]), used)
    found = resampling.measure(sums, used, lambda totals: around(np.array([estimate]), totals, -1.0))[0].interval
    expected = correlate(values, {"model": scores}, np.empty((rows, 0)), np.arange(rows), samples, 0.95, 0)[0]["model"]
    width = expected.spearman.high - expected.spearman.low
    assert found.low == pytest.approx(expected.spearman.low, abs=0.15 * width)
    assert found.high == pytest.approx(expected.spearman.high, abs=0.15 * width)


def test_macro_averages_are_over_classes_that_are_present() -> None:
    generator = np.random.default_rng(3)
    codes = generator.choice([0, 2, 3], 200)
    probabilities = generator.dirichlet(np.ones(5), 200) + 0.2 * (codes[:, None] == np.arange(5))
    estimates, influences = macro_ranking(codes, probabilities)
    for place, score in enumerate((roc_auc_score, average_precision_score)):
        expected = np.mean([score(codes == k, probabilities[:, k]) for k in (0, 2, 3)])
        assert estimates[place] == pytest.approx(expected)
    assert influences.shape == (200, 2)
    assert np.isnan(macro_ranking(np.zeros(5, int), np.full((5, 2), 0.5))[0]).all()


def test_a_constant_has_no_rank_correlation() -> None:
    estimate, influence = spearman_influence(np.ones(5), np.arange(5.0))
    assert np.isnan(estimate)
    assert not influence.any()
