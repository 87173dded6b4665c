from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from evaluation.elements.between import areas


def measured(scores: list[float], positive: list[int], family: list[int]) -> float:
    found = areas({"m": np.array(scores, float)}, np.array(positive, bool), np.array(family), 0.95)
    return found.auroc["m"].estimate


def test_pairs_of_one_family_are_not_compared() -> None:
    # Element 0 beats control 1 only, element 1 beats none; with the pairs of a family it would be 1 of 4.
    assert measured([2, 0, 3, 1], [1, 1, 0, 0], [0, 1, 0, 1]) == 0.5
    assert measured([2, 0, 1, 3], [1, 1, 0, 0], [0, 1, 0, 1]) == 0.0


def test_ties_count_one_half() -> None:
    assert measured([1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 2, 3]) == 0.75


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_with_each_row_a_family_it_is_the_area_under_the_curve(rows: list[tuple[int, bool]]) -> None:
    scores, positive = [float(score) for score, _ in rows], [truth for _, truth in rows]
    found = measured(scores, [int(truth) for truth in positive], list(range(len(rows))))
    if len(set(positive)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_rows_that_are_alone_in_either_side_of_one_family_leave_nothing() -> None:
    found = areas({"m": np.array([1.0, 0.0])}, np.array([True, False]), np.zeros(2, int), 0.95).auroc["m"]
    assert np.isnan([found.estimate, found.low, found.high]).all()


@pytest.mark.parametrize(("gain", "spread"), [(0.0, 0.5), (0.45, 0.15), (2.0, 0.3)])
def test_intervals_of_paired_controls_hold_the_truth(gain: float, spread: float) -> None:
    truth = stats.norm.cdf(gain / np.sqrt(2 + spread**2))
    positive, family = np.arange(60) < 30, np.tile(np.arange(30), 2)
    hits = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        controls = generator.normal(0, 1, 30)
        scores = np.concatenate([controls + generator.normal(gain, spread, 30), controls])
        area = areas({"m": scores}, positive, family, 0.95).auroc["m"]
        hits += area.low <= truth <= area.high
    assert 0.91 <= hits / 200 <= 0.99


def test_intervals_of_a_difference_hold_the_truth() -> None:
    positive, family = np.arange(80) < 40, np.tile(np.arange(40), 2)
    truth = stats.norm.cdf(0.8 / np.sqrt(2)) - 0.5
    hits = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        shared = generator.normal(0, 1, 80)
        better, worse = shared + 0.8 * positive, 0.8 * shared + 0.6 * generator.normal(0, 1, 80)
        found = areas({"a": better, "b": worse}, positive, family, 0.95).differences["a", "b"]
        hits += found.low <= truth <= found.high
    assert 0.91 <= hits / 200 <= 0.99


def test_differences_are_those_of_the_areas_in_both_directions() -> None:
    generator = np.random.default_rng(1)
    scores = {name: generator.normal(0, 1, 40) for name in "ab"}
    found = areas(scores, np.arange(40) < 20, np.tile(np.arange(20), 2), 0.9)
    one, other = found.differences["a", "b"], found.differences["b", "a"]
    assert one.estimate == pytest.approx(found.auroc["a"].estimate - found.auroc["b"].estimate)
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


def test_perfect_scores_have_a_bound_and_ties_alone_have_none() -> None:
    positive, family = np.arange(20) < 10, np.tile(np.arange(10), 2)
    found = areas({"perfect": positive.astype(float), "tied": np.ones(20)}, positive, family, 0.95).auroc
    assert found["perfect"].high == found["perfect"].estimate == 1
    assert found["perfect"].low == pytest.approx(stats.binomtest(10, 10).proportion_ci(0.95).low)
    assert found["tied"].estimate == 0.5 and not found["tied"].defined
