"""From probabilities of each level by itself to labels that do not contradict each other.

Heads that know nothing of each other name a species and another species' genus. The path through the hierarchy with
the largest product of probabilities is consistent by construction, and corrects one level by the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from workflow.labels.encoding import UNKNOWN

# Cells of the (rows, classes) matrices that are held at a time.
_CHUNK_CELLS = 1 << 22
_LEAST = 1e-45


@dataclass(frozen=True)
class _Ends:
    """Paths that end at one level: the last level, or classes of another one that have no children."""

    level: int
    codes: np.ndarray
    scores: np.ndarray


def consistent_path(probabilities: Sequence[np.ndarray], parents: Sequence[np.ndarray]) -> np.ndarray:
    """The most probable consistent path of each row: the maximum of Σ over the levels of log p(class of that level).

    A path runs from a class without a parent down to a class without children. All paths have a term for each
    level, lest short ones win: where a path ends early, because training had no label below its last class, the
    levels below count as one nameless child that is as probable as that class; a class whose parent training never
    told has a nameless parent alike. Of equal paths the one that reaches further down, then the first, is taken.

    Parameters
    ----------
    probabilities : sequence of ndarray, (n, K)
        Of each level, most general first.
    parents : sequence of ndarray, (K,) int
        Of each level but the first, the class above; −1 where there is none.

    Returns
    -------
    ndarray, (n, levels) int64
        Classes; −1 above and below where the path has none.
    """
    rows = len(probabilities[0])
    codes = np.full((rows, len(probabilities)), UNKNOWN, np.int64)
    step = max(1, _CHUNK_CELLS // sum(of_level.shape[1] for of_level in probabilities))
    for first in range(0, rows, step):
        part = slice(first, first + step)
        logs = [np.log(np.maximum(of_level[part].astype(np.float64), _LEAST)) for of_level in probabilities]
        _fill(codes[part], list(_ends(logs, parents)), parents)
    return codes


def is_consistent(codes: np.ndarray, parents: Sequence[np.ndarray]) -> np.ndarray:
    """Whether the labels of each row lie on one path.

    Parameters
    ----------
    codes : ndarray, (n, levels) int
        −1, and a class without a known parent, contradicts nothing.
    parents : sequence of ndarray, (K,) int
        As for `consistent_path`.

    Returns
    -------
    ndarray, (n,) bool
    """
    agree = np.ones(len(codes), bool)
    path = codes.copy()
    for level in range(codes.shape[1] - 1, 0, -1):
        known = np.flatnonzero(path[:, level] >= 0)
        parent = np.full(len(codes), UNKNOWN, np.int64)
        parent[known] = parents[level - 1][path[known, level]]
        agree &= (parent < 0) | (path[:, level - 1] < 0) | (parent == path[:, level - 1])
        path[:, level - 1] = np.where(path[:, level - 1] < 0, parent, path[:, level - 1])
    return agree


def _ends(logs: list[np.ndarray], parents: Sequence[np.ndarray]) -> Iterator[_Ends]:
    """Scores of all complete paths, by the level where they end."""
    levels = len(logs)
    scores = logs[0]
    for level in range(levels):
        if level:
            above = parents[level - 1]
            # A class without a parent starts a path; the levels above it count as much as itself.
            scores = np.where(above >= 0, scores[:, above], level * logs[level]) + logs[level]
        below = parents[level] if level + 1 < levels else np.empty(0, np.int64)
        childless = np.setdiff1d(np.arange(scores.shape[1]), below)
        if len(childless):
            missing = (levels - 1 - level) * logs[level][:, childless]
            yield _Ends(level, childless, scores[:, childless] + missing)


def _fill(codes: np.ndarray, ends: list[_Ends], parents: Sequence[np.ndarray]) -> None:
    best = np.full(len(codes), -np.inf)
    level_of_end = np.zeros(len(codes), np.int64)
    end = np.zeros(len(codes), np.int64)
    for of_level in reversed(ends):
        column = of_level.scores.argmax(axis=1)
        score = of_level.scores[np.arange(len(codes)), column]
        better = score > best
        best[better], level_of_end[better] = score[better], of_level.level
        end[better] = of_level.codes[column[better]]
    for level in range(codes.shape[1] - 1, -1, -1):
        codes[level_of_end == level, level] = end[level_of_end == level]
        if level:
            known = codes[:, level] >= 0
            codes[known, level - 1] = parents[level - 1][codes[known, level]]
