"""Reading windows from a genome: FASTA records and what they are made of, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa

from workflow.annotation.classes import BaseClass, ClassTrack, count_codes
from workflow.genome.alphabet import IUPAC, reverse_complement
from workflow.genome.layout import Layout
from workflow.genome.sequences import Genome
from workflow.windows.pieces import Pieces, Windows

#: Pieces with fewer bases between them are read from the file in one go.
_NEAR = 1 << 12
_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[np.frombuffer(IUPAC, np.uint8)] = reverse_complement(np.frombuffer(IUPAC, np.uint8)[::-1])


@dataclass(frozen=True)
class Records:
    """Windows as they were read.

    Attributes
    ----------
    fasta : (bytes,) uint8
        One FASTA record a window, each sequence on one line.
    offsets : (n,) int64
        Where the bases of each begin in `fasta`.
    lengths : (n,) int64
        Bases of each.
    letters : (n, 4) int64
        Bases that are G or C, A or T, N, and lower-case of any kind.
    classes : (n, classes) int64
        Bases by class.
    """

    fasta: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    letters: np.ndarray
    classes: np.ndarray


def batches(windows: Windows, bases: int) -> Iterator[slice]:
    """Cut a table of windows so that reading each batch takes about `bases` bytes at most, but one window at least."""
    cost = windows.lengths() + _NEAR * windows.piece_counts()
    np.cumsum(cost, out=cost)
    row, done = 0, 0
    while row < len(cost):
        after = max(row + 1, int(np.searchsorted(cost, done + bases, side="right")))
        yield slice(row, after)
        row, done = after, int(cost[after - 1])


def read_records(genome: Genome, track: ClassTrack, layout: Layout, pieces: Pieces, ids: pa.StringArray) -> Records:
    """Read a batch of windows.

    Parameters
    ----------
    genome : Genome
    track : ClassTrack
    layout : Layout
        What the pieces' coordinates mean.
    pieces : Pieces
    ids : StringArray
        One a window.
    """
    bases, classes, source = _read(genome, track, layout, pieces)
    lengths = pieces.lengths()
    id_ends, id_bytes = _text(ids)
    id_lengths = np.diff(id_ends)
    sizes = lengths + id_lengths + 3  # '>' and two line ends
    fasta = np.empty(int(sizes.sum()), np.uint8)
    offsets = np.cumsum(sizes) - lengths - 1
    letters = np.zeros((len(lengths), 4), np.int64)
    by_class = np.zeros((len(lengths), len(BaseClass)), np.int64)
    _fill(
        fasta,
        offsets,
        letters,
        by_class,
        bases,
        classes,
        source,
        pieces.end - pieces.start,
        pieces.reverse,
        pieces.first,
        id_ends,
        id_bytes,
        _COMPLEMENT,
    )
    return Records(fasta, offsets, lengths, letters, by_class)


def _read(
    genome: Genome, track: ClassTrack, layout: Layout, pieces: Pieces
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bases and classes of all stretches that are needed, each once, and where each piece begins in them."""
    sequence = layout.sequence_of(pieces.start)
    order = np.argsort(pieces.start, kind="stable")
    start, end = pieces.start[order], np.maximum.accumulate(pieces.end[order])
    is_apart = np.ones(len(order), bool)
    is_apart[1:] = (start[1:] - end[:-1] > _NEAR) | (np.diff(sequence[order]) != 0)
    first = np.flatnonzero(is_apart)
    read_start, read_end = start[first], end[np.append(first[1:], len(order)) - 1]
    number, offset = sequence[order][first], layout.offsets[sequence[order][first]]
    stretches = [
        (layout.seqids[at], one, other)
        for at, one, other in zip(
            number.tolist(), (read_start - offset).tolist(), (read_end - offset).tolist(), strict=True
        )
    ]
    bases = np.concatenate([genome.fetch(*stretch) for stretch in stretches])
    classes = np.concatenate([track.of(*stretch) for stretch in stretches])
    shift = np.cumsum(read_end - read_start) - read_end  # from position to place in the buffers
    source = np.empty(len(order), np.int64)
    source[order] = start + shift[np.cumsum(is_apart) - 1]
    return bases, classes, source


def _text(ids: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """The (n + 1,) int64 borders of the ids in their (bytes,) uint8 text."""
    _, borders, text = ids.buffers()
    ends = np.frombuffer(borders, np.int32)[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)
    return ends, np.frombuffer(text, np.uint8)


@numba.njit(nogil=True, cache=True)
def _fill(
    fasta: np.ndarray,
    offsets: np.ndarray,
    letters: np.ndarray,
    by_class: np.ndarray,
    bases: np.ndarray,
    classes: np.ndarray,
    source: np.ndarray,
    length: np.ndarray,
    reverse: np.ndarray,
    first: np.ndarray,
    id_ends: np.ndarray,
    id_bytes: np.ndarray,
    complement: np.ndarray,
) -> None:
    """Write the records and count."""
    for window in range(len(offsets)):
        id_start, id_end = id_ends[window], id_ends[window + 1]
        to = offsets[window]
        fasta[to - 2 - (id_end - id_start)] = 62  # >
        fasta[to - 1 - (id_end - id_start) : to - 1] = id_bytes[id_start:id_end]
        fasta[to - 1] = 10
        for piece in range(first[window], first[window + 1]):
            stretch = bases[source[piece] : source[piece] + length[piece]]
            if reverse[piece]:
                for at in range(len(stretch)):
                    fasta[to + at] = complement[stretch[len(stretch) - 1 - at]]
            else:
                fasta[to : to + len(stretch)] = stretch
            to += len(stretch)
            _count_letters(stretch, letters[window])
            count_codes(classes[source[piece] : source[piece] + length[piece]], by_class[window])
        fasta[to] = 10


@numba.njit(nogil=True, cache=True)
def _count_letters(bases: np.ndarray, counts: np.ndarray) -> None:
    """Add the bases that are G or C, A or T, N, and lower-case."""
    gc = at = unknown = lower = 0
    for base in bases:
        letter = base & 0xDF
        gc += (letter == 71) | (letter == 67)
        at += (letter == 65) | (letter == 84)
        unknown += letter == 78
        lower += base >= 97
    counts[0] += gc
    counts[1] += at
    counts[2] += unknown
    counts[3] += lower
