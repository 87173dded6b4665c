"""AUROC over comparisons between families.

An element and its own control are alike: a shuffled copy has the element's composition. Which of the two scores
higher says little of other pairs, and resampling pairs would count such comparisons too often. An element is
therefore compared with the controls of other families alone, and families are the observations: the variance is
that of their contributions (DeLong et al. 1988, Biometrics 44:837; for clusters Obuchowski 1997, Biometrics
53:567). Intervals of an AUROC are made on the logit scale (Pepe 2003, The Statistical Evaluation of Medical Tests,
ch. 5) with the t distribution, so that they hold for few families and near 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy import stats

from evaluation.statistics.bootstrap import Interval


@dataclass(frozen=True)
class Areas:
    """AUROC of several scores over the same rows.

    Attributes
    ----------
    auroc : dict
        Interval by score; without ends where the score ties every element with every control.
    differences : dict
        Interval of AUROC(a) − AUROC(b), by (a, b), for every ordered pair.
    """

    auroc: dict[str, Interval]
    differences: dict[tuple[str, str], Interval]


def areas(scores: Mapping[str, np.ndarray], positive: np.ndarray, family: np.ndarray, confidence: float) -> Areas:
    """How often a positive scores higher than a negative of another family; ties count one half.

    Parameters
    ----------
    scores : mapping
        (n,) by name, no NaN.
    positive : ndarray, (n,) bool
    family : ndarray, (n,) int
    confidence : float

    Returns
    -------
    Areas
        NaN where no positive and negative are of different families.
    """
    number = np.unique(family, return_inverse=True)[1]
    found = {name: _area(values, positive, number) for name, values in scores.items()}
    observations = int(number.max(initial=-1)) + 1
    quantile = float(stats.t.ppf((1 + confidence) / 2, max(observations - 1, 1)))

    def error(contributions: np.ndarray) -> float:
        if observations < 2:
            return float("nan")
        return float(np.sqrt(observations / (observations - 1) * (contributions**2).sum()))

    return Areas(
        {
            name: _interval(area, quantile * error(contributions), observations, confidence)
            for name, (area, contributions) in found.items()
        },
        {
            (a, b): _difference(found[a][0] - found[b][0], quantile * error(found[a][1] - found[b][1]))
            for a, b in permutations(found, 2)
        },
    )


def _area(scores: np.ndarray, positive: np.ndarray, family: np.ndarray) -> tuple[float, np.ndarray]:
    """AUROC, and by how much each family moves it, (families,)."""
    sides = {side: np.flatnonzero(positive == side) for side in (True, False)}
    # Wins of each row over the rows of the other side, and how many those are; first over all, then less its family's.
    wins, rivals = np.zeros(len(scores)), np.zeros(len(scores))
    for side, rows in sides.items():
        others = np.sort(scores[sides[not side]])
        below = np.searchsorted(others, scores[rows], "left") + np.searchsorted(others, scores[rows], "right")
        wins[rows], rivals[rows] = below / 2, len(others)
    for members in np.split(np.argsort(family, kind="stable"), np.cumsum(np.bincount(family))[:-1]):
        own = {side: members[positive[members] == side] for side in (True, False)}
        for side, rows in own.items():
            margin = scores[rows][:, None] - scores[own[not side]]
            wins[rows] -= (np.sign(margin) + 1).sum(axis=1) / 2
            rivals[rows] -= margin.shape[1]
    comparisons = rivals[positive].sum()
    if not comparisons:
        return float("nan"), np.full(family.max(initial=-1) + 1, np.nan)
    area = float(wins[positive].sum() / comparisons)
    # A win of a negative speaks against the score.
    moved = np.where(positive, wins - area * rivals, (rivals - wins) - area * rivals)
    return area, np.bincount(family, moved) / comparisons


def _interval(area: float, reach: float, observations: int, confidence: float) -> Interval:
    """Interval of an AUROC from the half-width that it would have without the logit."""
    if area in (0.0, 1.0) and observations > 1:
        # All of so many independent families agree: the exact bound of a share (Clopper & Pearson 1934, Biometrika
        # 26:404).
        bound = ((1 - confidence) / 2) ** (1 / observations)
        return Interval(area, bound, 1.0) if area else Interval(area, 0.0, 1 - bound)
    if not reach > 0:
        return Interval(area, float("nan"), float("nan"))
    middle, half = np.log(area / (1 - area)), reach / (area * (1 - area))
    low, high = 1 / (1 + np.exp(-(middle - half))), 1 / (1 + np.exp(-(middle + half)))
    return Interval(area, float(low), float(high))


def _difference(estimate: float, reach: float) -> Interval:
    if not reach > 0:
        return Interval(estimate, float("nan"), float("nan"))
    return Interval(estimate, estimate - reach, estimate + reach)
