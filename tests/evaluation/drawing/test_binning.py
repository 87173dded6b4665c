from __future__ import annotations

import numpy as np
import pytest

from evaluation.drawing.binning import MOST_COLUMNS, binned_mean, binned_quartiles, columns, running_mean


@pytest.mark.parametrize(("bases", "width"), [(1, 1), (600, 1), (601, 3), (1800, 3), (1801, 6), (200_000, 336)])
def test_columns_are_single_bases_or_whole_codons(bases: int, width: int) -> None:
    edges = columns(bases)
    assert edges[0] == 0
    assert edges[-1] == bases
    assert set(np.diff(edges)[:-1].tolist()) <= {width}
    assert len(edges) - 1 <= MOST_COLUMNS


def test_a_period_of_three_makes_no_waves() -> None:
    values = np.tile([0.0, 0.0, 3.0], 5000)
    assert np.ptp(binned_mean(values, columns(len(values)))) == 0


def test_means_and_quartiles_pass_over_what_is_not_defined() -> None:
    values = np.array([1.0, np.nan, 3, np.nan, np.nan, np.nan, 5])
    edges = np.array([0, 3, 6, 7])
    np.testing.assert_array_equal(binned_mean(values, edges), [2, np.nan, 5])
    np.testing.assert_array_equal(binned_mean(values[:, None] * [1, 10], edges)[:, 1], [20, np.nan, 50])
    low, high = binned_quartiles(values, edges)
    np.testing.assert_array_equal(low, [1.5, np.nan, 5])
    np.testing.assert_array_equal(high, [2.5, np.nan, 5])


def test_quartiles_agree_with_numpy() -> None:
    values = np.random.default_rng(0).normal(size=3000)
    low, high = binned_quartiles(values, columns(3000))
    np.testing.assert_allclose(low, np.quantile(values.reshape(-1, 6), 0.25, axis=1))
    np.testing.assert_allclose(high, np.quantile(values.reshape(-1, 6), 0.75, axis=1))


def test_running_mean_is_shorter_at_the_ends() -> None:
    np.testing.assert_allclose(running_mean(np.array([1.0, 2, 3, np.nan, 5]), 3), [1.5, 2, 2.5, 4, 5])
    assert np.isnan(running_mean(np.full(5, np.nan), 3)).all()
    assert len(running_mean(np.arange(3.0), 30)) == 3
