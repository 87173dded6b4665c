"""bigWig tracks of the predictions: entropy, NLL, and the gain of the adapted model, in bins along the genome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pyBigWig

from evaluation.per_base.stream import Chunk
from workflow.artifacts import InputError

#: Values in memory while they are written.
_PIECE_BINS = 1 << 20
_MOST_BINS = 20_000_000


@dataclass(frozen=True)
class Track:
    """A bigWig file, and the standard deviation of its values over the bases that they cover (0 where none are)."""

    path: Path
    spread: float


class TrackTally:
    """Means in bins, taken in while the predictions pass by once, and written as bigWig files afterwards.

    A bin is `bin_size` bases from a multiple of it, and ends where its window ends. Its value is the mean over the
    bases that every model scores; a bin without any has no entry. On the reverse strand, a value stands at the base
    that was predicted. Where windows overlap, the first one along the sequence counts, which has read the most before
    the bases they share; a bin that lies partly before the end of an earlier window is cut there. Windows that join
    exons are left out.

    Means wait in a file a track, in the order of the stream, so that memory is flat and the windows need no order.

    Parameters
    ----------
    index : DataFrame
        Windows of the predictions: seqid, start, end, strand, length.
    sequences : DataFrame
        seqid and length of all sequences of the genome, in the order of the tracks.
    models, baselines : sequence of str
        Names in `Chunk.models`. Models have tracks of entropy and NLL, baselines of NLL.
    bin_size : int
        Bases; the attribute of this name is a multiple of it where more than 20 million bins would be needed, as the
        library that writes them keeps a summary in memory.
    folder : Path
        An existing folder, for the waiting means and the tracks.

    Raises
    ------
    InputError
        A window lies on no sequence of the genome, or past its end.
    """

    def __init__(
        self,
        index: pd.DataFrame,
        sequences: pd.DataFrame,
        models: Sequence[str],
        baselines: Sequence[str],
        bin_size: int,
        folder: Path,
    ) -> None:
        self.bin_size = _affordable(bin_size, int(index["length"].sum()))
        self.sequences = sequences[["seqid", "length"]].reset_index(drop=True)
        self._models, self._baselines, self._folder = tuple(models), tuple(baselines), folder
        self._sequence = pd.Index(sequences["seqid"]).get_indexer(pd.Index(index["seqid"]))
        self._start, self._end = (index[name].to_numpy(np.int64) for name in ("start", "end"))
        self._reverse = (index["strand"] == "-").to_numpy()
        self._require_in_genome(index)
        # A bin that two windows share is one of each.
        bins = (self._end - 1) // self.bin_size - self._start // self.bin_size + 1
        bins[self._end - self._start != index["length"].to_numpy()] = 0
        self._first_bin = np.concatenate([[0], np.cumsum(bins)])
        self._waiting = {name: folder / f".{name}.means" for name in self.names}
        for path in self._waiting.values():
            path.write_bytes(b"")

    @property
    def names(self) -> list[str]:
        """Tracks, in the order in which they are shown."""
        gain = ["gain"] if {"base", "adapted"} <= set(self._models) else []
        nll = [f"nll_{name}" for name in (*self._models, *self._baselines)]
        return [*gain, *nll, *(f"entropy_{model}" for model in self._models)]

    @property
    def scored_sequences(self) -> set[str]:
        """Sequences on which windows lie."""
        return set(self.sequences["seqid"].to_numpy()[np.unique(self._sequence)].tolist())

    @property
    def first_stretch(self) -> tuple[str, int, int]:
        """Sequence, start and end of the first windows along the genome, up to where they leave a gap."""
        order = np.lexsort((self._end, self._start, self._sequence))
        sequence, start, end = self._sequence[order], self._start[order], self._end[order]
        breaks = np.flatnonzero((np.diff(sequence) != 0) | (start[1:] > np.maximum.accumulate(end)[:-1]))
        last = int(breaks[0]) if len(breaks) else len(order) - 1
        return str(self.sequences["seqid"].iloc[sequence[0]]), int(start[0]), int(end[: last + 1].max())

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """Take in a piece (`evaluation.per_base.stream.Tally`); pieces come in order."""
        rows = chunk.rows
        first_bin = self._first_bin[rows.start : rows.stop + 1] - self._first_bin[rows.start]
        place = (chunk.starts, self._start[rows], self._reverse[rows], first_bin, self.bin_size)
        for name, path in self._waiting.items():
            with path.open("ab") as file:
                file.write(_bin_means(self._values(chunk, name), *place).tobytes())

    @staticmethod
    def _values(chunk: Chunk, name: str) -> np.ndarray:
        if name == "gain":
            gain: np.ndarray = chunk.models["base"].nll - chunk.models["adapted"].nll
            return gain
        kind, model = name.split("_", 1)
        values: np.ndarray = getattr(chunk.models[model], kind)
        return values

    def write(self) -> dict[str, Track]:
        """Write one file a track, once. Returns them by name, in the order of `names`."""
        return {name: self._write(name) for name in self.names}

    def _write(self, name: str) -> Track:
        path = self._folder / f"{name}.bw"
        header = list(self.sequences.itertuples(index=False, name=None))
        bases, total, squares = 0, 0.0, 0.0
        with pyBigWig.open(str(path), "w") as track:
            track.addHeader(header)
            for sequence, starts, ends, values in self._pieces(self._waiting[name]):
                widths = ends - starts
                # Bins of one width side by side are written as one: several times faster, and smaller.
                new = (starts[1:] != ends[:-1]) | (widths[1:] != widths[:-1])
                for first, last in pairwise([0, *(np.flatnonzero(new) + 1).tolist(), len(starts)]):
                    start, width = int(starts[first]), int(widths[first])
                    track.addEntries(header[sequence][0], start, values=values[first:last], span=width, step=width)
                bases += int(widths.sum())
                total += float(values @ widths)
                squares += float(values**2 @ widths)
        self._waiting[name].unlink()
        variance = squares / max(bases, 1) - (total / max(bases, 1)) ** 2
        return Track(path, max(variance, 0.0) ** 0.5)

    def _pieces(self, waiting: Path) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Sequence, starts, ends and means of the defined bins along the genome."""
        order = np.lexsort((np.arange(len(self._start)), self._end, self._start, self._sequence))
        order = order[np.diff(self._first_bin)[order] > 0]
        reached = _reached(self._sequence[order], self._end[order])
        for run in _runs(order, self._sequence[order], np.diff(self._first_bin)[order]):
            rows = order[run]
            starts, ends = self._bins(rows)
            starts = np.maximum(starts, np.repeat(reached[run], np.diff(self._first_bin)[rows]))
            first, last = (int(bin_) for bin_ in (self._first_bin[rows[0]], self._first_bin[rows[-1] + 1]))
            offset = first * np.dtype(np.float32).itemsize
            means = np.fromfile(waiting, np.float32, last - first, offset=offset).astype(np.float64)
            kept = (starts < ends) & ~np.isnan(means)
            if kept.any():
                yield int(self._sequence[rows[0]]), starts[kept], ends[kept], means[kept]

    def _bins(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends of all bins of some windows."""
        counts = np.diff(self._first_bin)[rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        left = (np.repeat(self._start[rows] // self.bin_size, counts) + within) * self.bin_size
        starts = np.maximum(left, np.repeat(self._start[rows], counts))
        return starts, np.minimum(left + self.bin_size, np.repeat(self._end[rows], counts))

    def _require_in_genome(self, index: pd.DataFrame) -> None:
        lengths = self.sequences["length"].to_numpy(np.int64)
        outside = (self._sequence < 0) | (self._end > lengths[self._sequence])
        if outside.any():
            row = int(outside.argmax())
            raise InputError(
                f"window {row} of the predictions, {index['seqid'].iloc[row]}:{self._start[row]}-{self._end[row]}, "
                "lies outside of the genome in prepare/sequences.parquet: run stage=predict again with force=true"
            )


def _affordable(bin_size: int, bases: int) -> int:
    """The bin size that was asked for, or the least multiple of it with no more than `_MOST_BINS` bins."""
    return bin_size * max(-(-bases // (bin_size * _MOST_BINS)), 1)


def _reached(sequence: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How far the windows before each one reach on its sequence; 0 for the first of a sequence."""
    frame = pd.DataFrame({"sequence": sequence, "end": end})
    reached = frame.groupby("sequence", sort=False)["end"].cummax().groupby(frame["sequence"], sort=False).shift(1)
    return reached.fillna(0).to_numpy(np.int64)


def _runs(order: np.ndarray, sequence: np.ndarray, bins: np.ndarray) -> Iterator[slice]:
    """Places in `order` that stand one after the other in the stream, on one sequence, `_PIECE_BINS` at a time."""
    if not len(order):
        return
    piece = (np.cumsum(bins) - bins) // _PIECE_BINS
    breaks = (np.diff(order) != 1) | (np.diff(sequence) != 0) | (np.diff(piece) != 0)
    for first, last in pairwise([0, *(np.flatnonzero(breaks) + 1).tolist(), len(order)]):
        yield slice(first, last)


@numba.njit(nogil=True, cache=True)
def _bin_means(
    values: np.ndarray,
    starts: np.ndarray,
    positions: np.ndarray,
    reverse: np.ndarray,
    first_bin: np.ndarray,
    size: int,
) -> np.ndarray:
    """Means of the defined values in the bins of each window, bins in the order of the forward strand.

    Parameters
    ----------
    values : ndarray, (n,) float32
        Of consecutive windows, each in its own direction.
    starts : ndarray, (windows + 1,) int64
        Where each window begins in `values`.
    positions : ndarray, (windows,) int64
        Start of each window on the forward strand.
    reverse : ndarray, (windows,) bool
    first_bin : ndarray, (windows + 1,) int64
        Where its bins begin in the result; a window without bins is passed over.
    size : int
        Bases of a bin.
    """
    means = np.empty(first_bin[-1], np.float32)
    for window in range(len(positions)):
        bins = first_bin[window + 1] - first_bin[window]
        length = starts[window + 1] - starts[window]
        at = 0
        for place in range(bins):
            until = min((positions[window] // size + place + 1) * size - positions[window], length)
            total, number = 0.0, 0
            while at < until:
                offset = length - 1 - at if reverse[window] else at
                value = values[starts[window] + offset]
                if not np.isnan(value):
                    total += value
                    number += 1
                at += 1
            means[first_bin[window] + place] = total / number if number else np.nan
    return means
