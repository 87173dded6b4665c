"""Do the scores of variants tell damaging ones from others, and more than a baseline does?

A Δ below 0 says that the alternative is less likely than the reference. What is positive is taken for damaging, so
that variants are ranked by −Δ. Variants of one position share their reference window: intervals resample positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evaluation.per_base.stream import Baseline
from evaluation.statistics.bootstrap import Interval
from evaluation.statistics.correlations import correlate
from evaluation.statistics.ranking import Ranking, ranking, ranking_by_stratum
from evaluation.variants.baselines import kmer_scores, markov_deltas
from evaluation.variants.distances import rank_distances
from evaluation.variants.reading import ScoredVariants

#: Fewest variants with each of the two labels, or with a measured value, in a class that is measured.
LEAST_OF_CLASS = 10
_Options = tuple[int, float, int]


@dataclass(frozen=True)
class Measures:
    """What the scores of some of the variants say.

    Attributes
    ----------
    ranking : Ranking or None
        By model, `markov` and `kmer`, without those that have no score; None where there are too few labels.
    spearman : dict
        Rank correlation of Δ with the measured value by model, `markov` and `kmer`; empty where there are too few.
    difference : dict
        Paired difference of two rank correlations, by (a, b) as of `Ranking.differences`.
    measured : int
        Variants with a measured value and a score of every model.
    """

    ranking: Ranking | None
    spearman: dict[str, Interval]
    difference: dict[tuple[str, str], Interval]
    measured: int


@dataclass(frozen=True)
class VariantEffects:
    """What the scores of variants say.

    Attributes
    ----------
    scored : ScoredVariants
        With the column `delta_markov`.
    kmer : ndarray or None
        (n,) out-of-fold score of the k-mer regression for the label, higher for positive; NaN without a label. None
        where there are no labels.
    overall : Measures
        Of all variants.
    by_class : dict
        Of each consequence class that has enough labels or values, the largest first; empty without classes.
    too_small : dict
        (positives, negatives) of the classes with fewer than `LEAST_OF_CLASS` of either.
    strands : dict
        Rank correlation of Δ on the forward strand with that on the reverse, by model; empty with one strand.
    distances : dict
        By model, how well distances between embeddings tell the labels apart; empty where none were measured.
    """

    scored: ScoredVariants
    kmer: np.ndarray | None
    overall: Measures
    by_class: dict[str, Measures]
    too_small: dict[str, tuple[int, int]]
    strands: dict[str, Interval]
    distances: dict[str, Ranking] = field(default_factory=dict)

    @property
    def main_model(self) -> str:
        """The adapted model, or the run's first."""
        models = self.scored.models
        return "adapted" if "adapted" in models else models[0]


def assess(scored: ScoredVariants, markov: Baseline, samples: int, confidence: float, seed: int) -> VariantEffects:
    """Measure the scores of variants beside those of the baselines.

    Parameters
    ----------
    scored : ScoredVariants
    markov : Baseline
        The run's Markov model.
    samples, confidence, seed : int, float, int
        Resamplings, level of the intervals, seed.
    """
    with_markov = scored.table.assign(delta_markov=markov_deltas(scored.table, markov))
    scored = replace(scored, table=with_markov)
    options = (samples, confidence, seed)
    kmer = _kmer_labels(scored, seed) if scored.is_labelled.any() else None
    overall, rankings, too_small = _rankings(scored, kmer, options)
    values = _ValueCorrelations(scored, options)
    whole = Measures(overall, *values.among(np.ones(len(scored.table), bool)))
    classes = scored.classes
    by_class = {}
    for name in scored.class_names if scored.about["consequence"] else []:
        measures = Measures(rankings.get(name), *values.among(classes == name))
        if measures.ranking is not None or measures.spearman:
            by_class[name] = measures
    baselines = {"markov": -scored.deltas("markov")} | ({} if kmer is None else {"kmer": kmer})
    distances = rank_distances(scored, baselines, *options)
    return VariantEffects(scored, kmer, whole, by_class, too_small, _strands(scored, options), distances)


def _rankings(
    scored: ScoredVariants, kmer: np.ndarray | None, options: _Options
) -> tuple[Ranking | None, dict[str, Ranking], dict[str, tuple[int, int]]]:
    """Of all labelled variants, of each class, and the classes that are too small."""
    if kmer is None:
        return None, {}, {}
    rows = scored.is_labelled
    scores = {model: -scored.deltas(model)[rows] for model in (*scored.models, "markov")} | {"kmer": kmer[rows]}
    # Rows that a model has not scored are left out for all: one without any score would leave nothing.
    scores = {model: values for model, values in scores.items() if not np.isnan(values).all()}
    positive, sites = scored.positive[rows], scored.sites[rows]
    overall = ranking(scores, positive, *options, groups=sites)
    if scored.about["consequence"] is None:
        return overall, {}, {}
    classes = scored.classes[rows]
    return overall, *ranking_by_stratum(scores, positive, classes, LEAST_OF_CLASS, *options, groups=sites)


class _ValueCorrelations:
    """Rank correlations of Δ with the measured value, in any part of the variants."""

    def __init__(self, scored: ScoredVariants, options: _Options) -> None:
        self._options = options
        self._values = scored.table["measured"].to_numpy(float)
        deltas = {model: scored.deltas(model) for model in (*scored.models, "markov")}
        known = np.isfinite(self._values)
        if known.any():
            deltas["kmer"] = np.full(len(known), np.nan)
            deltas["kmer"][known] = kmer_scores(scored.table[known], self._values[known], "value", options[2])
        self._deltas = {model: delta for model, delta in deltas.items() if not np.isnan(delta).all()}
        self._known = np.logical_and.reduce([known, *map(np.isfinite, self._deltas.values())])
        self._sites = scored.sites

    def among(self, rows: np.ndarray) -> tuple[dict[str, Interval], dict[tuple[str, str], Interval], int]:
        """Correlations by model, their paired differences, and the number of variants."""
        rows = rows & self._known
        if rows.sum() < LEAST_OF_CLASS:
            return {}, {}, int(rows.sum())
        deltas = {model: delta[rows] for model, delta in self._deltas.items()}
        found, differences = correlate(
            self._values[rows], deltas, np.empty((int(rows.sum()), 0)), self._sites[rows], *self._options
        )
        return {model: correlations.spearman for model, correlations in found.items()}, differences, int(rows.sum())


def _strands(scored: ScoredVariants, options: _Options) -> dict[str, Interval]:
    if scored.about["scores"] is not None or not scored.about["both_strands"]:
        return {}
    agreement = {}
    for model in scored.models:
        forward, reverse = (scored.deltas(f"{direction}_{model}") for direction in ("forward", "reverse"))
        found, _ = correlate(forward, {model: reverse}, np.empty((len(forward), 0)), scored.sites, *options)
        agreement[model] = found[model].spearman
    return agreement


def _kmer_labels(scored: ScoredVariants, seed: int) -> np.ndarray:
    """Out-of-fold decision for each labelled variant, NaN for others."""
    rows = scored.is_labelled
    found = np.full(len(rows), np.nan)
    found[rows] = kmer_scores(scored.table[rows], scored.positive[rows], "label", seed)
    return found


def metrics(effects: VariantEffects) -> dict[str, Any]:
    """The numbers of `metrics.json`: each an estimate with the ends of its interval, by model and baseline."""
    return {
        "variants": len(effects.scored.table),
        "strand_agreement": _numbers(effects.strands),
        "all": _measured(effects.overall),
        "by_consequence": {name: _measured(part) for name, part in effects.by_class.items()},
        "distances": {model: {"auroc": _numbers(found.auroc)} for model, found in effects.distances.items()},
    }


def _measured(part: Measures) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if part.ranking is not None:
        found |= {"positive": part.ranking.n_positive, "negative": part.ranking.n_negative}
        found |= {"auroc": _numbers(part.ranking.auroc), "auprc": _numbers(part.ranking.auprc)}
        found["auroc_difference"] = _numbers(_of_pairs(part.ranking.differences))
    if part.spearman:
        found |= {"measured": part.measured, "spearman": _numbers(part.spearman)}
        found["spearman_difference"] = _numbers(_of_pairs(part.difference))
    return found


def _of_pairs(differences: dict[tuple[str, str], Interval]) -> dict[str, Interval]:
    return {f"{one} - {other}": interval for (one, other), interval in differences.items()}


def _numbers(intervals: dict[str, Interval]) -> dict[str, Any]:
    return {
        name: {"estimate": found.estimate, "low": found.low, "high": found.high} for name, found in intervals.items()
    }
