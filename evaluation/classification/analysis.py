"""Every measure of every method at every level, and what each gains over the baselines, over the same resamplings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.classification.hierarchy import contradictory, measure_paths
from evaluation.classification.measures import LOWER_IS_BETTER, MEASURES, TITLES, measure_classes
from evaluation.classification.reading import BASELINE, HEAD, Classified, Method, read
from evaluation.classification.regression import NUMBERS, measure_numbers
from evaluation.classification.resampling import Measured, Resampling
from evaluation.statistics.bootstrap import Interval
from evaluation.statistics.multiple import holm

#: What a method is compared with.
REFERENCES = (BASELINE, HEAD)
#: Measures by level and method.
Scores = dict[str, dict[str, dict[str, Measured]]]


@dataclass(frozen=True)
class Gain:
    """Paired difference of a measure, method − reference.

    Attributes
    ----------
    interval : Interval
    p_value, corrected : float
        Two-sided; corrected after Holm for the methods and levels in which this measure has this reference.
    """

    interval: Interval
    p_value: float
    corrected: float

    def is_shown(self, confidence: float) -> bool:
        """Whether a difference in either direction stands, the number of comparisons accounted for."""
        return self.interval.sign != 0 and self.corrected <= 1 - confidence


@dataclass(frozen=True)
class Analysis:
    """What the predictions say.

    Attributes
    ----------
    data : Classified
    confidence : float
        Coverage of the intervals.
    samples, seed : int
        Resamplings, and seed of their generator.
    scores : dict
        Measures by level and method.
    paths, by_level : dict
        Measures of whole paths by method, as predicted and with each level by itself; empty without a hierarchy.
    gains : dict
        `Gain` by reference, level, method and measure.
    without_leaks : dict or None
        `scores` without the test sequences that also stand in training; None where there are none.
    """

    data: Classified
    confidence: float
    samples: int
    seed: int
    scores: Scores
    paths: dict[str, dict[str, Measured]]
    by_level: dict[str, dict[str, Measured]]
    gains: dict[tuple[str, str, str, str], Gain]
    without_leaks: Scores | None

    @property
    def measures(self) -> tuple[str, ...]:
        """Those of the task."""
        return NUMBERS if self.data.is_regression else MEASURES

    @property
    def key(self) -> str:
        """The measure by which methods are judged."""
        if self.data.is_regression:
            return "spearman"
        return "balanced_accuracy" if self.data.has_paths else "mcc"

    @property
    def main_level(self) -> str:
        """The level at which methods are judged: the most special one; the first column of a regression."""
        return self.data.levels[0 if self.data.is_regression else -1]

    @property
    def leaked(self) -> int:
        """Test sequences that also stand in training."""
        return len(np.unique(self.data.ids[self.data.leaked]))

    def units(self, level: str) -> int:
        """Groups or sequences that a level is measured on."""
        return len(np.unique(self.data.units[self.data.used(level)]))

    def score(self, method: str, measure: str | None = None, level: str | None = None) -> Interval:
        """A measure of a method, by default the one by which it is judged; NaN where it has none."""
        found = self.scores[level or self.main_level][method].get(measure or self.key)
        return Interval(float("nan"), float("nan"), float("nan")) if found is None else found.interval

    def gain(self, method: str, reference: str, measure: str | None = None, level: str | None = None) -> Gain | None:
        """What a method gains over a reference; None where one of them has no such measure."""
        return self.gains.get((reference, level or self.main_level, method, measure or self.key))

    def ranked(self) -> list[Method]:
        """Methods, the best first; those without a score last."""
        sign = 1 if self.key in LOWER_IS_BETTER else -1
        value = {method.name: sign * self.score(method.name).estimate for method in self.data.methods}
        return sorted(self.data.methods, key=lambda method: (np.isnan(value[method.name]), value[method.name]))


def analyse(folder: Path, samples: int, confidence: float, seed: int) -> Analysis:
    """Read the folder of a stage `classify` and measure its methods.

    Parameters
    ----------
    folder : Path
    samples, confidence, seed : int, float, int
        Number of resamplings, coverage of the intervals, seed of the generator.

    Raises
    ------
    InputError
        A file is missing or damaged, or the methods did not predict the same rows.
    """
    data = read(folder)
    resampling = Resampling(data.units, samples, confidence, seed)
    everything = np.ones(len(data.ids), bool)
    scores = _scores(data, resampling, everything)
    return Analysis(
        data=data,
        confidence=confidence,
        samples=samples,
        seed=seed,
        scores=scores,
        paths={m.name: _paths(data, resampling, m.predicted) for m in data.methods if data.has_paths},
        by_level={m.name: _paths(data, resampling, m.independent) for m in data.methods if data.has_paths},
        gains=_gains(data, resampling, scores),
        without_leaks=_scores(data, resampling, ~data.leaked) if data.leaked.any() else None,
    )


def _scores(data: Classified, resampling: Resampling, kept: np.ndarray) -> Scores:
    return {
        level: {method.name: _measured(data, resampling, method, level, kept) for method in data.methods}
        for level in data.levels
    }


def _measured(
    data: Classified, resampling: Resampling, method: Method, level: str, kept: np.ndarray
) -> dict[str, Measured]:
    true, predicted, used = data.true[level], method.predicted[level], data.used(level) & kept
    if data.is_regression:
        return measure_numbers(resampling, true, predicted, used & np.isfinite(predicted))
    size, probabilities = len(data.classes[level]), method.probabilities.get(level)
    return measure_classes(resampling, true, predicted, size, probabilities, used)


def _paths(data: Classified, resampling: Resampling, predicted: dict[str, np.ndarray]) -> dict[str, Measured]:
    true, told = (np.column_stack([of_level[level] for level in data.levels]) for of_level in (data.true, predicted))
    is_told = told < np.array([len(data.classes[level]) for level in data.levels])
    return measure_paths(resampling, true, told, is_told, contradictory(told, data.parents))


def _gains(data: Classified, resampling: Resampling, scores: Scores) -> dict[tuple[str, str, str, str], Gain]:
    gains: dict[tuple[str, str, str, str], Gain] = {}
    for reference in REFERENCES:
        if data.method(reference) is None:
            continue
        for measure in TITLES:
            found = {
                (reference, level, name, measure): resampling.difference(
                    measured[measure], of_level[reference][measure]
                )
                for level, of_level in scores.items()
                for name, measured in of_level.items()
                if name != reference and measure in measured and measure in of_level[reference]
            }
            corrected = holm(np.array([difference.p_value for difference in found.values()]))
            for (key, difference), value in zip(found.items(), corrected.tolist(), strict=True):
                gains[key] = Gain(difference.interval, difference.p_value, value)
    return gains
