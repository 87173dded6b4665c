"""Drawing samples from several files by their weights, as Megatron's blending does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit

_SAMPLES_AT_A_TIME = 4096


class Blend:
    """An endless sequence of file numbers in which every file has, at each point, nearly its share.

    Sample k is taken from the file that is furthest behind: with the largest `share · max(k, 1) - drawn`, the
    first of equals. It is the rule of `build_blending_indices` in megatron-core 0.16.

    Parameters
    ----------
    weights : (files,) float64
        Share of the samples of each file; relative.
    """

    def __init__(self, weights: np.ndarray) -> None:
        weights = np.asarray(weights, np.float64)
        self._shares = weights / weights.sum()

    def counts(self, samples: int) -> np.ndarray:
        """Samples of each file among the first `samples`, (files,) int64."""
        drawn = np.zeros(len(self._shares), np.int64)
        for first in range(0, samples, _SAMPLES_AT_A_TIME):
            _draw(self._shares, drawn, first, min(_SAMPLES_AT_A_TIME, samples - first))
        return drawn

    def from_position(self, position: int) -> Iterator[int]:
        """File of sample `position`, `position + 1`, … without end."""
        drawn = self.counts(position)
        while True:
            yield from _draw(self._shares, drawn, position, _SAMPLES_AT_A_TIME).tolist()
            position += _SAMPLES_AT_A_TIME


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _draw(shares: np.ndarray, drawn: np.ndarray, first: int, count: int) -> np.ndarray:
    """Files of samples `first`, …, `first + count - 1`; they are added to `drawn`."""
    files = np.empty(count, np.int64)
    for row in range(count):
        file = np.argmax(shares * max(first + row, 1) - drawn)
        files[row] = file
        drawn[file] += 1
    return files
