"""Correlations of several scores with one measured value, all on the same resamplings, so that they can be compared.

Rows are resampled, or whole groups of rows that are not independent. Ranks (ties share their mean rank) are taken anew
in every resampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numba import njit

from evaluation.statistics.bootstrap import Interval, interval

#: Fewer rows, or groups, have no correlation worth telling.
FEWEST = 3
# Cells of the (resamples, rows) weight matrix that is held at a time.
_CHUNK_CELLS = 1 << 22
_SMALLEST_REST = 1e-9


@dataclass(frozen=True)
class Correlations:
    """Correlations of a score with the measured value.

    Attributes
    ----------
    pearson, spearman : Interval
    partial_pearson, partial_spearman : Interval
        The same given the covariates: of what is left when they are regressed out of both, of the values or of the
        ranks (Fisher 1924, Metron 3:329).
    """

    pearson: Interval
    spearman: Interval
    partial_pearson: Interval
    partial_spearman: Interval


def correlate(
    value: np.ndarray,
    scores: Mapping[str, np.ndarray],
    covariates: np.ndarray,
    groups: np.ndarray,
    samples: int,
    confidence: float,
    seed: int,
) -> tuple[dict[str, Correlations], dict[tuple[str, str], Interval]]:
    """Correlate every score with the value.

    Parameters
    ----------
    value : ndarray, (n,)
    scores : mapping
        (n,) by name. One with a NaN has no correlations.
    covariates : ndarray, (n, c)
        What the partial correlations are given; columns that are constant or have a NaN change nothing.
    groups : ndarray, (n,)
        Rows of a group are drawn together.
    samples, confidence, seed : int, float, int
        Number of resamplings, coverage of the intervals, seed of the generator.

    Returns
    -------
    correlations : dict
        By score. NaN with fewer than 3 groups or where a column is constant.
    differences : dict
        Spearman of a − Spearman of b, paired, by (a, b), for every ordered pair of scores.
    """
    group = np.unique(groups, return_inverse=True)[1]
    number = int(group.max(initial=-1)) + 1
    columns = np.column_stack([value, *scores.values(), covariates]).astype(np.float64)
    # What is not defined is treated as a constant, which has no correlations.
    columns[:, ~np.isfinite(columns).all(axis=0)] = 0
    measures, draws = np.full((len(scores), 4), np.nan), np.full((samples, len(scores), 4), np.nan)
    if number >= FEWEST:
        measures = _measures(columns, np.ones((1, len(columns))), len(scores))[0]
        first = 0
        for counts in _resampled(number, samples, len(columns), seed):
            draws[first : first + len(counts)] = _measures(columns, np.take(counts, group, axis=1), len(scores))
            first += len(counts)

    def told(estimate: float, drawn: np.ndarray) -> Interval:
        return interval(float(estimate), drawn if np.isfinite(estimate) else drawn[:0], number, confidence)

    correlations = {
        name: Correlations(*(told(measures[place, kind], draws[:, place, kind]) for kind in range(4)))
        for place, name in enumerate(scores)
    }
    spearman, drawn = measures[:, 1], draws[:, :, 1]
    differences = {
        (one, other): told(spearman[a] - spearman[b], drawn[:, a] - drawn[:, b])
        for (a, one), (b, other) in permutations(enumerate(scores), 2)
    }
    return correlations, differences


def _resampled(groups: int, samples: int, rows: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is drawn, in pieces of (resamples, groups)."""
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // rows)
    for first in range(0, samples, step):
        size = min(step, samples - first)
        drawn = generator.integers(0, groups, (size, groups)) + groups * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups).astype(np.float64)


def _measures(columns: np.ndarray, counts: np.ndarray, scores: int) -> np.ndarray:
    """(resamples, scores, 4): Pearson, Spearman, and both given the covariates.

    Parameters
    ----------
    columns : ndarray, (n, 1 + scores + covariates)
        Value, scores, covariates.
    counts : ndarray, (resamples, n)
        How often each row is drawn.
    """
    order = np.argsort(columns, axis=0, kind="stable").T.copy()
    spread = columns - columns.mean(axis=0)
    plain, ranked = _correlation_matrices(spread.T.copy(), order, counts)
    partial = (_given_covariates(matrices, 1 + scores) for matrices in (plain, ranked))
    return np.stack([matrices[:, 0, 1 : 1 + scores] for matrices in (plain, ranked, *partial)], axis=2)


def _given_covariates(matrices: np.ndarray, first: int) -> np.ndarray:
    """Partial correlation matrices given the columns from `first` on, by recursion over these.

    r_ab·z = (r_ab − r_az r_bz) / √((1 − r_az²)(1 − r_bz²)). A covariate that is constant, or that those before it
    determine, says nothing more and is passed over.
    """
    for covariate in range(first, matrices.shape[1]):
        shared = matrices[:, :, covariate].copy()
        shared[np.isnan(matrices[:, covariate, covariate])] = 0
        rest = np.maximum(1 - shared**2, 0)
        scale = np.sqrt(rest[:, :, None] * rest[:, None, :])
        difference = matrices - shared[:, :, None] * shared[:, None, :]
        matrices = np.divide(difference, scale, out=np.full_like(scale, np.nan), where=scale > _SMALLEST_REST)
    return matrices


@njit(nogil=True, cache=True)
def _correlation_matrices(columns, order, counts):  # type: ignore[no-untyped-def]
    """Correlation matrices (resamples, columns, columns) of the values and of the ranks; NaN where one is constant."""
    number, rows = columns.shape
    plain = np.empty((counts.shape[0], number, number))
    ranked = np.empty((counts.shape[0], number, number))
    ranks = np.empty((number, rows))
    for sample in range(counts.shape[0]):
        weights = counts[sample]
        for column in range(number):
            _rank(columns[column], order[column], weights, ranks[column])
        _correlate(columns, weights, plain[sample])
        _correlate(ranks, weights, ranked[sample])
    return plain, ranked


@njit(nogil=True, cache=True)
def _rank(values, order, weights, ranks):  # type: ignore[no-untyped-def]
    """Mean ranks of rows that are there `weights` times."""
    before, first = 0.0, 0
    while first < order.shape[0]:
        last, tied = first, 0.0
        while last < order.shape[0] and values[order[last]] == values[order[first]]:
            tied += weights[order[last]]
            last += 1
        for place in range(first, last):
            ranks[order[place]] = before + (tied + 1) / 2
        before += tied
        first = last


@njit(nogil=True, cache=True)
def _correlate(columns, weights, matrix):  # type: ignore[no-untyped-def]
    number, total = columns.shape[0], weights.sum()
    ones = np.ones(columns.shape[1])
    centred = np.empty(columns.shape)
    # What rounding leaves of the sum of squares of a constant.
    smallest = np.empty(number)
    for column in range(number):
        centred[column] = columns[column] - _product(columns[column], weights, ones) / total
        smallest[column] = total * (1e-12 * np.abs(columns[column]).max()) ** 2
    for one in range(number):
        for other in range(one + 1):
            matrix[one, other] = matrix[other, one] = _product(centred[one], weights, centred[other])
    deviation = np.empty(number)
    for column in range(number):
        variance = matrix[column, column]
        deviation[column] = np.sqrt(variance) if variance > smallest[column] else np.nan
    for one in range(number):
        for other in range(number):
            matrix[one, other] /= deviation[one] * deviation[other]


# Sums may be taken in another order, several at a time.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _product(one, weights, other):  # type: ignore[no-untyped-def]
    total = 0.0
    for row in range(one.shape[0]):
        total += one[row] * weights[row] * other[row]
    return total
