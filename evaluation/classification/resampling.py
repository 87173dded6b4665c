"""Intervals of measures that are functions of sums over rows, all methods and levels on the same resamplings.

What is resampled is a unit: a test sequence, or a group of sequences that are not independent. Every measure here is a
function of sums over rows, so that a resampling needs the sums of each unit alone. Of more than `MOST_UNITS` units
several are dealt to one: resampling groups of independent units estimates the same variance (the random groups of
Wolter 2007, Introduction to Variance Estimation, ch. 2), and the width of an interval then has a relative standard
error of 1/√(2·1023) = 2 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evaluation.statistics.bootstrap import Interval, fewest_rows, interval
from evaluation.statistics.multiple import bootstrap_p_value

#: Units that are resampled at most.
MOST_UNITS = 1024
#: Cells of the totals that are held at a time.
_CHUNK_CELLS = 1 << 22
#: Draws that differ by less are the same but for rounding.
_SAME = 1e-12


@dataclass(frozen=True)
class Measured:
    """A measure with what its resamplings gave.

    Attributes
    ----------
    interval : Interval
        NaN ends where there are too few units, or where the draws do not differ and so say nothing.
    draws : ndarray, (samples,)
    observations : int
        Units that it stands on.
    """

    interval: Interval
    draws: np.ndarray
    observations: int

    @property
    def estimate(self) -> float:
        """The measure itself."""
        return self.interval.estimate


@dataclass(frozen=True)
class Difference:
    """A paired difference of two measures over the same resamplings, and its two-sided p-value, uncorrected."""

    interval: Interval
    p_value: float


class Resampling:
    """Resamplings of units, shared by everything that is measured on the same rows.

    Parameters
    ----------
    units : ndarray, (rows,)
        What each row is resampled with.
    samples, confidence, seed : int, float, int
        Number of resamplings, coverage of the intervals, seed of the generator.
    """

    def __init__(self, units: np.ndarray, samples: int, confidence: float, seed: int) -> None:
        self._unit = np.unique(units, return_inverse=True)[1].reshape(-1) % MOST_UNITS
        self._units = int(self._unit.max(initial=-1)) + 1
        self._confidence, self._samples = confidence, samples
        drawn = np.random.default_rng(seed).integers(0, max(self._units, 1), (samples, self._units))
        cells = drawn + self._units * np.arange(samples)[:, None]
        counts = np.bincount(cells.ravel(), minlength=samples * self._units)
        self._counts = counts.reshape(samples, self._units).astype(np.uint16)

    def counts(
        self, codes: np.ndarray, classes: int, used: np.ndarray, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """(units, classes) rows of each class, or their `weights`; only those of the boolean (rows,) `used`."""
        cells = self._unit[used] * classes + codes[used]
        of_rows = None if weights is None else weights[used]
        counts = np.bincount(cells, of_rows, self._units * classes)
        return counts.reshape(self._units, classes).astype(np.float64)

    def sums(self, values: np.ndarray, used: np.ndarray) -> np.ndarray:
        """(units, m) sums of the columns of (rows, m) values; only over the rows of the boolean (rows,) `used`."""
        unit = self._unit[used]
        columns = [np.bincount(unit, column[used], self._units) for column in values.T]
        return np.column_stack(columns) if columns else np.zeros((self._units, 0))

    def measure(
        self, sums: np.ndarray, used: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
    ) -> list[Measured]:
        """Measures with their intervals.

        Parameters
        ----------
        sums : ndarray, (units, m)
        used : ndarray, (rows,) bool
            The rows that they are over.
        function : callable
            From totals (s, m) to measures (s, q), NaN where one is undefined.

        Returns
        -------
        list of Measured
            Of each of the q measures.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            estimates = function(sums.sum(axis=0, keepdims=True))[0]
            draws = np.full((self._samples, len(estimates)), np.nan)
            step = max(1, _CHUNK_CELLS // max(sums.shape))
            for first in range(0, self._samples if self._units else 0, step):
                chosen = slice(first, first + step)
                draws[chosen] = function(self._counts[chosen].astype(np.float64) @ sums)
        observations = len(np.unique(self._unit[used]))
        return [self._measured(float(value), draws[:, place], observations) for place, value in enumerate(estimates)]

    def difference(self, one: Measured, other: Measured) -> Difference:
        """`one` − `other`, paired."""
        draws = one.draws - other.draws
        observations = min(one.observations, other.observations)
        found = self._measured(one.estimate - other.estimate, draws, observations)
        if not found.interval.defined:
            return Difference(found.interval, float("nan"))
        return Difference(found.interval, bootstrap_p_value(draws, observations))

    def _measured(self, estimate: float, draws: np.ndarray, observations: int) -> Measured:
        defined = draws[np.isfinite(draws)]
        says_nothing = not len(defined) or np.ptp(defined) < _SAME or not np.isfinite(estimate)
        if says_nothing or observations < fewest_rows(self._confidence):
            return Measured(Interval(estimate, float("nan"), float("nan")), draws, observations)
        return Measured(interval(estimate, defined, observations, self._confidence), draws, observations)
