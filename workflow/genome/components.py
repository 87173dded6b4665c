"""Connected components of a graph given by its edges (union-find)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def connected(n: int, edges: Iterable[tuple[int, int]]) -> np.ndarray:
    """Component of each of `n` nodes, (n,) int64: the smallest node of the component."""
    parent = list(range(n))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in edges:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(node) for node in range(n)], np.int64)
