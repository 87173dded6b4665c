"""What a classifier learns from: stretches of sequences, their targets, and which of them share a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from workflow.striped_hyena.batching import batches

#: Batches whose sequences are sorted by length together: enough that a batch has little padding.
_BATCHES_SORTED_TOGETHER = 64


def stretches(length: int, longest: int, *, per_base: bool) -> list[tuple[int, int]]:
    """What is read of a sequence, 0-based half-open: all of it, or its middle; per base, all of it in pieces.

    Parameters
    ----------
    length : int
        Of the sequence.
    longest : int
        Most bases that are read at once.
    """
    if per_base:
        return [(start, min(start + longest, length)) for start in range(0, length, longest)]
    first = max((length - longest) // 2, 0)
    return [(first, min(first + longest, length))]


@dataclass(frozen=True)
class Examples:
    """Stretches of sequences with their targets.

    Attributes
    ----------
    sequences : sequence of bytes
        Upper-case ASCII.
    places : ndarray, (n, 3) int64
        Sequence, first base and the one after the last, of each example.
    targets : sequence of ndarray
        Of each sequence: (levels,), or per base (length, levels). int64 classes, −1 where none is known; or float64
        numbers, NaN where none is.
    per_base : bool
    """

    sequences: Sequence[bytes]
    places: np.ndarray
    targets: Sequence[np.ndarray]
    per_base: bool = False

    @classmethod
    def of(
        cls, sequences: Sequence[bytes], targets: Sequence[np.ndarray], longest: int, *, per_base: bool = False
    ) -> Examples:
        """Examples of sequences, of which at most `longest` bases are read at once."""
        places = [
            (number, *stretch)
            for number, sequence in enumerate(sequences)
            for stretch in stretches(len(sequence), longest, per_base=per_base)
        ]
        return cls(sequences, np.array(places, np.int64).reshape(-1, 3), targets, per_base)

    def __len__(self) -> int:
        return len(self.places)

    def chosen(self, wanted: np.ndarray) -> Examples:
        """The examples of the sequences for which `wanted` (sequences,) is True."""
        return Examples(self.sequences, self.places[wanted[self.places[:, 0]]], self.targets, self.per_base)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n,) int64."""
        lengths: np.ndarray = self.places[:, 2] - self.places[:, 1]
        return lengths

    @property
    def tokens(self) -> np.ndarray:
        """Positions that the model reads of each, the begin token included; twice per base. (n,) int64."""
        tokens: np.ndarray = (self.lengths + 1) * (2 if self.per_base else 1)
        return tokens

    def bases(self, number: int) -> np.ndarray:
        """(length,) uint8 of one example."""
        sequence, start, stop = self.places[number]
        return np.frombuffer(self.sequences[sequence], np.uint8)[start:stop]

    def target(self, numbers: Sequence[int] | np.ndarray) -> Tensor:
        """Targets of examples, (B, levels); per base, of all their bases one after another."""
        if not self.per_base:
            return torch.from_numpy(np.stack([self.targets[self.places[number, 0]] for number in numbers]))
        parts = [self.targets[sequence][start:stop] for sequence, start, stop in self.places[np.asarray(numbers)]]
        return torch.from_numpy(np.concatenate(parts))


def training_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of one epoch: a seeded order, in which sequences of like length share a batch.

    Parameters
    ----------
    lengths : ndarray, (n,)

    Returns
    -------
    list of ndarray
        Numbers of examples; each once.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    size = batch_size * _BATCHES_SORTED_TOGETHER
    pools = [order[first : first + size] for first in range(0, len(order), size)]
    alike = [pool[np.argsort(lengths[pool], kind="stable")] for pool in pools]
    cut = [pool[first : first + batch_size] for pool in alike for first in range(0, len(pool), batch_size)]
    return [cut[place] for place in rng.permutation(len(cut))]


def reading_batches(tokens: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Batches for forward passes alone: by length, the longest first, so that too little memory shows at once.

    Parameters
    ----------
    tokens : ndarray, (n,)
        Positions of each example.
    """
    order = np.argsort(-tokens, kind="stable")
    for batch in batches(order.tolist(), batch_tokens, lambda number: int(tokens[number])):
        yield np.array(batch)
