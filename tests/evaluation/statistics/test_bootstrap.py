from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import bootstrap
from evaluation.statistics.bootstrap import (
    Interval,
    correlation,
    fewest_rows,
    interval,
    paired_effect_size,
    resampled_means,
    resampled_totals,
)


def test_same_seed_same_draws_and_chunks_do_not_matter_for_shape() -> None:
    sums, weights = np.random.default_rng(0).random((30, 2)), np.full(30, 2.0)
    first = resampled_means(sums, weights, 200, seed=1)
    assert first.shape == (200, 2)
    np.testing.assert_array_equal(first, resampled_means(sums, weights, 200, seed=1))
    assert not np.array_equal(first, resampled_means(sums, weights, 200, seed=2))


def test_totals_are_of_whole_rows() -> None:
    columns = np.column_stack([np.arange(10.0), np.ones(10)])
    totals = resampled_totals(columns, 300, seed=4)
    assert (totals[:, 1] == 10).all()
    assert set(totals[:, 0]) <= set(np.arange(91.0))
    assert totals[:, 0].mean() == pytest.approx(45, abs=2)


def test_columns_are_resampled_together() -> None:
    sums = np.random.default_rng(0).random((20, 1))
    draws = resampled_means(np.column_stack([sums, sums + 0.5]), np.ones(20), 100, seed=0)
    np.testing.assert_allclose(draws[:, 1] - draws[:, 0], 0.5)


def test_weights_are_bases() -> None:
    draws = resampled_means(np.array([[10.0], [0.0]]), np.array([10.0, 1.0]), 4000, seed=0)
    assert set(np.round(draws[:, 0], 6)) == {0.0, 1.0, round(10 / 11, 6)}


def test_spread_agrees_with_the_standard_error() -> None:
    values = np.random.default_rng(3).normal(size=400)
    draws = resampled_means(values[:, None], np.ones(400), 4000, seed=0)
    assert draws.std() == pytest.approx(values.std() / 20, rel=0.05)
    found = interval(float(values.mean()), draws[:, 0], 400, 0.95)
    expected = stats.t.interval(0.95, 399, values.mean(), values.std(ddof=1) / 20)
    np.testing.assert_allclose((found.low, found.high), expected, atol=0.01)


@pytest.mark.parametrize("windows", [8, 40])
def test_coverage_in_simulation(windows: int) -> None:
    generator = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        values = generator.normal(0.05, 0.2, windows)
        draws = resampled_means(values[:, None], np.ones(windows), 400, seed=int(generator.integers(1 << 30)))
        found = interval(float(values.mean()), draws[:, 0], windows, 0.95)
        hits += found.low <= 0.05 <= found.high
    assert 0.91 <= hits / 300 <= 0.99


def test_one_window_has_no_interval_and_claims_nothing() -> None:
    found = interval(0.3, np.full(10, 0.3), 1, 0.95)
    assert not found.defined
    assert found.sign == 0


@pytest.mark.parametrize(("low", "high", "sign"), [(0.1, 0.2, 1), (-0.2, -0.1, -1), (-0.1, 0.1, 0), (0.0, 0.0, 0)])
def test_sign(low: float, high: float, sign: int) -> None:
    assert Interval((low + high) / 2, low, high).sign == sign


def test_effect_size_closed_form() -> None:
    assert paired_effect_size(np.array([1.0, 3.0])) == pytest.approx(2 / np.sqrt(2))
    assert paired_effect_size(np.zeros(5)) == 0
    assert paired_effect_size(np.full(5, 0.25)) == np.inf
    assert np.isnan(paired_effect_size(np.array([1.0])))


def test_weighted_effect_size() -> None:
    differences, weights = np.array([1.0, 3, 2, 9]), np.array([2.0, 2, 2, 0])
    assert paired_effect_size(differences, weights) == pytest.approx(paired_effect_size(differences[:3]))
    # A row twice as heavy is more like two rows than like one.
    heavy = paired_effect_size(np.array([1.0, 2, 4]), np.array([1.0, 1, 2]))
    assert heavy == pytest.approx(2.75 / np.sqrt((1.75**2 + 0.75**2 + 2 * 1.25**2) / (4 - 6 / 4)))
    assert np.isnan(paired_effect_size(differences, np.array([0.0, 0, 5, 0])))


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlation_agrees_with_scipy(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_CHUNK_CELLS", 1000)
    generator = np.random.default_rng(2)
    x = np.round(generator.normal(size=60), 1)
    y = x + generator.normal(size=60)
    found = correlation(x, y, method, 2000, 0.95, seed=0)  # type: ignore[arg-type]
    expected = getattr(stats, f"{method}r")(x, y).statistic
    assert found.estimate == pytest.approx(expected)
    assert found.low < expected < found.high
    if method == "pearson":
        theory = stats.pearsonr(x, y).confidence_interval()
        np.testing.assert_allclose((found.low, found.high), (theory.low, theory.high), atol=0.07)


def test_correlation_with_a_constant_is_undefined() -> None:
    found = correlation(np.ones(5), np.arange(5.0), "spearman", 50, 0.95, seed=0)
    assert np.isnan(found.estimate)
    assert not found.defined


@pytest.mark.parametrize(("confidence", "needed"), [(0.95, 6), (0.9, 5), (0.99, 8), (0.5, 2)])
def test_fewest_rows(confidence: float, needed: int) -> None:
    """All n differences have one sign by chance with 2^(1−n)."""
    assert fewest_rows(confidence) == needed
    assert 2.0 ** (1 - needed) <= 1 - confidence
