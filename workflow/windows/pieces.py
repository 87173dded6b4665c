"""Windows as they are laid out, before any base is read: where each lies and of which pieces it is made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workflow.genome.layout import Layout


class Regions:
    """The regions of a split, sorted, in the coordinates of a layout.

    Parameters
    ----------
    table : DataFrame
        seqid, start, end, split; disjoint.
    layout : Layout

    Attributes
    ----------
    start, end : (n,) int64
    split : (n,) object
    """

    def __init__(self, table: pd.DataFrame, layout: Layout) -> None:
        offset = layout.offsets[layout.numbers(table["seqid"])]
        start = offset + table["start"].to_numpy(np.int64)
        order = np.argsort(start, kind="stable")
        self.start = start[order]
        self.end = (offset + table["end"].to_numpy(np.int64))[order]
        self.split = table["split"].to_numpy(object)[order]

    def around(self, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The region that holds all of each interval.

        Returns
        -------
        region : (n,) int64
            -1 where there is none.
        touches : (n,) bool
            Whether a base of the interval lies in a region.
        """
        last = np.searchsorted(self.start, end, side="left") - 1
        touches = (last >= 0) & (np.append(self.end, 0)[last] > start)
        inside = touches & (np.append(self.start, 0)[last] <= start) & (end <= np.append(self.end, 0)[last])
        return np.where(inside, last, -1), touches


@dataclass(frozen=True)
class Pieces:
    """Stretches of the genome that are read one after another.

    Attributes
    ----------
    first : (n + 1,) int64
        Row of each window's first piece, and the number of pieces.
    start, end : (m,) int64
        In the coordinates of a layout.
    reverse : (m,) bool
        Whether the reverse complement is read.
    """

    first: np.ndarray
    start: np.ndarray
    end: np.ndarray
    reverse: np.ndarray

    def lengths(self) -> np.ndarray:
        """Bases of each window, (n,) int64."""
        read = np.concatenate([[0], np.cumsum(self.end - self.start)])
        lengths: np.ndarray = read[self.first[1:]] - read[self.first[:-1]]
        return lengths

    def take(self, rows: np.ndarray) -> Pieces:
        """Those of some windows, in the order given."""
        counts = np.diff(self.first)[rows]
        first = np.concatenate([[0], np.cumsum(counts)])
        piece = np.repeat(self.first[:-1][rows] - first[:-1], counts) + np.arange(first[-1])
        return Pieces(first, self.start[piece], self.end[piece], self.reverse[piece])


@dataclass(frozen=True)
class Windows:
    """Windows of one set, in the coordinates of a layout.

    Attributes
    ----------
    start, end : (n,) int64
        From the first to the last base that is read, on the forward strand.
    reverse : (n,) bool
    region : (n,) int
        The region that holds them.
    pieces : Pieces, optional
        What is read of each; all of it where there are none.
    parents : StringArray, optional
        Ids of the features that each was made from, joined by commas.
    names : StringArray, optional
        What the ids of the windows begin with.
    names_are_ids : bool
        Whether the names are the whole ids.
    dropped : Counter
        What was left out, by reason.
    """

    start: np.ndarray
    end: np.ndarray
    reverse: np.ndarray
    region: np.ndarray
    pieces: Pieces | None = None
    parents: pa.StringArray | None = None
    names: pa.StringArray | None = None
    names_are_ids: bool = False
    dropped: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.start)

    def lengths(self) -> np.ndarray:
        """Bases that are read of each window, (n,) int64."""
        lengths: np.ndarray = self.end - self.start if self.pieces is None else self.pieces.lengths()
        return lengths

    def piece_counts(self) -> np.ndarray | int:
        """Pieces of each window, (n,) int64, or the one number of all."""
        return 1 if self.pieces is None else np.diff(self.pieces.first)

    def read(self) -> Pieces:
        """The pieces that are read."""
        return self.pieces or Pieces(np.arange(len(self) + 1), self.start, self.end, self.reverse)

    def take(self, rows: np.ndarray) -> Windows:
        """Some of the windows, in the order given."""
        return replace(
            self,
            start=self.start[rows],
            end=self.end[rows],
            reverse=self.reverse[rows],
            region=self.region[rows],
            pieces=None if self.pieces is None else self.pieces.take(rows),
            parents=None if self.parents is None else self.parents.take(pa.array(rows)),
            names=None if self.names is None else self.names.take(pa.array(rows)),
        )

    def keep(self, mask: np.ndarray, reason: str) -> Windows:
        """The windows of a mask; the others are counted."""
        left_out = int(np.count_nonzero(~mask))
        kept = self if not left_out else self.take(np.flatnonzero(mask))
        return replace(kept, dropped=self.dropped + Counter({reason: left_out}))


def joined(ids: pa.StringArray, counts: np.ndarray, separator: str) -> pa.StringArray:
    """Join consecutive ids, `counts` of them at a time."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pc.binary_join(pa.ListArray.from_arrays(offsets, ids), separator)
