"""Whether a model that is 60 % sure is right 60 % of the time: reliability of the most probable base.

Bases are put into 20 bins of equal width by the renormalised probability of the most probable base, its confidence;
in each bin the share of right ones (accuracy) is set against the mean confidence. The expected calibration error (ECE)
is the mean of |accuracy − mean confidence| over the bins, weighted by their bases (Guo et al. 2017, "On calibration
of modern neural networks", ICML, eq. 3).

Chance alone makes the ECE of a perfectly calibrated model positive, the more so the fewer bases there are. What it
makes of it is estimated by the resampled deviations of each bin from its own estimate, which have the spread of chance
and no other cause: an ECE that is not well above this says nothing against a model. The same shift is taken off the
resampled values before their quantiles become the interval (Efron & Tibshirani 1993, An Introduction to the Bootstrap,
ch. 10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from evaluation.per_base.stream import Chunk
from evaluation.statistics.bootstrap import Interval, fewest_rows, interval, resampled_totals
from evaluation.statistics.groups import bounds, ratio

BINS = 20
_LEAST = 0.25
_COUNT, _CONFIDENCE, _CORRECT = range(3)


@dataclass(frozen=True)
class Calibration:
    """Reliability of each model.

    Attributes
    ----------
    curve : DataFrame
        A row a model and bin that has bases: model, low and high (edges of the bin), bases, confidence (their mean),
        accuracy with accuracy_low and accuracy_high.
    ece : dict
        Interval of the expected calibration error by model.
    chance : dict
        ECE that chance alone would give a perfectly calibrated model with these bases, by model.
    overconfidence : dict
        Interval of mean confidence − accuracy by model: positive where the model is surer than right.
    """

    curve: pd.DataFrame
    ece: dict[str, Interval]
    chance: dict[str, float]
    overconfidence: dict[str, Interval]

    def table(self) -> pd.DataFrame:
        """A row a model: model; ece and overconfidence, each with `_low` and `_high`; ece_by_chance."""
        return pd.DataFrame(
            {
                "model": model,
                "ece": ece.estimate,
                "ece_low": ece.low,
                "ece_high": ece.high,
                "ece_by_chance": self.chance[model],
                "overconfidence": self.overconfidence[model].estimate,
                "overconfidence_low": self.overconfidence[model].low,
                "overconfidence_high": self.overconfidence[model].high,
            }
            for model, ece in self.ece.items()
        )


class CalibrationTally:
    """Counts bases, and adds up their confidence and the right ones, by block and bin of confidence.

    Parameters
    ----------
    models : sequence of str
        All models of the stream.
    blocks : int
        Number of resampling blocks.
    """

    def __init__(self, models: Sequence[str], blocks: int) -> None:
        #: (blocks, bins, 3): number, sum of confidence, sum of correct.
        self.sums = {model: np.zeros((blocks, BINS, 3)) for model in models}

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """See `evaluation.per_base.stream.Tally`."""
        for model, sums in self.sums.items():
            found = chunk.models[model]
            _sum(chunk.starts, blocks, chunk.scored, found.confidence, found.correct, sums)


def calibrate(tally: CalibrationTally, samples: int, confidence: float, seed: int) -> Calibration:
    """Reliability curves and calibration errors with intervals over blocks."""
    curves, ece, chance, overconfidence = [], {}, {}, {}
    edges = np.linspace(_LEAST, 1, BINS + 1)
    for model, sums in tally.sums.items():
        sums = sums[sums[:, :, _COUNT].any(axis=1)]
        totals = resampled_totals(sums.reshape(len(sums), -1), samples, seed).reshape(samples, BINS, 3)
        whole = sums.sum(axis=0)
        count, drawn = whole[:, _COUNT], totals[:, :, _COUNT]
        observed = np.count_nonzero(sums[:, :, _COUNT], axis=0)
        has_interval = observed >= fewest_rows(confidence)
        low, high = bounds(ratio(totals[:, :, _CORRECT], drawn), np.where(has_interval, observed, 0), confidence)
        curve = pd.DataFrame(
            {
                "model": model,
                "low": edges[:-1],
                "high": edges[1:],
                "bases": count.astype(np.int64),
                "confidence": ratio(whole[:, _CONFIDENCE], count),
                "accuracy": ratio(whole[:, _CORRECT], count),
                "accuracy_low": low,
                "accuracy_high": high,
            }
        )
        curves.append(curve[curve["bases"] > 0])
        # With fewer blocks there is no interval: one observation has none.
        blocks = len(sums) if len(sums) >= fewest_rows(confidence) else 1
        gaps, drawn_gaps = _gaps(whole), _gaps(totals)
        ece[model] = _error(gaps, drawn_gaps, blocks, confidence)
        chance[model] = float(np.abs(drawn_gaps - gaps).sum(axis=1).mean())
        overconfidence[model] = interval(float(gaps.sum()), drawn_gaps.sum(axis=1), blocks, confidence)
    return Calibration(pd.concat(curves, ignore_index=True), ece, chance, overconfidence)


def _gaps(sums: np.ndarray) -> np.ndarray:
    """(…, bins) confidence − accuracy of each bin, times its share of the bases, of (…, bins, 3) sums."""
    bases = sums[..., _COUNT].sum(axis=-1, keepdims=True)
    gaps: np.ndarray = (sums[..., _CONFIDENCE] - sums[..., _CORRECT]) / bases
    return gaps


def _error(gaps: np.ndarray, drawn: np.ndarray, blocks: int, confidence: float) -> Interval:
    ece, draws = float(np.abs(gaps).sum()), np.abs(drawn).sum(axis=1)
    return interval(ece, np.maximum(draws - (draws.mean() - ece), 0), blocks, confidence)


@numba.njit(nogil=True, cache=True)
def _sum(
    starts: np.ndarray,
    blocks: np.ndarray,
    scored: np.ndarray,
    confidence: np.ndarray,
    correct: np.ndarray,
    sums: np.ndarray,
) -> None:
    scale = BINS / (1 - _LEAST)
    for window in range(len(blocks)):
        of_block = sums[blocks[window]]
        for at in range(starts[window], starts[window + 1]):
            if scored[at]:
                # Rounding may put a confidence just outside [1/4, 1].
                cell = of_block[min(max(int((confidence[at] - _LEAST) * scale), 0), BINS - 1)]
                cell[_COUNT] += 1
                cell[_CONFIDENCE] += confidence[at]
                cell[_CORRECT] += correct[at]
