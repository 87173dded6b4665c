"""Measures that depend on the order of all rows, made into sums over rows.

AUROC, average precision and Spearman's correlation are no functions of sums: every row's rank depends on the others.
Their first-order change with the weight of each row is: a resampling with the weights w has nearly the value
θ + Σ w_i U_i / Σ w_i, where U_i is the influence of row i (the infinitesimal jackknife; Efron 1982, The Jackknife, the
Bootstrap and Other Resampling Plans, ch. 6). For the AUROC these are the components of DeLong, DeLong & Clarke-Pearson
(1988, Biometrics 44:837). One sort then serves any number of resamplings.
"""

from __future__ import annotations

import numpy as np

#: Columns of probabilities that are read at once.
_COLUMNS = 64


def macro_ranking(codes: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One-vs-rest AUROC and average precision, means over the classes that are present, and their influences.

    Parameters
    ----------
    codes : ndarray, (n,)
        True class of each row; a number beyond the columns is of no class that has a probability.
    probabilities : ndarray, (n, K)
        A memory map may be given: columns are read in blocks.

    Returns
    -------
    estimates : ndarray, (2,)
        NaN where no class has both rows of its own and others.
    influences : ndarray, (n, 2)
    """
    present = [k for k in np.unique(codes).tolist() if k < probabilities.shape[1]]
    present = present if len(np.unique(codes)) > 1 else []
    estimates, influences = np.full(2, np.nan if not present else 0.0), np.zeros((len(codes), 2))
    for first in range(0, probabilities.shape[1], _COLUMNS):
        here = [k for k in present if first <= k < first + _COLUMNS]
        if not here:
            continue
        block = np.array(probabilities[:, first : first + _COLUMNS], np.float64)
        for k in here:
            value, influence = ranking_influence(block[:, k - first], codes == k)
            estimates += value / len(present)
            influences += influence / len(present)
    return estimates, influences


def ranking_influence(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision as of `evaluation.statistics.ranking`, and the influence of each row on them.

    Parameters
    ----------
    scores : ndarray, (n,)
    positive : ndarray, (n,) bool
        With both values.

    Returns
    -------
    estimates : ndarray, (2,)
    influences : ndarray, (n, 2)
        Each sums to 0.
    """
    step, hits, rows = _steps(-scores, positive.astype(np.float64))
    misses, positives = rows - hits, hits.sum()
    negatives = misses.sum()
    misses_below = negatives - np.cumsum(misses) + misses / 2
    hits_above = np.cumsum(hits) - hits / 2
    area = float((hits * misses_below).sum() / (positives * negatives))
    of_positive, of_negative = misses_below / negatives - area, hits_above / positives - area
    share = np.where(positive, of_positive[step] / positives, of_negative[step] / negatives)

    reached, above = np.cumsum(hits), np.cumsum(rows)
    precision = reached / above
    average = float((hits * precision).sum() / positives)
    # A row with at least the score of a positive changes the precision there.
    gained = _from_here(hits / above)
    lost = _from_here(hits * reached / above**2)
    change = positive * (precision[step] - average + gained[step]) - lost[step]
    influences = np.column_stack([share, change / positives]) * len(scores)
    return np.array([area, average]), influences


def spearman_influence(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Spearman's correlation (ties share their mean rank) and the influence of each row on it.

    Parameters
    ----------
    x, y : ndarray, (n,)

    Returns
    -------
    estimate : float
        NaN where a column is constant.
    influence : ndarray, (n,)
        Sums to 0.
    """
    u, v = _centred_ranks(x), _centred_ranks(y)
    variances = [(u**2).mean(), (v**2).mean()]
    if min(variances) <= 0:
        return float("nan"), np.zeros(len(x))
    scale = float(np.sqrt(variances[0] * variances[1]))
    estimate = float((u * v).mean() / scale)
    product = u * v + _pushed(x, v) + _pushed(y, u)
    squares = [ranks**2 + 2 * _pushed(values, ranks) for values, ranks in ((x, u), (y, v))]
    own = sum((square - square.mean()) / variance for square, variance in zip(squares, variances, strict=True))
    return estimate, (product - product.mean()) / scale - estimate * own / 2


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Share of the rows below each row, ties counted one half, − ½."""
    step, rows, _ = _steps(values, np.ones(len(values)))
    ranks: np.ndarray = ((np.cumsum(rows) - rows / 2) / len(values))[step] - 0.5
    return ranks


def _pushed(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of the `weights` of the rows whose rank a row raises: those with a larger value, ties counted one half."""
    step, sums, _ = _steps(values, weights)
    pushed: np.ndarray = ((_from_here(sums) - sums / 2) / len(values))[step]
    return pushed


def _steps(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of each row's distinct value in ascending order, and at each the sum of weights and the rows."""
    distinct, step = np.unique(values, return_inverse=True)
    step = step.reshape(-1)
    return step, np.bincount(step, weights, len(distinct)), np.bincount(step, minlength=len(distinct)).astype(float)


def _from_here(values: np.ndarray) -> np.ndarray:
    """Sums of each value and all behind it."""
    sums: np.ndarray = np.cumsum(values[::-1])[::-1]
    return sums
