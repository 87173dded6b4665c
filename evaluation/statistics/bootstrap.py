"""Uncertainty: bootstrap intervals over independent rows, and effect sizes.

Rows are what may be taken as independent: blocks of neighbouring windows (`evaluation.statistics.blocks`), not bases,
whose neighbours resemble them. The intervals are expanded percentile intervals (Hesterberg 2015, "What teachers should
know about the bootstrap", Am. Stat. 69:371): with n rows the plain percentile interval is too narrow by about
√((n−1)/n) and by the normal's thinner tails, which matters for the few windows of a small genome.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

# Cells of the (resamples, rows) count matrix that is held at a time.
_CHUNK_CELLS = 1 << 22


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval. The ends are NaN where one observation leaves them undefined."""

    estimate: float
    low: float
    high: float

    @property
    def defined(self) -> bool:
        """Whether there is an interval."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def sign(self) -> int:
        """1 or −1 when the whole interval lies on one side of 0, else 0."""
        if not self.defined:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def resampled_totals(columns: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Sums over resampled rows; the same seed and number of rows draw the same rows, so that results are paired.

    Parameters
    ----------
    columns : ndarray, (n, m)
        Any m quantities of each row.
    samples, seed : int
        Number of resamplings, seed of the generator.

    Returns
    -------
    ndarray, (samples, m)
    """
    rows = len(columns)
    generator = np.random.default_rng(seed)
    totals = np.empty((samples, columns.shape[1]))
    step = max(1, _CHUNK_CELLS // rows)
    for first in range(0, samples, step):
        size = min(step, samples - first)
        drawn = generator.integers(0, rows, (size, rows)) + rows * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows)
        # As floats, so that the product is BLAS's and not a loop.
        totals[first : first + size] = counts.astype(float) @ columns
    return totals


def resampled_means(sums: np.ndarray, weights: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Weighted means over resampled rows.

    Every column is resampled with the same rows, so that differences between columns of the result are paired.

    Parameters
    ----------
    sums : ndarray, (n, m)
        Sum of each of m quantities over each row.
    weights : ndarray, (n,)
        Weight of each row: its number of bases.
    samples, seed : int
        Number of resamplings, seed of the generator.

    Returns
    -------
    ndarray, (samples, m)
        Σ sums / Σ weights of each resampling.
    """
    totals = resampled_totals(np.column_stack([sums, weights]), samples, seed)
    means: np.ndarray = totals[:, :-1] / totals[:, -1:]
    return means


def fewest_rows(confidence: float) -> int:
    """Rows below which resampling can show nothing: n differences all have one sign by chance in 1 of 2^(n−1) cases.

    With fewer, the interval of a mean that is 0 would exclude 0 more often than 1 − `confidence` says: 6 blocks for
    0.95.
    """
    return max(math.ceil(1 - math.log2(1 - confidence)), 2)


def interval(estimate: float, draws: np.ndarray, observations: int, confidence: float) -> Interval:
    """Expanded percentile interval of `draws`, made from `observations` independent rows."""
    draws = draws[np.isfinite(draws)]
    if observations < 2 or len(draws) == 0:
        return Interval(estimate, float("nan"), float("nan"))
    tail = stats.t.ppf((1 - confidence) / 2, observations - 1) * np.sqrt(observations / (observations - 1))
    share = float(stats.norm.cdf(tail))
    low, high = np.quantile(draws, [share, 1 - share])
    return Interval(estimate, float(low), float(high))


def paired_effect_size(differences: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Cohen's d of paired differences: mean / standard deviation (d_z; Cohen 1988, Lakens 2013, Front. Psychol. 4:863).

    Parameters
    ----------
    differences : ndarray, (n,)
    weights : ndarray, (n,), optional
        Of each difference, such as its number of bases; rows without weight are left out. The variance is then the
        unbiased one for such weights, Σw(x−x̄)² / (Σw − Σw²/Σw), which for equal weights is the usual one.

    Returns
    -------
    float
        NaN with fewer than two differences; 0 where all are 0, infinite where all others are equal.
    """
    weights = np.ones(len(differences)) if weights is None else weights
    differences, weights = differences[weights > 0], weights[weights > 0].astype(float)
    if len(differences) < 2:
        return float("nan")
    if np.ptp(differences) == 0:
        return 0.0 if differences[0] == 0 else float(np.copysign(np.inf, differences[0]))
    mean = np.average(differences, weights=weights)
    freedom = weights.sum() - (weights**2).sum() / weights.sum()
    return float(mean / np.sqrt((weights * (differences - mean) ** 2).sum() / freedom))


def correlation(
    x: np.ndarray, y: np.ndarray, method: Literal["pearson", "spearman"], samples: int, confidence: float, seed: int
) -> Interval:
    """Correlation of two columns with its bootstrap interval over rows.

    Spearman's is Pearson's of the ranks (ties share their mean rank), ranked anew in every resampling. NaN where
    a column is constant.
    """
    prepare: Callable[[np.ndarray], np.ndarray]
    prepare = (lambda values: stats.rankdata(values, axis=1)) if method == "spearman" else np.asarray
    estimate = float(_row_correlations(prepare(x[None]), prepare(y[None]))[0])
    generator = np.random.default_rng(seed)
    draws = np.empty(samples)
    step = max(1, _CHUNK_CELLS // len(x))
    for first in range(0, samples, step):
        size = min(step, samples - first)
        drawn = generator.integers(0, len(x), (size, len(x)))
        draws[first : first + size] = _row_correlations(prepare(x[drawn]), prepare(y[drawn]))
    return interval(estimate, draws, len(x), confidence)


def _row_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation of each row of x (r, n) with the same row of y; NaN where a row is constant."""
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    products = (x * y).sum(axis=1)
    correlations: np.ndarray = np.divide(products, scale, out=np.full(len(x), np.nan), where=scale > 0)
    return correlations
