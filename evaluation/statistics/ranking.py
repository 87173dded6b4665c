"""How well scores rank positives above negatives: AUROC, average precision, enrichment, with intervals.

Rows are resampled, or whole groups of rows that are not independent of each other. All models are measured on the
same rows in every resampling, so that their differences are paired. Ties are exact: they count one half in the
AUROC, and one step of the precision–recall curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from evaluation.statistics.bootstrap import Interval, interval

#: Share of the rows that the enrichment looks at: those with the highest scores.
TOP_SHARE = 0.1
# Cells of the (resamples, rows) weight matrix that is held at a time.
_CHUNK_CELLS = 1 << 20
_MEASURES = 3


@dataclass(frozen=True)
class Ranking:
    """What `ranking` measured.

    Attributes
    ----------
    auroc, auprc : dict
        Interval by model. AUPRC is the average precision; what knows nothing has an AUROC of 0.5 and an AUPRC of
        `prevalence`.
    enrichment : dict
        Interval by model: share of positives among the `TOP_SHARE` highest scores, over the prevalence.
    differences : dict
        Interval of the paired difference AUROC(a) − AUROC(b), by (a, b), for every ordered pair of models.
    n_positive, n_negative, left_out : int
        Rows; `left_out` are those where a model has no score.
    """

    auroc: dict[str, Interval]
    auprc: dict[str, Interval]
    enrichment: dict[str, Interval]
    differences: dict[tuple[str, str], Interval]
    n_positive: int
    n_negative: int
    left_out: int

    @property
    def prevalence(self) -> float:
        """Share of positives; NaN without rows."""
        rows = self.n_positive + self.n_negative
        return self.n_positive / rows if rows else float("nan")


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive has the higher score than a negative (ties count one half).

    Parameters
    ----------
    scores : ndarray, (n,)
        Higher means more likely positive. No NaN.
    positive : ndarray, (n,) bool

    Returns
    -------
    float
        Mann & Whitney's U / (positives · negatives) (Hanley & McNeil 1982, Radiology 143:29); NaN when there are
        no positives or no negatives.
    """
    return float(_measure(scores, positive, np.ones((1, len(scores))))[0, 0])


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision–recall curve, Σ (R_k − R_{k−1}) · P_k over distinct scores, without interpolation.

    NaN when there are no positives or no negatives. Parameters as of `auroc`.
    """
    return float(_measure(scores, positive, np.ones((1, len(scores))))[0, 1])


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate at every distinct score, from (0, 0) to (1, 1)."""
    hits, misses = _cumulative(scores, positive)
    return np.concatenate([[0.0], misses / misses[-1]]), np.concatenate([[0.0], hits / hits[-1]])


def precision_recall_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision at every distinct score, from the highest score down."""
    hits, misses = _cumulative(scores, positive)
    return hits / hits[-1], hits / (hits + misses)


def ranking(
    scores: Mapping[str, np.ndarray],
    positive: np.ndarray,
    samples: int,
    confidence: float,
    seed: int,
    groups: np.ndarray | None = None,
) -> Ranking:
    """Rank rows by the scores of several models.

    Parameters
    ----------
    scores : mapping
        (n,) scores by model, higher means more likely positive. A row where one is NaN is left out for all.
    positive : ndarray, (n,) bool
    samples, confidence, seed : int, float, int
        Resamplings, level of the intervals, seed of the generator.
    groups : ndarray, (n,), optional
        Rows of one group are drawn together. Without, each row is its own group.

    Returns
    -------
    Ranking
        NaN where there are no positives or no negatives. An interval has no ends where the resamplings do not
        differ; only for a perfect AUROC there is a bound then (see `_perfect`).
    """
    models = list(scores)
    matrix = np.column_stack([scores[model] for model in models]).astype(float)
    keep = ~np.isnan(matrix).any(axis=1)
    matrix, positive = matrix[keep], np.asarray(positive, bool)[keep]
    units = np.arange(len(positive)) if groups is None else np.unique(groups[keep], return_inverse=True)[1]
    observations = int(units.max()) + 1 if len(units) else 0

    ones = np.ones((1, len(positive)))
    found = np.stack([_measure(column, positive, ones)[0] for column in matrix.T])
    draws = np.empty((len(models), samples, _MEASURES))
    first = 0
    for weights in _resampled_weights(units, observations, samples, seed):
        for place, column in enumerate(matrix.T):
            draws[place, first : first + len(weights)] = _measure(column, positive, weights)
        first += len(weights)
    if not observations:
        draws[:] = np.nan

    def of_models(measure: int) -> dict[str, Interval]:
        return {
            model: _spread(float(found[place, measure]), draws[place, :, measure], observations, confidence)
            for place, model in enumerate(models)
        }

    pairs = max(min(len(np.unique(units[positive])), len(np.unique(units[~positive])), observations // 2), 1)
    return Ranking(
        auroc={model: _perfect(area, pairs, confidence) for model, area in of_models(0).items()},
        auprc=of_models(1),
        enrichment=of_models(2),
        differences={
            (models[a], models[b]): _spread(
                float(found[a, 0] - found[b, 0]), draws[a, :, 0] - draws[b, :, 0], observations, confidence
            )
            for a, b in permutations(range(len(models)), 2)
        },
        n_positive=int(positive.sum()),
        n_negative=int((~positive).sum()),
        left_out=int((~keep).sum()),
    )


def ranking_by_stratum(
    scores: Mapping[str, np.ndarray],
    positive: np.ndarray,
    strata: np.ndarray,
    least: int,
    samples: int,
    confidence: float,
    seed: int,
    groups: np.ndarray | None = None,
) -> tuple[dict[str, Ranking], dict[str, tuple[int, int]]]:
    """`ranking` within each stratum, the largest first.

    Parameters
    ----------
    strata : ndarray, (n,) of str
    least : int
        Fewest positives and fewest negatives of a stratum that is measured.

    Returns
    -------
    measured : dict
        Ranking by stratum.
    too_small : dict
        (positives, negatives) of the strata that are not measured.
    """
    names, sizes = np.unique(strata.astype(str), return_counts=True)
    measured, too_small = {}, {}
    for name in names[np.argsort(-sizes, kind="stable")]:
        here = strata == name
        split = int(positive[here].sum()), int((~positive[here]).sum())
        if min(split) < least:
            too_small[str(name)] = split
            continue
        part = {model: values[here] for model, values in scores.items()}
        of_rows = None if groups is None else groups[here]
        measured[str(name)] = ranking(part, positive[here], samples, confidence, seed, of_rows)
    return measured, too_small


def _cumulative(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives with at least each distinct score, the highest score first."""
    order, starts = _steps(scores)
    hits = np.add.reduceat(positive[order].astype(float), starts)
    rows = np.diff([*starts, len(scores)])
    return np.cumsum(hits), np.cumsum(rows - hits)


def _steps(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows with the highest score first, and where in that order each distinct score begins."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    return order, np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))


def _measure(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUROC, average precision and enrichment of the rows weighted in r ways: weights (r, n), result (r, 3)."""
    if not len(scores):
        return np.full((len(weights), _MEASURES), np.nan)
    order, starts = _steps(scores)
    drawn = weights[:, order]
    hits = drawn * positive[order]
    if len(starts) < len(order):
        drawn, hits = np.add.reduceat(drawn, starts, axis=1), np.add.reduceat(hits, starts, axis=1)
    above, hits_above = np.cumsum(drawn, axis=1), np.cumsum(hits, axis=1)
    rows, positives = above[:, -1], hits_above[:, -1]
    negatives = rows - positives
    misses = drawn - hits
    with np.errstate(invalid="ignore", divide="ignore"):
        below = negatives[:, None] - (above - hits_above) + misses / 2
        area = (hits * below).sum(axis=1) / (positives * negatives)
        precision = (hits * hits_above / np.maximum(above, 1)).sum(axis=1) / positives
        # Of rows that tie at the border of the top, each has the same share in it.
        taken = np.clip(TOP_SHARE * rows[:, None] - (above - drawn), 0, drawn) / np.where(drawn > 0, drawn, 1)
        enrichment = (hits * taken).sum(axis=1) / (TOP_SHARE * positives)
    measures = np.column_stack([area, precision, enrichment])
    measures[(positives == 0) | (negatives == 0)] = np.nan
    return measures


def _resampled_weights(units: np.ndarray, observations: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn, (resamplings, rows), a block of resamplings at a time."""
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // max(len(units), 1))
    for first in range(0, samples if observations else 0, step):
        size = min(step, samples - first)
        drawn = generator.integers(0, observations, (size, observations)) + observations * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * observations).reshape(size, observations)
        yield counts[:, units].astype(float)


def _spread(estimate: float, draws: np.ndarray, observations: int, confidence: float) -> Interval:
    """The interval, without ends where all draws are the same: they then say nothing of the uncertainty."""
    defined = draws[np.isfinite(draws)]
    if not len(defined) or np.ptp(defined) < 1e-12:
        return Interval(estimate, float("nan"), float("nan"))
    return interval(estimate, draws, observations, confidence)


def _perfect(area: Interval, pairs: int, confidence: float) -> Interval:
    """An interval for an AUROC of 1 or 0, where the bootstrap has none.

    Of `pairs` disjoint pairs of a positive and a negative all are in order. Each is so with the probability AUROC,
    so that the exact bound for a share (Clopper & Pearson 1934, Biometrika 26:404) holds; it is cautious.
    """
    bound = ((1 - confidence) / 2) ** (1 / pairs)
    if area.estimate == 1:
        return Interval(1.0, bound, 1.0)
    if area.estimate == 0:
        return Interval(0.0, 0.0, 1 - bound)
    return area
