"""The audit of a split: for every window of val and test, how much of it the model may have seen in train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numba import njit, uint64

from workflow.console import Progress
from workflow.splits.hashing import K, max_hash
from workflow.splits.kmers import KmerFile, laid_end_to_end

#: A k-mer in more windows than this belongs to a dispersed repeat, which no split can keep apart.
MAX_WINDOWS = 64
#: A window of which so large a part lies in one stretch of train has a copy there.
COPY = 0.5
#: Containments at which the share of windows is told.
THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)
_BUCKET_BITS = 20


def audit_windows(
    kmers: KmerFile, windows: pd.DataFrame, train: pd.DataFrame, stretch: int, max_windows: int = MAX_WINDOWS
) -> pd.DataFrame:
    """Containment of windows in train, by sampled k-mers on both strands (FracMinHash, Irber et al. 2022).

    Two containments are told, as they mean different things. `in_train` is the share of a window's k-mers that
    lie anywhere in train: much of it is dispersed repeats. `containment` is the largest share that lies within
    one stretch of train: a copy of the window. It leaves out the k-mers that are in more than `max_windows` of
    the windows. Stretches are pairs of neighbouring bins of `stretch` bases, gaps of N included, so each stretch
    of that length lies within one.

    Parameters
    ----------
    kmers : KmerFile
        Of the whole genome.
    windows : DataFrame
        seqid, start, end; disjoint.
    train : DataFrame
        seqid, start, end; disjoint, in the order of the genome.
    stretch : int
        Bases; the length of the windows.
    max_windows : int

    Returns
    -------
    DataFrame
        One row a window: kmers (sampled, distinct), in_train, containment (NaN where no k-mer is left to
        compare), train_seqid, train_start, train_end (the stretch; null, -1, -1 when nothing is shared),
        train_strand (`-` where the window's reverse complement is there).
    """
    held = _HeldKmers.collect(kmers, windows)
    state = _State.empty(held, len(windows))
    bins = _search_train(kmers, held, state, train, stretch, max_windows)
    return _findings(held, state, bins, len(windows), max_windows)


def resemblance(audit: pd.DataFrame) -> pd.Series:
    """What counts as a window's likeness to train: containment, or `in_train` where all k-mers are dispersed."""
    return audit["containment"].fillna(audit["in_train"])


@dataclass
class _HeldKmers:
    """Distinct k-mers of the windows, and the windows that hold each.

    Attributes
    ----------
    hashes : (u,) uint64
        Distinct, sorted.
    borders : (u + 1,) int32
        k-mer i lies in `window[borders[i]:borders[i + 1]]`, on the strands in `is_reverse`.
    buckets : (2^20 + 1,) int64
        Number of the first hash of each range of hashes; looking one up takes a step or two from there.
    shift : int
        By which a hash is shifted to get its bucket.
    """

    hashes: np.ndarray
    borders: np.ndarray
    window: np.ndarray
    is_reverse: np.ndarray
    buckets: np.ndarray
    shift: int

    @classmethod
    def collect(cls, kmers: KmerFile, windows: pd.DataFrame) -> _HeldKmers:
        start, end = laid_end_to_end(windows, kmers.offsets)
        order = np.argsort(start, kind="stable")
        hashes_of, window_of, is_reverse_of = [np.empty(0, np.uint64)], [np.empty(0, np.int32)], [np.empty(0, bool)]
        for hashes, places in kmers.chunks():
            position = places >> 1
            inside, row = _within(position, start[order], end[order])
            hashes_of.append(hashes[inside])
            window_of.append(row.astype(np.int32))
            is_reverse_of.append((places[inside] & 1).astype(bool))
        hashes = _joined(hashes_of)
        by_hash = np.argsort(hashes, kind="stable")  # windows are in order already
        hashes, window, is_reverse = hashes[by_hash], _joined(window_of)[by_hash], _joined(is_reverse_of)[by_hash]
        del by_hash
        is_new_hash = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
        first = is_new_hash | np.append(True, window[1:] != window[:-1])[: len(hashes)]
        hashes, window, is_reverse, is_new_hash = hashes[first], window[first], is_reverse[first], is_new_hash[first]
        borders = np.append(np.flatnonzero(is_new_hash), len(hashes)).astype(np.int32)
        distinct = hashes[is_new_hash]
        shift = max(max_hash(kmers.scaled).bit_length() - _BUCKET_BITS, 0)
        edges = np.arange((1 << _BUCKET_BITS) + 1, dtype=np.uint64)
        # The last edge would not fit into 64 bits.
        buckets = np.append(np.searchsorted(distinct, edges[:-1] << np.uint64(shift)), len(distinct))
        return cls(distinct, borders, order[window].astype(np.int32), is_reverse, buckets, shift)

    def kmers_of_windows(self, n_windows: int, of_kmers: np.ndarray) -> np.ndarray:
        """Number of those k-mers (mask (u,) bool) in each window, (n_windows,) int64."""
        counted = np.repeat(of_kmers, np.diff(self.borders))
        return np.bincount(self.window[counted], minlength=n_windows)


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    """The pieces as one array; they are let go."""
    joined = np.concatenate(pieces)
    pieces.clear()
    return joined


def _within(position: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which k-mers lie wholly inside one of some sorted, disjoint intervals, (n,) bool; and in which, for those."""
    row = np.searchsorted(start, position, side="right") - 1
    inside = row >= 0
    inside[inside] = position[inside] + K <= end[row[inside]]
    return inside, row[inside]


@dataclass
class _State:
    """What the search remembers of each k-mer and each window."""

    last_bin: np.ndarray  # (u,) bin of train in which the k-mer was last seen; -2, no bin's neighbour, before
    bin: np.ndarray  # (n,) bin of train to which the counts below belong
    here: np.ndarray  # (n,) k-mers shared with this bin
    before: np.ndarray  # (n,) with the one before
    both: np.ndarray  # (n,) with both
    turned_here: np.ndarray  # (n,) of these, on the other strand, minus those on the same
    turned_before: np.ndarray
    best: np.ndarray  # (n,) most k-mers shared with a pair of neighbouring bins
    best_bin: np.ndarray
    best_turned: np.ndarray

    @classmethod
    def empty(cls, held: _HeldKmers, n_windows: int) -> _State:
        nowhere, zero = np.full(n_windows, -2, np.int32), np.zeros(n_windows, np.int32)
        return cls(
            last_bin=np.full(len(held.hashes), -2, np.int32),
            bin=nowhere,
            here=zero.copy(),
            before=zero.copy(),
            both=zero.copy(),
            turned_here=zero.copy(),
            turned_before=zero.copy(),
            best=zero.copy(),
            best_bin=nowhere.copy(),
            best_turned=zero.copy(),
        )


@dataclass
class _Bins:
    """Bins of train: their size, and of each sequence the first bin, name, first base laid end to end, and end."""

    stretch: int
    first: np.ndarray
    seqid: np.ndarray
    origin: np.ndarray
    end: np.ndarray


def _search_train(
    kmers: KmerFile, held: _HeldKmers, state: _State, train: pd.DataFrame, stretch: int, max_windows: int
) -> _Bins:
    start, end = laid_end_to_end(train, kmers.offsets)
    bins = _lay_bins(train, kmers.offsets, stretch)
    sequence = pd.Index(bins.seqid).get_indexer(pd.Index(train["seqid"]))
    with Progress("comparing with train", kmers.size, "k-mers") as progress:
        for hashes, places in kmers.chunks():
            position = places >> 1
            inside, interval = _within(position, start, end)
            _search(
                hashes[inside],
                bins.first[sequence[interval]] + (position[inside] - bins.origin[sequence[interval]]) // stretch,
                (places[inside] & 1).astype(bool),
                *(held.hashes, held.buckets, np.uint64(held.shift), held.borders, held.window, held.is_reverse),
                max_windows,
                *(state.last_bin, state.bin, state.here, state.before, state.both),
                *(state.turned_here, state.turned_before, state.best, state.best_bin, state.best_turned),
            )
            progress.advance(len(hashes))
    return bins


def _lay_bins(train: pd.DataFrame, offsets: dict[str, int], stretch: int) -> _Bins:
    ends = train.groupby("seqid", sort=False)["end"].max()
    # One number is left free between sequences: their bins are not neighbours.
    count = -(-ends.to_numpy(np.int64) // stretch) + 1
    origin = np.array([offsets[seqid] for seqid in ends.index], np.int64)
    return _Bins(stretch, np.cumsum(count) - count, ends.index.to_numpy(), origin, ends.to_numpy(np.int64))


@njit(nogil=True, cache=True)
def _search(  # type: ignore[no-untyped-def]
    hashes, bin_of_kmer, turned,
    held, buckets, shift, borders, windows, is_reverse, max_windows,
    last_bin, bins, here, before, both, turned_here, turned_before, best, best_bin, best_turned,
):  # fmt: skip
    """Look up the k-mers of a piece of train, in order, and count what each window shares with each pair of bins."""
    for index in range(hashes.shape[0]):
        hashed = hashes[index]
        bucket = hashed >> shift
        kmer, stop = buckets[bucket], buckets[bucket + uint64(1)]
        while kmer < stop and held[kmer] < hashed:
            kmer += 1
        if kmer == stop or held[kmer] != hashed:
            continue
        here_bin = bin_of_kmer[index]
        if last_bin[kmer] == here_bin:
            continue
        was_before = last_bin[kmer] == here_bin - 1
        last_bin[kmer] = here_bin
        if borders[kmer + 1] - borders[kmer] > max_windows:
            continue
        for row in range(borders[kmer], borders[kmer + 1]):
            window = windows[row]
            if bins[window] != here_bin:
                is_next = bins[window] == here_bin - 1
                before[window] = here[window] if is_next else 0
                turned_before[window] = turned_here[window] if is_next else 0
                here[window] = both[window] = turned_here[window] = 0
                bins[window] = here_bin
            here[window] += 1
            turned_here[window] += 1 if is_reverse[row] != turned[index] else -1
            if was_before:
                both[window] += 1
            shared = before[window] + here[window] - both[window]
            if shared > best[window]:
                best[window] = shared
                best_bin[window] = here_bin
                best_turned[window] = turned_before[window] + turned_here[window]


def _findings(held: _HeldKmers, state: _State, bins: _Bins, n_windows: int, max_windows: int) -> pd.DataFrame:
    total = held.kmers_of_windows(n_windows, np.ones(len(held.hashes), bool))
    seen = held.kmers_of_windows(n_windows, state.last_bin >= 0)
    compared = held.kmers_of_windows(n_windows, np.diff(held.borders) <= max_windows)
    shares = {"kmers": total, "in_train": _share(seen, total), "containment": _share(state.best, compared)}
    return pd.DataFrame(shares | _places(state, bins, n_windows))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share: np.ndarray = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share


def _places(state: _State, bins: _Bins, n_windows: int) -> dict[str, np.ndarray]:
    """Columns of the stretch of train that each window resembles most."""
    found = np.flatnonzero(state.best)
    sequence = np.searchsorted(bins.first, state.best_bin[found], side="right") - 1
    place = (state.best_bin[found].astype(np.int64) - bins.first[sequence]) * bins.stretch
    seqid, strand = np.full(n_windows, None, object), np.full(n_windows, None, object)
    start, end = np.full(n_windows, -1), np.full(n_windows, -1)
    seqid[found] = bins.seqid[sequence]
    start[found] = np.maximum(place - bins.stretch, 0)
    end[found] = np.minimum(place + bins.stretch, bins.end[sequence])
    strand[found] = np.where(state.best_turned[found] > 0, "-", "+")
    return {"train_seqid": seqid, "train_start": start, "train_end": end, "train_strand": strand}


def random_split(windows: pd.DataFrame, fractions: dict[str, float], most_held: int, seed: int) -> pd.Series:
    """What the naive way does: each window to a split at random, whatever it resembles.

    Returns
    -------
    Series of str
        Split of each window; of those of val and test, at most `most_held` are named, the others are empty
        strings: so many are enough to see the shares.
    """
    random = np.random.default_rng(seed)
    split = random.choice(list(fractions), len(windows), p=list(fractions.values()))
    held = np.flatnonzero(split != "train")
    spare = random.permutation(held)[most_held:]
    split[spare] = ""
    return pd.Series(split, index=windows.index)


def summarise(audit: pd.DataFrame) -> dict[str, Any]:
    """Means, medians and the share of windows at or above each threshold; empty where nothing was compared."""
    containment = audit["containment"].dropna().to_numpy(np.float64)
    summary: dict[str, Any] = {"windows": len(audit), "compared": len(containment)}
    if len(containment):
        summary |= {
            "mean": float(containment.mean()),
            "median": float(np.median(containment)),
            "mean_in_train": float(audit["in_train"].mean()),
            "share_at_least": {str(limit): float(np.mean(containment >= limit)) for limit in THRESHOLDS},
        }
    return summary
