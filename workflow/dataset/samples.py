"""Which stretches of the token files the local engine trains on, in which order.

The plan is a function of the seed alone: sample k of a run is the same whether the run was interrupted or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workflow.dataset.bases import TokenBases
from workflow.dataset.blending import Blend


@dataclass(frozen=True)
class Sample:
    """A stretch of one document: `length` bases from `start`, read from the other strand when `reverse`."""

    file: int
    document: int
    start: int
    length: int
    reverse: bool


class TrainingSamples:
    """An endless, seeded sequence of samples of at most `context_length` bases, drawn from files by weight.

    In each epoch of a file every document is cut into consecutive stretches from a random offset, and these
    are shuffled. What an offset leaves over at a document's ends is covered by other epochs. No sample crosses
    the border of a document.

    Parameters
    ----------
    files : sequence of TokenBases
    weights : sequence of float
        Share of the bases that are read which comes from each file; relative. Where all samples are equally
        long, the files follow one another as Megatron's blending has them.
    context_length : int
        Bases of a sample; documents that are shorter give one shorter sample. Tags are not counted.
    seed : int
        Of offsets, order and strands.
    reverse_complement : float
        Probability that a sample is read from the other strand.
    """

    def __init__(
        self,
        files: Sequence[TokenBases],
        weights: Sequence[float],
        *,
        context_length: int,
        seed: int,
        reverse_complement: float,
    ) -> None:
        self._files = files
        self._plans = [
            _FilePlan(file.counts, context_length, (seed, number), reverse_complement)
            for number, file in enumerate(files)
        ]
        self._blend = Blend(np.array(weights) / [plan.lengths.mean() for plan in self._plans])

    @property
    def bases(self) -> int:
        """Bases of all documents."""
        return sum(int(file.counts.sum()) for file in self._files)

    @property
    def lengths(self) -> np.ndarray:
        """Bases of so many samples as an epoch of every file holds, in their mixture."""
        drawn = self._blend.counts(sum(len(plan.lengths) for plan in self._plans))
        return np.concatenate([np.resize(plan.lengths, count) for plan, count in zip(self._plans, drawn, strict=True)])

    def __getitem__(self, sample: Sample) -> np.ndarray:
        """Bases of a sample with the tags among them, uint8 ASCII, case kept."""
        end = sample.start + sample.length
        return self._files[sample.file].read(sample.document, sample.start, end, reverse=sample.reverse)

    def from_position(self, position: int) -> Iterator[Sample]:
        """Samples `position`, `position + 1`, … of the run, without end."""
        drawn = self._blend.counts(position).tolist()
        of_file = [plan.from_position(first) for plan, first in zip(self._plans, drawn, strict=True)]
        for file in self._blend.from_position(position):
            yield Sample(file, *next(of_file[file]))

    def bases_covered(self, samples: int) -> int:
        """Number of different bases in the first `samples` samples of the run."""
        drawn = self._blend.counts(samples).tolist()
        return sum(plan.bases_covered(count) for plan, count in zip(self._plans, drawn, strict=True))


@dataclass(frozen=True)
class _FilePlan:
    """The samples of one file."""

    bases: np.ndarray
    context_length: int
    seed: tuple[int, int]
    reverse_complement: float

    @cached_property
    def lengths(self) -> np.ndarray:
        """Bases of every sample of an epoch."""
        return self._epoch(0)[2]

    def from_position(self, position: int) -> Iterator[tuple[int, int, int, bool]]:
        """Document, start, length, reverse of the samples from `position` on, without end."""
        epoch = 0
        while True:
            documents, starts, lengths, reverse = self._epoch(epoch)
            for row in range(min(position, len(starts)), len(starts)):
                yield int(documents[row]), int(starts[row]), int(lengths[row]), bool(reverse[row])
            position = max(position - len(starts), 0)
            epoch += 1

    def bases_covered(self, samples: int) -> int:
        """Number of different bases in the first `samples` samples."""
        remaining, epoch, plans = samples, 0, []
        while remaining > 0:
            documents, starts, lengths, _ = (column[:remaining] for column in self._epoch(epoch))
            plans.append(np.stack([documents, starts, starts + lengths]))
            remaining -= len(starts)
            epoch += 1
        if not plans:
            return 0
        documents, starts, ends = np.concatenate(plans, axis=1)
        first_base = np.concatenate([[0], np.cumsum(self.bases)])[documents]
        return _length_of_union(first_base + starts, first_base + ends)

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Columns document, start, length, reverse of one epoch's samples, in order."""
        seed, file = self.seed
        rng = np.random.default_rng([seed, epoch, file])
        # A document of less than two samples gives one, placed anywhere; others are cut from an offset.
        length = np.minimum(self.bases, self.context_length)
        room = np.where(self.bases < 2 * self.context_length, self.bases - length + 1, self.context_length)
        offset = rng.integers(0, np.maximum(room, 1))
        count = np.where(self.bases > 0, (self.bases - offset) // np.maximum(length, 1), 0)
        documents = np.repeat(np.arange(len(count)), count)
        number_in_document = np.arange(len(documents)) - np.repeat(np.cumsum(count) - count, count)
        starts = offset[documents] + number_in_document * length[documents]
        reverse = rng.random(len(documents)) < self.reverse_complement
        order = rng.permutation(len(documents))
        return documents[order], starts[order], length[documents][order], reverse[order]


def validation_samples(
    files: Sequence[TokenBases], weights: Sequence[float], *, context_length: int, count: int
) -> list[np.ndarray]:
    """The bases at `validation_places`.

    Returns
    -------
    list of ndarray
        Each uint8 ASCII, case kept, with the tags among the bases.
    """
    places = validation_places(files, weights, context_length=context_length, count=count)
    return [files[place.file].read(place.document, place.start, place.start + place.length) for place in places]


def validation_places(
    files: Sequence[TokenBases], weights: Sequence[float], *, context_length: int, count: int
) -> list[Sample]:
    """At most `count` evenly spaced, non-overlapping stretches of `context_length` bases (fewer at a document's end).

    Each file gives its share of them, as in training, but no more than it has.
    """
    places = [-(-file.counts // context_length) for file in files]
    mean_lengths = [file.counts.sum() / held.sum() for file, held in zip(files, places, strict=True)]
    asked = Blend(np.array(weights) / mean_lengths).counts(count).tolist()
    chosen = []
    for which, (file, held, wanted) in enumerate(zip(files, places, asked, strict=True)):
        last = np.cumsum(held)
        numbers = np.linspace(0, last[-1] - 1, min(wanted, int(last[-1]))).round().astype(int)
        for number in np.unique(numbers):
            document = int(np.searchsorted(last, number, side="right"))
            start = int(number - (last[document] - held[document])) * context_length
            length = min(context_length, int(file.counts[document]) - start)
            chosen.append(Sample(which, document, start, length, reverse=False))
    return chosen


def _length_of_union(starts: np.ndarray, ends: np.ndarray) -> int:
    """Total length of the union of half-open intervals."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    covered_before = np.concatenate([[0], np.maximum.accumulate(ends)[:-1]])
    return int(np.maximum(ends - np.maximum(starts, covered_before), 0).sum())
