from __future__ import annotations

import numpy as np
import pytest

from evaluation.statistics.bootstrap import interval, resampled_means
from evaluation.statistics.groups import GROUPS, bounds, group_of, mean_intervals, ratio, used_groups


def test_neighbouring_blocks_are_in_different_groups() -> None:
    group = group_of(np.arange(3 * GROUPS))
    assert np.bincount(group).tolist() == [3] * GROUPS
    assert np.all(np.diff(np.flatnonzero(group == 5)) == GROUPS)


def test_bounds_are_those_of_single_intervals() -> None:
    generator = np.random.default_rng(0)
    draws = generator.normal(size=(300, 2, 3))
    draws[:250, 0, 1] = np.nan
    draws[:, 1, 2] = np.nan
    observations = np.array([[30, 7, 2], [1, 500, 9]])
    low, high = bounds(draws, observations, 0.9)
    for place in np.ndindex(2, 3):
        expected = interval(0.0, draws[(slice(None), *place)], int(observations[place]), 0.9)
        assert (low[place], high[place]) == pytest.approx((expected.low, expected.high), nan_ok=True)


def test_mean_intervals_are_those_of_single_means() -> None:
    generator = np.random.default_rng(1)
    weights = np.zeros((GROUPS, 4))
    weights[:50] = generator.integers(1, 9, (50, 4))
    sums = weights[:, :, None] * generator.normal(2, 1, (GROUPS, 4, 3))
    low, mean, high = mean_intervals(sums, weights[..., None], 200, 0.95, 3)
    for cell in range(4):
        draws = resampled_means(sums[:50, cell], weights[:50, cell], 200, 3)
        for quantity in range(3):
            estimate = sums[:, cell, quantity].sum() / weights[:, cell].sum()
            expected = interval(estimate, draws[:, quantity], 50, 0.95)
            found = low[cell, quantity], mean[cell, quantity], high[cell, quantity]
            assert found == pytest.approx((expected.low, estimate, expected.high))


def test_more_columns_than_are_held_at_a_time() -> None:
    sums = np.random.default_rng(2).normal(size=(GROUPS, 1100))
    low, mean, high = mean_intervals(sums, np.ones((GROUPS, 1)), 2000, 0.95, 0)
    alone = mean_intervals(sums[:, 1090:], np.ones((GROUPS, 1)), 2000, 0.95, 0)
    assert np.allclose([low[1090:], mean[1090:], high[1090:]], alone)
    assert np.all((low < mean) & (mean < high))


def test_nothing_has_no_mean_and_one_group_no_interval() -> None:
    weights = np.zeros((GROUPS, 2))
    weights[7, 1] = 4
    low, mean, high = mean_intervals(weights * 0.5, weights, 50, 0.95, 0)
    assert np.isnan(mean[0]) and mean[1] == 0.5
    assert np.isnan(low).all() and np.isnan(high).all()
    assert used_groups(weights).tolist() == [7]
    assert used_groups(np.zeros((GROUPS, 2))).tolist() == [0]


def test_ratio_of_nothing() -> None:
    assert np.isnan(ratio(np.array([1.0]), np.array([0.0]))).all()
    assert ratio(np.array([[1.0], [2.0]]), np.array([2.0, 4.0])).tolist() == [[0.5, 0.25], [1, 0.5]]


def test_coverage_with_blocks_dealt_to_groups() -> None:
    generator = np.random.default_rng(4)
    covered = 0
    for run in range(200):
        sums = np.zeros((GROUPS, 1))
        np.add.at(sums, group_of(np.arange(1000)), generator.exponential(size=(1000, 1)))
        weights = np.bincount(group_of(np.arange(1000))).astype(float)[:, None]
        low, _, high = mean_intervals(sums, weights, 200, 0.95, run)
        covered += bool(low[0] < 1 < high[0])
    assert 181 <= covered <= 198
