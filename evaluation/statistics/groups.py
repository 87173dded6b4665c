"""Block-bootstrap intervals of large tables of means, from sums over a bounded number of groups of blocks.

A metaplot has thousands of cells, and sums of each of them over each of thousands of blocks would not fit into memory.
Blocks are therefore dealt to at most 256 groups in turn: blocks are numbered along the genome, so that a group's blocks
lie far apart, and since blocks count as independent, so do groups of them. Resampling groups estimates the same
variance as resampling blocks (the random groups of Wolter 2007, Introduction to Variance Estimation, ch. 2); the width
of an interval then has a relative standard error of 1/√(2·255) = 4 %. With fewer than 256 blocks each is a group.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from evaluation.statistics.bootstrap import resampled_totals

#: The most groups that are resampled.
GROUPS = 256
#: Resamplings of estimates that are many and only drawn, or that take long: the ends of a 95 % interval then have a
#: standard error of 2 % of its width.
FEW_SAMPLES = 1000
# Totals that are held at a time.
_CHUNK_CELLS = 1 << 21


def group_of(blocks: np.ndarray) -> np.ndarray:
    """Group of each block number, (n,) int64, 0 to `GROUPS` − 1."""
    group: np.ndarray = blocks % GROUPS
    return group


def used_groups(weights: np.ndarray) -> np.ndarray:
    """Groups of (groups, …) that have any weight; the first where none has, so that there is something to resample."""
    used = np.flatnonzero(weights.reshape(len(weights), -1).any(axis=1))
    return used if len(used) else np.zeros(1, np.int64)


def bounds(draws: np.ndarray, observations: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the expanded percentile intervals (`evaluation.statistics.bootstrap.interval`) of many estimates.

    Parameters
    ----------
    draws : ndarray, (samples, …)
        NaN where a resampling leaves an estimate undefined; those draws are left out.
    observations : ndarray, (…)
        Groups that each estimate stands on; with fewer than two there is no interval.
    confidence : float

    Returns
    -------
    low, high : ndarray, (…)
        NaN where there is no interval.
    """
    draws = np.sort(draws, axis=0)
    defined = np.isfinite(draws).sum(axis=0)
    has_interval = (observations >= 2) & (defined > 0)
    size = np.maximum(observations, 2)
    tail = stats.t.ppf((1 - confidence) / 2, size - 1) * np.sqrt(size / (size - 1))
    share = stats.norm.cdf(tail)
    low, high = (_quantile(draws, at, np.maximum(defined, 1)) for at in (share, 1 - share))
    return np.where(has_interval, low, np.nan), np.where(has_interval, high, np.nan)


def mean_intervals(
    sums: np.ndarray, weights: np.ndarray, samples: int, confidence: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted means with the ends of their intervals.

    Parameters
    ----------
    sums, weights : ndarray, (groups, …)
        Sums over each group of a quantity, and of its weights; they broadcast.
    samples, confidence, seed : int, float, int
        Number of resamplings, coverage of the intervals, seed of the generator.

    Returns
    -------
    low, mean, high : ndarray, (…)
        NaN where there is no weight; `low` and `high` where fewer than two groups have any.
    """
    weights = np.broadcast_to(weights, sums.shape)
    shape = sums.shape[1:]
    columns, weight_columns = sums.reshape(len(sums), -1), weights.reshape(len(weights), -1)
    used = used_groups(weight_columns)
    columns, weight_columns = columns[used], weight_columns[used]
    mean = ratio(columns.sum(axis=0), weight_columns.sum(axis=0))
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    step = max(1, _CHUNK_CELLS // samples)
    for first in range(0, len(mean), step):
        part = slice(first, first + step)
        both = np.concatenate([columns[:, part], weight_columns[:, part]], axis=1)
        totals = resampled_totals(both, samples, seed).reshape(samples, 2, -1)
        observations = np.count_nonzero(weight_columns[:, part], axis=0)
        low[part], high[part] = bounds(ratio(totals[:, 0], totals[:, 1]), observations, confidence)
    return low.reshape(shape), mean.reshape(shape), high.reshape(shape)


def ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`one` / `other`, which broadcast; NaN where `other` is not positive."""
    shape = np.broadcast_shapes(one.shape, other.shape)
    quotient: np.ndarray = np.divide(one, other, out=np.full(shape, np.nan), where=np.broadcast_to(other > 0, shape))
    return quotient


def _quantile(ordered: np.ndarray, share: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """Linear interpolation between the first `defined` values of each column, as `numpy.quantile` has it."""
    at = share * (defined - 1)
    below = np.floor(at).astype(np.int64)
    above = np.minimum(below + 1, defined - 1)
    left, right = (np.take_along_axis(ordered, place[None], axis=0)[0] for place in (below, above))
    value: np.ndarray = left + (right - left) * (at - below)
    return value
