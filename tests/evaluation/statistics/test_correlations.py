from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evaluation.statistics import correlations
from evaluation.statistics.bootstrap import Interval
from evaluation.statistics.correlations import Correlations, correlate


def run(
    value: np.ndarray,
    scores: dict[str, np.ndarray],
    covariates: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    samples: int = 100,
    seed: int = 0,
) -> tuple[dict[str, Correlations], dict[tuple[str, str], Interval]]:
    rows = len(value)
    covariates = np.empty((rows, 0)) if covariates is None else covariates
    return correlate(value, scores, covariates, np.arange(rows) if groups is None else groups, samples, 0.95, seed)


def residuals(values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    design = np.column_stack([np.ones(len(values)), covariates])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def made(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    covariates = generator.normal(size=(rows, 2))
    value = covariates @ [1, 0.5] + generator.normal(size=rows)
    return value, np.round(value + covariates[:, 0] + generator.normal(size=rows), 1), covariates


def test_agreement_with_scipy() -> None:
    value, score, covariates = made(200, seed=1)
    found = run(value, {"score": score}, covariates)[0]["score"]
    assert found.pearson.estimate == pytest.approx(stats.pearsonr(score, value).statistic, abs=1e-12)
    assert found.spearman.estimate == pytest.approx(stats.spearmanr(score, value).statistic, abs=1e-12)
    partial = stats.pearsonr(residuals(score, covariates), residuals(value, covariates)).statistic
    assert found.partial_pearson.estimate == pytest.approx(partial, abs=1e-12)
    ranks = stats.rankdata(covariates, axis=0)
    partial = stats.pearsonr(*(residuals(stats.rankdata(column), ranks) for column in (score, value))).statistic
    assert found.partial_spearman.estimate == pytest.approx(partial, abs=1e-12)


def test_a_resampling_counts_rows_as_if_they_were_written_out() -> None:
    value, score, covariates = made(60, seed=2)
    counts = np.random.default_rng(3).integers(0, 4, 60)
    columns = np.column_stack([value, score, covariates])
    weighted = correlations._measures(columns, counts[None].astype(float), 1)[0, 0]
    written = correlations._measures(np.repeat(columns, counts, axis=0), np.ones((1, counts.sum())), 1)[0, 0]
    np.testing.assert_allclose(weighted, written, rtol=1e-12)


def test_a_relation_that_is_all_composition_disappears() -> None:
    generator = np.random.default_rng(4)
    gc = generator.normal(size=2000)
    value, score = gc + 0.5 * generator.normal(size=2000), gc + 0.5 * generator.normal(size=2000)
    found = run(value, {"score": score}, gc[:, None])[0]["score"]
    assert found.spearman.estimate > 0.7 and found.spearman.low > 0.6
    assert abs(found.partial_pearson.estimate) < 0.08 and found.partial_pearson.sign == 0
    assert abs(found.partial_spearman.estimate) < 0.12


def test_constant_and_redundant_covariates_change_nothing() -> None:
    value, score, covariates = made(100, seed=5)
    one = covariates[:, :1]
    expected = run(value, {"score": score}, one)[0]
    for other in (np.full((100, 1), 170.0), 3 - 2 * one, np.full((100, 1), np.nan)):
        found = run(value, {"score": score}, np.hstack([one, other]))[0]
        assert found["score"].partial_pearson.estimate == pytest.approx(expected["score"].partial_pearson.estimate)
        assert found["score"].partial_spearman.low == pytest.approx(expected["score"].partial_spearman.low)
    alone = run(value, {"score": score}, np.full((100, 2), 0.1 + 0.2))[0]["score"]
    assert alone.partial_pearson == alone.pearson and alone.partial_spearman == alone.spearman


def test_differences_are_paired() -> None:
    generator = np.random.default_rng(6)
    value = generator.normal(size=300)
    better = value + generator.normal(size=300)
    worse = better + 0.7 * generator.normal(size=300)
    found, differences = run(value, {"better": better, "worse": worse, "same": better}, samples=1000)
    difference = differences["better", "worse"]
    assert difference.estimate == pytest.approx(found["better"].spearman.estimate - found["worse"].spearman.estimate)
    alone = found["better"].spearman
    assert difference.high - difference.low < 0.9 * (alone.high - alone.low)
    assert difference.sign == 1 and differences["worse", "better"].sign == -1
    assert vars(differences["better", "same"]) == {"estimate": 0, "low": 0, "high": 0}


def test_groups_are_drawn_as_wholes() -> None:
    """Rows that are written ten times are no more than they were; taken as independent they seem to be."""
    value, score, covariates = made(40, seed=7)
    tens = [np.repeat(array, 10, axis=0) for array in (value, score, covariates)]
    once = run(value, {"s": score}, covariates, samples=2000)[0]["s"].spearman
    grouped = run(tens[0], {"s": tens[1]}, tens[2], np.repeat(np.arange(40), 10), samples=2000)[0]["s"].spearman
    naive = run(tens[0], {"s": tens[1]}, tens[2], samples=2000)[0]["s"].spearman
    assert grouped.estimate == pytest.approx(once.estimate)
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high), abs=0.01)
    assert naive.high - naive.low < 0.5 * (once.high - once.low)


def test_intervals_cover() -> None:
    """Pearson's correlation of two normal variables with a known one, 200 tables."""
    generator = np.random.default_rng(8)
    covered = 0
    for seed in range(200):
        value = generator.normal(size=60)
        score = 0.5 * value + np.sqrt(0.75) * generator.normal(size=60)
        found = run(value, {"s": score}, samples=300, seed=seed)[0]["s"].pearson
        covered += found.low <= 0.5 <= found.high
    assert 180 <= covered <= 198


def test_what_is_undefined_is_nan() -> None:
    value, score, covariates = made(10, seed=9)
    scores = {"good": score, "constant": np.full(10, -1.3), "missing": np.where(np.arange(10) == 3, np.nan, score)}
    found, differences = run(value, scores, covariates)
    assert found["good"].spearman.defined
    for name in ("constant", "missing"):
        assert all(np.isnan([part.estimate, part.low, part.high]).all() for part in vars(found[name]).values())
        assert not differences["good", name].defined
    two = run(value, {"good": score}, covariates, np.arange(10) % 2)[0]["good"].pearson
    assert np.isnan([two.estimate, two.low, two.high]).all()
    assert not run(np.empty(0), {"s": np.empty(0)}, np.empty((0, 2)))[0]["s"].pearson.defined
