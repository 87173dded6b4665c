"""Disjoint stretches of a genome whose sequences are laid end to end, and places within them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stretches:
    """Disjoint stretches, sorted; 0-based half-open, in the coordinates of a `workflow.genome.layout.Layout`.

    Attributes
    ----------
    start, end : (n,) int64
    """

    start: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, start: np.ndarray, end: np.ndarray) -> Stretches:
        """Stretches of any order; those that overlap become one, those that only touch stay two."""
        order = np.argsort(start, kind="stable")
        start, reach = start[order], np.maximum.accumulate(end[order])
        first = np.flatnonzero(np.append(True, start[1:] >= reach[:-1])[: len(start)])
        last = np.append(first[1:], len(start))[: len(first)] - 1
        return cls(start[first].astype(np.int64), reach[last].astype(np.int64))

    def hold(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Whether each of m stretches lies wholly within one of these, (m,) bool."""
        if not len(self.start):
            return np.zeros(len(start), bool)
        row = np.searchsorted(self.start, start, side="right") - 1
        inside: np.ndarray = (row >= 0) & (end <= self.end[np.maximum(row, 0)])
        return inside

    def meet(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Whether each of m stretches shares a base with one of these, (m,) bool."""
        if not len(self.start):
            return np.zeros(len(start), bool)
        row = np.minimum(np.searchsorted(self.end, start, side="right"), len(self.end) - 1)
        shared: np.ndarray = (self.start[row] < end) & (start < self.end[row])
        return shared

    def draw(self, length: int, number: int, generator: np.random.Generator) -> np.ndarray:
        """Starts of `number` random pieces of `length` bases, each place equally probable; none where none fits."""
        places = np.cumsum(np.maximum(self.end - self.start - length + 1, 0))
        if not len(places) or not places[-1]:
            return np.empty(0, np.int64)
        place = generator.integers(places[-1], size=number)
        row = np.searchsorted(places, place, side="right")
        starts: np.ndarray = self.end[row] - length - (places[row] - 1 - place)
        return starts
