"""Which sequences share a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Iterable[Item], batch_tokens: int, length: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Group consecutive items while a batch, padded to its longest, stays within `batch_tokens`.

    An item that is longer is a batch of its own. What begins at the border of a batch is grouped alike, whatever
    came before it.

    Parameters
    ----------
    items : iterable
        Sequences, or their lengths.
    batch_tokens : int
        Most positions of one batch, padding included.
    length : callable
        Positions of an item.
    """
    batch: list[Item] = []
    longest = 0
    for item in items:
        positions = length(item)
        if batch and max(longest, positions) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch, longest = [], 0
        batch.append(item)
        longest = max(longest, positions)
    if batch:
        yield batch
