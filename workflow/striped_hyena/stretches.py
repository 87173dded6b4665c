"""What is read of a sequence, whatever its length, for it to be embedded, and how what was read is joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from workflow.genome.alphabet import reverse_complement


@dataclass(frozen=True)
class Stretch:
    """Bases that are read together, behind a begin token.

    Attributes
    ----------
    start, stop : int
        Bases of the sequence, half-open.
    first : int
        Of these, the first that counts; those before it are its context.
    is_reverse : bool
        Whether their reverse complement is read.
    is_last : bool
        Whether it is the last of its sequence.
    """

    start: int
    stop: int
    first: int = 0
    is_reverse: bool = False
    is_last: bool = True

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def counted(self) -> int:
        """Bases that count."""
        return len(self) - self.first

    def of(self, sequence: np.ndarray) -> np.ndarray:
        """Its bases, (length,) uint8, in the direction in which they are read."""
        bases = sequence[self.start : self.stop]
        return np.ascontiguousarray(reverse_complement(bases)) if self.is_reverse else bases


@dataclass(frozen=True)
class Reader:
    """How sequences become vectors.

    Attributes
    ----------
    pooling : str
        `mean`, `max`, `first`, `last`, `all` (every position), or `both_strands`.
    chunk : int
        Most bases that are read together. Of a longer sequence `mean`, `max` and `all` read stretches that overlap:
        each base counts in the one where most bases stand before it. The others read the `chunk` bases that end where
        they look. What is no longer than `chunk` is read as it is.
    overlap : int
        Bases of a stretch, but for the first, that are context alone; fewer than `chunk`.
    position : int, optional
        Of `both_strands`: how many bases stand before the place; half of the sequence by default. The forward strand
        is read up to base `position` − 1 (from 0), the other one from the end of the sequence down to base
        `position`: between the two lies the place, and each base belongs to one reading. An allele at base i is so
        seen by the second half of the vector with `position` = i, by the first with i + 1. At either end of a
        sequence, where one of them would read nothing, both read the base that stands there.
    """

    pooling: str
    chunk: int
    overlap: int = 0
    position: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.chunk:
            raise ValueError(f"an overlap of {self.overlap} does not fit into chunks of {self.chunk}")

    @property
    def pooling_of_stretch(self) -> str:
        """How the counted positions of a stretch are pooled."""
        return "last" if self.pooling == "both_strands" else self.pooling

    @property
    def readings(self) -> int:
        """Vectors that are joined to one."""
        return 2 if self.pooling == "both_strands" else 1

    def stretches(self, length: int) -> Iterator[Stretch]:
        """What is read of a sequence, in order.

        Parameters
        ----------
        length : int
            Its bases, at least 1.

        Raises
        ------
        ValueError
            `position` lies beyond its end.
        """
        if self.pooling == "both_strands":
            before, after = self._around(length)
            yield Stretch(max(0, before - self.chunk), before, is_last=False)
            yield Stretch(after, min(length, after + self.chunk), is_reverse=True)
        elif self.pooling == "first":
            yield Stretch(0, 1)  # no position sees what stands after it
        elif self.pooling == "last":
            yield Stretch(max(0, length - self.chunk), length)
        else:
            step = self.chunk - self.overlap
            for start in range(0, max(length - self.overlap, 1), step):
                stop = min(start + self.chunk, length)
                yield Stretch(start, stop, self.overlap if start else 0, is_last=stop == length)

    def tokens(self, length: int) -> int:
        """Positions that the stretches of a sequence take, begin tokens included, each padded to its longest."""
        if self.pooling == "both_strands":
            before, after = self._around(length)
            return 2 * (min(max(before, length - after), self.chunk) + 1)
        if self.pooling == "first":
            return 2
        if self.pooling == "last" or length <= self.chunk:
            return min(length, self.chunk) + 1
        number = -(-(length - self.overlap) // (self.chunk - self.overlap))
        return number * (self.chunk + 1)

    def _around(self, length: int) -> tuple[int, int]:
        """End of the forward reading, and start of the other one."""
        position = length // 2 if self.position is None else self.position
        if not 0 <= position <= length:
            raise ValueError(f"position {position} lies beyond a sequence of {length} bases")
        return max(position, 1), min(position, length - 1)

    def join(self, parts: Iterable[tuple[Stretch, np.ndarray]]) -> Iterator[np.ndarray]:
        """The vectors of sequences, from those of their stretches.

        Parameters
        ----------
        parts : iterable of (Stretch, ndarray)
            In order; (layers, width) float32, of `all` (counted, layers, width).

        Yields
        ------
        ndarray, (rows, layers, width · readings) float32
            One row a sequence. Of `all` one a position, and as many arrays as there are stretches: a long sequence is
            never in memory as a whole.
        """
        kept: np.ndarray | None = None
        weight = 0
        for stretch, part in parts:
            if self.pooling == "all":
                yield part
                continue
            if self.pooling == "mean":
                total = part.astype(np.float64) * stretch.counted
                kept, weight = total if kept is None else kept + total, weight + stretch.counted
            elif kept is None:
                kept, weight = part, 1
            else:
                kept = np.maximum(kept, part) if self.pooling == "max" else np.concatenate([kept, part], axis=-1)
            if stretch.is_last:
                yield (kept / weight if self.pooling == "mean" else kept).astype(np.float32)[None]
                kept, weight = None, 0
