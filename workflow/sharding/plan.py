"""What the parts of a work are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Shard:
    """Consecutive items of a list of work.

    Attributes
    ----------
    kind : str
        Of what, such as the name of a model.
    number, of : int
        Which, from 0, of how many.
    start, stop : int
        Its items, half-open; none where there are fewer pieces of work than shards.
    """

    kind: str
    number: int
    of: int
    start: int
    stop: int

    @property
    def label(self) -> str:
        """Name of its folder."""
        return f"{self.kind}-{self.number}-of-{self.of}"

    def __len__(self) -> int:
        return self.stop - self.start


def divide(kind: str, weights: np.ndarray, borders: np.ndarray, shards: int) -> list[Shard]:
    """Consecutive shards of about equal weight that end at borders; together they hold each item once, in order.

    Parameters
    ----------
    kind : str
    weights : ndarray, (n,) int64
        Work that each item is.
    borders : ndarray, (b,) int64
        Where the list may be cut: item numbers, rising, from 0 to n.
    shards : int
        Some are empty where there are fewer pieces between borders.
    """
    before = np.concatenate([[0], np.cumsum(weights)])[borders]
    wanted = [int(before[-1]) * number // shards for number in range(shards + 1)]
    after = np.searchsorted(before, wanted).clip(1, len(before) - 1)
    is_nearer_below = wanted - before[after - 1] <= before[after] - wanted
    cuts = borders[after - is_nearer_below].tolist()
    cuts[0], cuts[-1] = 0, len(weights)
    return [Shard(kind, number, shards, cuts[number], cuts[number + 1]) for number in range(shards)]
