"""How well given groups of points are told apart, for many groupings of the same points.

The definitions are those of scikit-learn, which checks its input anew for each grouping and so takes most of its time
with that.
"""

from __future__ import annotations

import numpy as np

#: Less is better for the second alone.
SCORES = ("silhouette", "davies_bouldin", "calinski_harabasz", "ari", "nmi")
LESS_IS_BETTER = ("davies_bouldin",)
# Of the squares that a squared distance is the difference of.
_ROUNDING = 1e-12


class Points:
    """Points, and clusters that were found among them.

    Parameters
    ----------
    states : ndarray, (n, dimensions) float64
    clusters : ndarray, (n,) int64
        Numbers 0, 1, …
    """

    def __init__(self, states: np.ndarray, clusters: np.ndarray) -> None:
        self._states = states
        self._distances = _distances(states, states)
        self._clusters = _members(clusters)
        self._total = float(((states - states.mean(axis=0)) ** 2).sum())

    def scores(self, labels: np.ndarray) -> np.ndarray:
        """The `SCORES` of one grouping, (5,) float64.

        Parameters
        ----------
        labels : ndarray, (n,) int64
            Group of each point, 0 to K − 1, none of them empty; 2 ≤ K < n.
        """
        members = _members(labels)
        sizes = members.sum(axis=0)
        centres = (members.T @ self._states) / sizes[:, None]
        to_centre = np.linalg.norm(self._states - centres[labels], axis=1)
        contingency = members.T @ self._clusters
        return np.array(
            [
                self._silhouette(labels, members, sizes),
                _davies_bouldin(centres, (members.T @ to_centre) / sizes),
                self._calinski_harabasz(float((to_centre**2).sum()), len(sizes)),
                _adjusted_rand(contingency),
                _normalised_information(contingency),
            ]
        )

    def _silhouette(self, labels: np.ndarray, members: np.ndarray, sizes: np.ndarray) -> float:
        """Mean over points of (b − a) / max(a, b), 0 for a point that is alone in its group (Rousseeuw 1987)."""
        points = np.arange(len(labels))
        sums = self._distances @ members
        own = sums[points, labels] / np.maximum(sizes[labels] - 1, 1)
        others = sums / sizes
        others[points, labels] = np.inf
        nearest = others.min(axis=1)
        larger = np.maximum(own, nearest)
        counts = (sizes[labels] > 1) & (larger > 0)
        return float(np.divide(nearest - own, larger, out=np.zeros(len(labels)), where=counts).mean())

    def _calinski_harabasz(self, within: float, groups: int) -> float:
        """Variance between groups over that within them (Caliński & Harabasz 1974); 1 where nothing varies within."""
        n = len(self._states)
        return 1.0 if within == 0 else (self._total - within) / within * (n - groups) / (groups - 1)


def _davies_bouldin(centres: np.ndarray, spread: np.ndarray) -> float:
    """Mean over groups of the largest (s_i + s_j) / d_ij (Davies & Bouldin 1979)."""
    distances = _distances(centres, centres)
    if np.allclose(spread, 0) or np.allclose(distances, 0):
        return 0.0
    distances[distances == 0] = np.inf
    return float(((spread[:, None] + spread) / distances).max(axis=1).mean())


def _adjusted_rand(contingency: np.ndarray) -> float:
    """Share of pairs on which two partitions agree, corrected for chance (Hubert & Arabie 1985)."""
    n = contingency.sum()
    both, rows, columns = (
        (counts * (counts - 1)).sum() / 2 for counts in (contingency, contingency.sum(1), contingency.sum(0))
    )
    expected = rows * columns / (n * (n - 1) / 2)
    most = (rows + columns) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))


def _normalised_information(contingency: np.ndarray) -> float:
    """Mutual information of two partitions over the mean of their entropies."""
    joint = contingency / contingency.sum()
    rows, columns = joint.sum(1), joint.sum(0)
    entropies = _entropy(rows) + _entropy(columns)
    information = entropies - _entropy(joint.ravel())
    return 1.0 if entropies == 0 else float(2 * max(information, 0.0) / entropies)


def _entropy(shares: np.ndarray) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _members(labels: np.ndarray) -> np.ndarray:
    """(n, K) float64: 1 where a point is of a group."""
    members: np.ndarray = np.eye(int(labels.max()) + 1)[labels]
    return members


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, m); points that coincide but for rounding have none."""
    sizes = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)
    squares = sizes - 2 * one @ other.T
    distances: np.ndarray = np.sqrt(np.where(squares > _ROUNDING * sizes, squares, 0))
    return distances
