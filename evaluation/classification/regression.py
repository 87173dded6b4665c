"""What is measured of predicted numbers."""

from __future__ import annotations

import numpy as np

from evaluation.classification.influence import spearman_influence
from evaluation.classification.measures import around
from evaluation.classification.resampling import Measured, Resampling
from evaluation.statistics.groups import ratio

NUMBERS = ("spearman", "pearson", "r2", "rmse")
#: Share of a sum of squares that is rounding.
_ROUNDING = 1e-12


def measure_numbers(
    resampling: Resampling, true: np.ndarray, predicted: np.ndarray, used: np.ndarray
) -> dict[str, Measured]:
    """Correlations, R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)² and root mean square error.

    Parameters
    ----------
    resampling : Resampling
    true, predicted : ndarray, (n,) float64
    used : ndarray, (n,) bool
        Rows in which both are known.

    Returns
    -------
    dict
        By `NUMBERS`. A correlation with a constant is NaN, and so is R² of a constant truth.
    """
    estimate, influence = np.full(1, np.nan), np.zeros((len(used), 1))
    ones = np.ones((len(used), 1))
    if used.any():
        estimate[0], influence[used, 0] = spearman_influence(true[used], predicted[used])
    sums = resampling.sums(np.hstack([influence, ones]), used)
    spearman = resampling.measure(sums, used, lambda totals: around(estimate, totals, -1.0))
    # Centred, so that the sums of squares do not lose their digits.
    y, told = (values - (values[used].mean() if used.any() else 0.0) for values in (true, predicted))
    error = true - predicted
    rows = np.column_stack([ones[:, 0], y, told, y**2, told**2, y * told, error**2])
    found = resampling.measure(resampling.sums(rows, used), used, _of_totals)
    return dict(zip(NUMBERS, [*spearman, *found], strict=True))


def _of_totals(totals: np.ndarray) -> np.ndarray:
    """Pearson, R² and RMSE from n, Σy, Σŷ, Σy², Σŷ², Σyŷ and Σ(y − ŷ)²."""
    rows, y, told, y_squares, told_squares, products, errors = totals.T
    of_true = _positive(y_squares - ratio(y**2, rows), y_squares)
    of_told = _positive(told_squares - ratio(told**2, rows), told_squares)
    pearson = ratio(products - ratio(y * told, rows), np.sqrt(of_true * of_told))
    return np.column_stack([pearson, 1 - ratio(errors, of_true), np.sqrt(ratio(errors, rows))])


def _positive(spread: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """A sum of squared deviations; 0 where it is nothing but rounding."""
    spread = np.where(spread > _ROUNDING * squares, spread, 0.0)
    return spread
