"""Two groups that are not paired: does one lie higher than the other, and by how much?

A paired test asks whether the differences within pairs have one sign. Between two groups of different things there are
no pairs: whoever pairs row 1 with row 1 tests an arrangement of the tables, and another order of the same rows gives
another p value. Mann & Whitney's test (1947, Ann. Math. Stat. 18:50) knows no order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evaluation.statistics.bootstrap import Interval
from evaluation.statistics.ranking import ranking


@dataclass(frozen=True)
class Unpaired:
    """One group against another.

    Attributes
    ----------
    sizes : tuple of int
        Rows of each group with a value.
    medians : tuple of float
    p_value : float
        Of Mann & Whitney's test, two-sided; it takes rows for independent.
    effect : Interval
        Rank-biserial correlation: how much more often a row of the first group is above one of the second than below
        it, −1 to 1 (Kerby 2014, Compr. Psychol. 3:1); 0 where the groups do not differ.
    """

    sizes: tuple[int, int]
    medians: tuple[float, float]
    p_value: float
    effect: Interval


def unpaired(
    values: Mapping[str, np.ndarray],
    is_first: np.ndarray,
    samples: int,
    confidence: float,
    seed: int,
    groups: np.ndarray | None = None,
) -> dict[str, Unpaired]:
    """Compare two groups in each of several measures; a row without a value of one of them is left out of all.

    Parameters
    ----------
    values : mapping
        (n,) by measure.
    is_first : ndarray, (n,) bool
        Rows of the first group; the others are the second.
    samples, confidence, seed : int, float, int
        Resamplings, level of the intervals, seed.
    groups : ndarray, (n,), optional
        Rows that are not independent of each other share a value here, and are resampled together.

    Returns
    -------
    dict
        NaN where a group is empty.
    """
    keep = np.logical_and.reduce([np.isfinite(column) for column in values.values()])
    ranked = ranking(values, is_first, samples, confidence, seed, groups)
    found = {}
    for name, column in values.items():
        one, other = column[keep & is_first], column[keep & ~is_first]
        has_both = len(one) > 0 and len(other) > 0
        area = ranked.auroc[name]
        found[name] = Unpaired(
            sizes=(len(one), len(other)),
            medians=(_median(one), _median(other)),
            p_value=float(stats.mannwhitneyu(one, other).pvalue) if has_both else float("nan"),
            # U / (n1 n2) is the AUROC, and the rank-biserial correlation lies on −1 to 1 where that lies on 0 to 1.
            effect=Interval(*(2 * end - 1 for end in (area.estimate, area.low, area.high))),
        )
    return found


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def matched(one: np.ndarray, other: np.ndarray, tolerance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """As many rows of two groups as can be matched one to one in a covariate, so that its distributions agree.

    Both are walked in ascending order, and a row is matched to the first of the other group that is within reach:
    no other matching has more pairs (maximum matching in a convex bipartite graph, Glover 1967, Nav. Res. Logist. Q.
    14:313).

    Parameters
    ----------
    one, other : ndarray, (n,) and (m,)
        The covariate, such as GC; rows without a value are never matched.
    tolerance : float
        Largest difference within a pair.
    seed : int
        Which of equal rows are taken.

    Returns
    -------
    rows_one, rows_other : ndarray, (k,) int64
        Row numbers of the pairs.
    """
    generator = np.random.default_rng(seed)
    first, second = (_ascending(values, generator) for values in (one, other))
    rows: list[tuple[int, int]] = []
    at = 0
    for row in first:
        while at < len(second) and other[second[at]] < one[row] - tolerance:
            at += 1
        if at < len(second) and other[second[at]] <= one[row] + tolerance:
            rows.append((int(row), int(second[at])))
            at += 1
    pairs = np.array(rows, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _ascending(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Rows with a value in ascending order, equal ones in random order."""
    order: np.ndarray = np.lexsort((generator.random(len(values)), values))
    known: np.ndarray = order[np.isfinite(values[order])]
    return known
