"""How far a predicted path lies from the true one in the tree of labels.

A path is one label a level, the most general first. The distance is the number of edges between its ends through their
last common ancestor (the tree-induced error of Dekel, Keshet & Singer 2004, ICML): twice the number of levels from the
first wrong one on. A path that contradicts itself is wrong from its first wrong level on, whatever follows. Precision
and recall are those of the sets of labels along the paths, summed over all rows (Kiritchenko et al. 2006, Canadian AI).
Levels whose true label is missing are left out of both paths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.classification.resampling import Measured, Resampling
from evaluation.statistics.groups import ratio

#: What is measured of whole paths.
PATHS = ("distance", "precision", "recall", "f1", "whole_path", "contradictory")
PATH_TITLES = {
    "distance": "distance (edges)",
    "precision": "hierarchical precision",
    "recall": "hierarchical recall",
    "f1": "hierarchical F1",
    "whole_path": "whole path right",
    "contradictory": "contradictory paths",
}


def distances(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Edges between the ends of the true and the predicted path.

    Parameters
    ----------
    true, predicted : ndarray, (n, levels) int64
        Class of each level; −1 in `true` where it is not known.

    Returns
    -------
    ndarray, (n,) int64
    """
    known = true >= 0
    wrong = np.logical_or.accumulate(known & (true != predicted), axis=1)
    edges: np.ndarray = 2 * (wrong & known).sum(axis=1)
    return edges


def contradictory(predicted: np.ndarray, parents: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) bool: whether a label of the path belongs below another one than that predicted above it.

    Parameters
    ----------
    predicted : ndarray, (n, levels) int64
        A number that has no parent, or whose parent is not known (−1), contradicts nothing.
    parents : sequence of ndarray
        Of each level but the first: (classes,) number of each class's parent.
    """
    found = np.zeros(len(predicted), bool)
    for level, above in enumerate(parents, start=1):
        at, upper = predicted[:, level], predicted[:, level - 1]
        told = (at >= 0) & (at < len(above))
        told[told] = above[at[told]] >= 0
        found[told] |= above[at[told]] != upper[told]
    return found


def measure_paths(
    resampling: Resampling, true: np.ndarray, predicted: np.ndarray, is_told: np.ndarray, clash: np.ndarray
) -> dict[str, Measured]:
    """Every measure of the paths of one method.

    Parameters
    ----------
    resampling : Resampling
    true, predicted : ndarray, (n, levels) int64
        As of `distances`.
    is_told : ndarray, (n, levels) bool
        Where a label was predicted.
    clash : ndarray, (n,) bool
        Of `contradictory`.

    Returns
    -------
    dict
        By `PATHS`.
    """
    known = true >= 0
    used: np.ndarray = np.any(known, axis=1)
    hits = (known & (true == predicted)).sum(axis=1)
    edges = distances(true, predicted)
    columns = [edges, hits, (known & is_told).sum(axis=1), known.sum(axis=1), edges == 0, clash, used]
    sums = resampling.sums(np.column_stack(columns).astype(np.float64), used)
    return dict(zip(PATHS, resampling.measure(sums, used, _of_totals), strict=True))


def _of_totals(totals: np.ndarray) -> np.ndarray:
    edges, hits, told, known, whole, clash, rows = totals.T
    shares = [ratio(edges, rows), ratio(hits, told), ratio(hits, known), ratio(2 * hits, told + known)]
    return np.column_stack([*shares, ratio(whole, rows), ratio(clash, rows)])
