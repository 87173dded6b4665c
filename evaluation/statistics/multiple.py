"""Many comparisons at once: p-values of bootstrap draws, and their correction."""

from __future__ import annotations

import numpy as np
from scipy import stats


def bootstrap_p_value(draws: np.ndarray, observations: int) -> float:
    """Two-sided p-value of the hypothesis that a quantity is 0, from its bootstrap draws.

    The level at which the interval of `evaluation.statistics.bootstrap.interval` just touches 0, so that both say the
    same (test inversion: Davison & Hinkley 1997, Bootstrap Methods and their Application, section 5.6). It
    is never below what the number of draws can show: half a draw more on the other side of 0 is always assumed.

    Parameters
    ----------
    draws : ndarray, (samples,)
        Resampled values; those that are undefined are left out.
    observations : int
        Number of independent rows that were resampled.

    Returns
    -------
    float
        NaN with fewer than two observations or without draws; 1 where every draw is 0.
    """
    draws = draws[np.isfinite(draws)]
    if observations < 2 or not len(draws):
        return float("nan")
    below, above = int((draws <= 0).sum()), int((draws >= 0).sum())
    share = (min(below, above) + 0.5) / (len(draws) + 1)
    tail = stats.norm.ppf(min(share, 0.5)) * np.sqrt((observations - 1) / observations)
    return float(2 * stats.t.cdf(tail, observations - 1))


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values corrected for their number (Holm 1979, Scand. J. Stat. 6:65).

    The chance that any true null hypothesis is rejected stays below the level, however the tests depend on each other.

    Parameters
    ----------
    p_values : ndarray, (n,)
        NaN is kept, and does not count.

    Returns
    -------
    ndarray, (n,)
    """
    corrected = np.full(len(p_values), np.nan)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    return corrected
