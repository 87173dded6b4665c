"""Exons and coding parts in the coordinates of a whole genome, where all sequences are laid end to end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd


class Layout:
    """Sequences laid end to end.

    Parameters
    ----------
    lengths : mapping
        Bases by seqid.
    order : iterable of str, optional
        The seqids in the order in which they are laid; by default that of `lengths`.

    Attributes
    ----------
    seqids : Index
        In their order.
    offsets : (n + 1,) int64
        First base of each sequence, and the total.
    """

    def __init__(self, lengths: Mapping[str, int], order: Iterable[str] | None = None) -> None:
        self.seqids = pd.Index(list(lengths if order is None else order), dtype=object)
        self.offsets = np.cumsum([0, *(lengths[seqid] for seqid in self.seqids)], dtype=np.int64)

    @property
    def total(self) -> int:
        """Bases of all sequences."""
        return int(self.offsets[-1])

    def sequence_of(self, positions: np.ndarray) -> np.ndarray:
        """Number of the sequence that holds each position, (n,) int64."""
        return np.searchsorted(self.offsets, positions, side="right") - 1

    def numbers(self, seqids: pd.Series) -> np.ndarray:
        """Number of each sequence by its name, (n,) int64; ValueError for one that is not laid."""
        numbers: np.ndarray = self.seqids.get_indexer(pd.Index(seqids, dtype=object)).astype(np.int64)
        if (numbers < 0).any():
            raise ValueError(f"sequence {seqids.to_numpy()[np.argmin(numbers)]} is not in the genome")
        return numbers

    def local(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sequence number and position within the sequence of each position."""
        sequence = self.sequence_of(positions)
        return sequence, positions - self.offsets[sequence]


@dataclass(frozen=True)
class Parts:
    """Parts of transcripts, those of a transcript together, in the order of transcription.

    Attributes
    ----------
    transcript : (n,) int64
        Row of the transcript; ascending.
    start, end : (n,) int64
        0-based half-open on the forward strand, in the coordinates of a layout.
    reverse : (n,) bool
        Whether it is read from the minus strand.
    row : (n,) int64
        Row of the table that it comes from.
    is_second : (n,) bool
        Whether it is what is read second of a part across the origin.
    """

    transcript: np.ndarray
    start: np.ndarray
    end: np.ndarray
    reverse: np.ndarray
    row: np.ndarray
    is_second: np.ndarray

    @property
    def length(self) -> np.ndarray:
        """Bases of each part, (n,) int64."""
        lengths: np.ndarray = self.end - self.start
        return lengths

    def read_before(self) -> np.ndarray:
        """Bases of the same transcript that are read before each part, (n,) int64."""
        before = np.cumsum(self.length) - self.length
        first = np.searchsorted(self.transcript, self.transcript, side="left")
        read: np.ndarray = before - before[first]
        return read

    def first_rows(self) -> np.ndarray:
        """Row of each transcript's first part."""
        return np.flatnonzero(np.diff(self.transcript, prepend=-1))

    def gaps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What lies between each part and the next one of its transcript.

        Returns
        -------
        row : (m,) int64
            The part before; only pairs whose second follows the first in the direction of their one strand.
        start, end : (m,) int64
        """
        one, other = self.reverse[:-1], self.reverse[1:]
        start = np.where(one, self.end[1:], self.end[:-1])
        end = np.where(one, self.start[:-1], self.start[1:])
        row = np.flatnonzero((self.transcript[1:] == self.transcript[:-1]) & (one == other) & (end > start))
        return row, start[row], end[row]


def parts_of(table: pd.DataFrame, layout: Layout) -> Parts:
    """Exons or coding parts of gene models, those across the origin of a circular sequence cut in two.

    Parameters
    ----------
    table : DataFrame
        transcript, seqid, start, end, strand; per transcript in the order of transcription. On a circular
        sequence the end may lie past the sequence's length.
    layout : Layout
    """
    order = np.argsort(table["transcript"].to_numpy(np.int64), kind="stable")
    table = table.iloc[order]
    sequence = layout.numbers(table["seqid"])
    length = np.diff(layout.offsets)[sequence]
    turns = table["start"].to_numpy(np.int64) // length * length
    start, end = (table[name].to_numpy(np.int64) - turns for name in ("start", "end"))
    reverse = (table["strand"] == "-").to_numpy(bool)
    crosses = end > length
    row = np.repeat(np.arange(len(table)), 1 + crosses)
    is_second = np.diff(row, prepend=-1) == 0
    # Read forwards, the piece past the origin is the second; read backwards, the first.
    past_origin = crosses[row] & (is_second != reverse[row])
    piece_start = np.where(past_origin, 0, start[row])
    piece_end = np.where(past_origin, end[row] - length[row], np.minimum(end, length)[row])
    offset = layout.offsets[sequence[row]]
    transcript = table["transcript"].to_numpy(np.int64)[row]
    return Parts(transcript, offset + piece_start, offset + piece_end, reverse[row], order[row], is_second)
