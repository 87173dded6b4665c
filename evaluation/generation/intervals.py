"""Intervals of what was generated: prompts are resampled, since the continuations of one prompt are not independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.statistics.bootstrap import Interval, interval, resampled_means


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: number of resamplings, coverage, seed."""

    samples: int
    confidence: float
    seed: int

    def mean(self, values: np.ndarray, prompts: np.ndarray) -> Interval:
        """Mean over sequences, with its interval over prompts.

        Parameters
        ----------
        values : ndarray, (n,)
            NaN where undefined: such sequences are left out.
        prompts : ndarray, (n,)
            The prompt of each sequence, of any type.
        """
        defined = ~np.isnan(values)
        sums, sizes = by_prompt(values[defined, None], prompts[defined])
        estimate = float(values[defined].mean()) if defined.any() else float("nan")
        return self.interval(estimate, self.means(sums, sizes)[:, 0], len(sums))

    def median(self, values: np.ndarray, prompts: np.ndarray) -> Interval:
        """Median over sequences (the upper one of two in the middle), with its interval over prompts."""
        codes, names = pd.factorize(prompts)
        if not len(values):
            return Interval(float("nan"), float("nan"), float("nan"))
        order = np.argsort(values, kind="stable")
        ordered, owners = values[order], codes[order]
        drawn = np.random.default_rng(self.seed).multinomial(
            len(names), np.full(len(names), 1 / len(names)), self.samples
        )
        middles = np.empty(self.samples)
        for row, counts in enumerate(drawn):
            reached = np.cumsum(counts[owners])
            middles[row] = ordered[np.searchsorted(reached, reached[-1] / 2, side="right")]
        return self.interval(float(ordered[len(ordered) // 2]), middles, len(names))

    def means(self, sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Weighted means (samples, m) over resampled prompts, from sums (prompts, m) and weights (prompts,).

        Every call with as many prompts draws the same ones, so that differences of results are paired.
        """
        if not len(sums):
            return np.full((self.samples, sums.shape[1]), np.nan)
        return resampled_means(sums, weights, self.samples, self.seed)

    def interval(self, estimate: float, draws: np.ndarray, observations: int) -> Interval:
        """Interval from draws (samples,), made from so many prompts."""
        return interval(estimate, draws, observations, self.confidence)

    def centred(self, estimate: float, draws: np.ndarray, observations: int) -> Interval:
        """Interval of a distance, whose resamplings lie above it: each adds sampling error, which never shortens it.

        The draws are moved so that their mean is the estimate (the bias-corrected bootstrap of Efron & Tibshirani 1993,
        An Introduction to the Bootstrap, ch. 10); no end lies below 0.
        """
        found = self.interval(estimate, draws - draws.mean() + estimate, observations)
        return Interval(estimate, max(found.low, 0.0), found.high) if found.defined else found


def by_prompt(values: np.ndarray, prompts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the rows of values (n, m) over each prompt, (prompts, m), and how many rows each has, (prompts,)."""
    codes, names = pd.factorize(prompts)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, codes, values)
    return sums, np.bincount(codes, minlength=len(names)).astype(float)
