"""Which stretches of the token files the local engine trains on, in which order.

The plan is a function of the seed alone: sample k of a run is the same whether the run was interrupted or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from workflow.dataset.megatron import TokenFile
from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement


@dataclass(frozen=True)
class Sample:
    """A stretch of one document: `length` bases from `start`, read from the other strand when `reverse`."""

    document: int
    start: int
    length: int
    reverse: bool


class TrainingSamples:
    """An endless, seeded sequence of samples of at most `context_length` bases.

    In each epoch every document is cut into consecutive stretches from a random offset, and these are
    shuffled. What an offset leaves over at a document's ends is covered by other epochs. No sample crosses
    the border of a document.

    Parameters
    ----------
    tokens : TokenFile
        Documents of bases, each closed by the end-of-document token.
    context_length : int
        Bases of a sample; documents that are shorter give one shorter sample.
    seed : int
        Of offsets, order and strands.
    reverse_complement : float
        Probability that a sample is read from the other strand.

    Raises
    ------
    InputError
        There are no bases.
    """

    def __init__(self, tokens: TokenFile, *, context_length: int, seed: int, reverse_complement: float) -> None:
        self.tokens = tokens
        self.context_length = context_length
        self.seed = seed
        self.reverse_complement = reverse_complement
        # Without the end-of-document token.
        self._bases = np.asarray(tokens.lengths, dtype=np.int64) - 1
        if not len(self._bases) or self._bases.max() <= 0:
            raise InputError(f"{tokens.prefix}.bin holds no bases to train on")

    @property
    def bases(self) -> int:
        """Bases of all documents."""
        return int(self._bases.sum())

    @property
    def lengths(self) -> np.ndarray:
        """Bases of every sample of an epoch."""
        return self._epoch(0)[2]

    def __getitem__(self, sample: Sample) -> np.ndarray:
        """Bases of a sample, (length,) uint8 ASCII, case kept."""
        document = self.tokens[sample.document]
        bases = np.asarray(document[sample.start : sample.start + sample.length])
        return reverse_complement(bases) if sample.reverse else bases

    def from_position(self, position: int) -> Iterator[Sample]:
        """Samples `position`, `position + 1`, … of the run, without end."""
        epoch = 0
        while True:
            documents, starts, lengths, reverse = self._epoch(epoch)
            for row in range(min(position, len(starts)), len(starts)):
                yield Sample(int(documents[row]), int(starts[row]), int(lengths[row]), bool(reverse[row]))
            position = max(position - len(starts), 0)
            epoch += 1

    def bases_covered(self, samples: int) -> int:
        """Number of different bases in the first `samples` samples of the run."""
        remaining, epoch, plans = samples, 0, []
        while remaining > 0:
            documents, starts, lengths, _ = (column[:remaining] for column in self._epoch(epoch))
            plans.append(np.stack([documents, starts, starts + lengths]))
            remaining -= len(starts)
            epoch += 1
        if not plans:
            return 0
        documents, starts, ends = np.concatenate(plans, axis=1)
        first_base = np.concatenate([[0], np.cumsum(self._bases)])[documents]
        return _length_of_union(first_base + starts, first_base + ends)

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Columns document, start, length, reverse of one epoch's samples, in order."""
        rng = np.random.default_rng([self.seed, epoch])
        # A document of less than two samples gives one, placed anywhere; others are cut from an offset.
        length = np.minimum(self._bases, self.context_length)
        room = np.where(self._bases < 2 * self.context_length, self._bases - length + 1, self.context_length)
        offset = rng.integers(0, np.maximum(room, 1))
        count = np.where(self._bases > 0, (self._bases - offset) // np.maximum(length, 1), 0)
        documents = np.repeat(np.arange(len(count)), count)
        number_in_document = np.arange(len(documents)) - np.repeat(np.cumsum(count) - count, count)
        starts = offset[documents] + number_in_document * length[documents]
        reverse = rng.random(len(documents)) < self.reverse_complement
        order = rng.permutation(len(documents))
        return documents[order], starts[order], length[documents][order], reverse[order]


def validation_samples(tokens: TokenFile, *, context_length: int, count: int) -> list[np.ndarray]:
    """At most `count` evenly spaced, non-overlapping stretches of `context_length` bases (fewer at a document's end).

    Returns
    -------
    list of ndarray
        Each (length,) uint8 ASCII, case kept.
    """
    places = [
        (document, start, min(start + context_length, int(length) - 1))
        for document, length in enumerate(tokens.lengths)
        for start in range(0, int(length) - 1, context_length)
    ]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int))
    return [np.asarray(tokens[document][start:end]) for document, start, end in (places[i] for i in chosen)]


def _length_of_union(starts: np.ndarray, ends: np.ndarray) -> int:
    """Total length of the union of half-open intervals."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    covered_before = np.concatenate([[0], np.maximum.accumulate(ends)[:-1]])
    return int(np.maximum(ends - np.maximum(starts, covered_before), 0).sum())
