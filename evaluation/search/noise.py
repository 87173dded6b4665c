"""How much the best of a study owes to luck: its trainings with other seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from evaluation.search.reading import Study
from evaluation.statistics.bootstrap import Interval


@dataclass(frozen=True)
class Noise:
    """One objective of the best configuration, trained again with k seeds.

    Attributes
    ----------
    values : ndarray, (k,)
        Of the trainings that ended with a value.
    failed : int
        Trainings that did not.
    mean : Interval
        Student's t interval of the mean; without ends where k < 2.
    gain : Interval
        How much better the mean is than the single run of the default configuration, positive for better: the
        prediction interval for one more run, so that it holds what the default's own seed may have done. It takes
        the noise of the default for as large as that of the best. NaN where the default did not run to its end.
    alike : int
        Other complete trials whose value lies within the noise of the best configuration, or is better.
    """

    values: np.ndarray
    failed: int
    mean: Interval
    gain: Interval
    alike: int

    @property
    def spread(self) -> float:
        """Standard deviation between seeds; NaN where k < 2."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else float("nan")


def noise(study: Study, objective: int, confidence: float) -> Noise | None:
    """What the repeats say of one objective; None where there are none or the study has no best trial.

    The mean of k seeds and one further run differ by chance with the standard deviation s·√(1 + 1/k), which gives
    Student's prediction interval with k − 1 degrees of freedom (Hahn & Meeker 1991, Statistical Intervals, §4.7).
    """
    best = study.best(0)
    found = np.array([repeat.values[objective] for repeat in study.repeats], float)
    values = found[np.isfinite(found)]
    if best is None or not len(values):
        return None
    amount, mean = len(values), float(values.mean())
    factor = float(stats.t.ppf((1 + confidence) / 2, amount - 1)) if amount > 1 else float("nan")
    spread = float(values.std(ddof=1)) if amount > 1 else float("nan")
    reach = factor * spread * np.sqrt(1 + 1 / amount)
    sign = study.objectives[objective].sign
    of_default = study.values[study.default, objective] if study.default is not None else float("nan")
    others = np.delete(study.values[:, objective], best)
    return Noise(
        values,
        len(found) - amount,
        _around(mean, factor * spread / np.sqrt(amount)),
        _around(float(sign * (of_default - mean)), reach),
        int((sign * (others - mean) <= reach).sum()),
    )


def _around(middle: float, half: float) -> Interval:
    return Interval(middle, float(middle - half), float(middle + half))
