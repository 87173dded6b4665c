"""Near-identical windows on homologous sequences of one split: how many copies of each there are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numba import njit, uint64

from workflow.genome.parallel import in_order
from workflow.splits.hashing import K
from workflow.splits.kmers import KmerFile, laid_end_to_end

#: Sequences of a homolog group that are told apart; the others count as one.
_MOST_SEQUENCES = 64
_CHUNK_WINDOWS = 1 << 16


@dataclass(frozen=True)
class Copies:
    """For each sampled k-mer of the genome, the sequences of its homolog group that hold it.

    Attributes
    ----------
    kmers : KmerFile, optional
        None where sequences are not compared.
    rank : dict
        Number of each sequence within its homolog group, in natural order of the names.
    threshold : float
        Containment from which a window has a copy in another sequence.
    holders : Path, optional
        uint64 for each k-mer of the file: bit r is set when the sequence of rank r holds the k-mer. None where
        no group has two sequences.
    """

    kmers: KmerFile | None
    rank: dict[str, int]
    threshold: float
    holders: Path | None

    def count(self, windows: pd.DataFrame) -> pd.DataFrame:
        """Copies of windows (seqid, start, end; any order, overlapping or not) among the homologs.

        Returns
        -------
        DataFrame
            copies (int32): 1 and the number of other sequences of the group that hold at least the threshold's part
            of the window's k-mers. is_first (bool): none of these has a lower rank.
        """
        copies, is_first = np.ones(len(windows), np.int32), np.ones(len(windows), bool)
        if self.kmers is None or self.holders is None or windows.empty:
            return pd.DataFrame({"copies": copies, "is_first": is_first})
        start, end = laid_end_to_end(windows, self.kmers.offsets)
        first, last = self.kmers.find(start), self.kmers.find(np.maximum(end - K + 1, start))
        rank = np.minimum(windows["seqid"].map(self.rank).to_numpy(np.int64), _MOST_SEQUENCES - 1)
        # Windows are counted in the order of the genome, so that few k-mers are held at a time.
        order = np.argsort(first, kind="stable")
        for chunk in np.array_split(order, -(-len(order) // _CHUNK_WINDOWS)):
            lower, upper = int(first[chunk].min()), int(last[chunk].max())
            holders = np.fromfile(self.holders, "<u8", upper - lower, offset=8 * lower)
            found, lead = _count(holders, first[chunk] - lower, last[chunk] - lower, rank[chunk], self.threshold)
            copies[chunk], is_first[chunk] = found, lead
        return pd.DataFrame({"copies": copies, "is_first": is_first})


def no_copies() -> Copies:
    """Where sequences are not compared, each window counts as the only one."""
    return Copies(None, {}, 1.0, None)


def find_copies(kmers: KmerFile, groups: dict[str, str], lengths: dict[str, int], threshold: float) -> Copies:
    """Note for each k-mer which homologs hold it, one homolog group at a time.

    Parameters
    ----------
    kmers : KmerFile
    groups : dict
        Homolog group by seqid, in natural order; all sequences of a group are in one split.
    lengths : dict
        Bases by seqid.
    threshold : float
    """
    members: dict[str, list[str]] = {}
    for seqid, group in groups.items():
        members.setdefault(group, []).append(seqid)
    rank = {seqid: number for of_group in members.values() for number, seqid in enumerate(of_group)}
    if max(rank.values(), default=0) == 0:
        return Copies(kmers, rank, threshold, None)
    path = kmers.folder / "holders"
    several = [of_group for of_group in members.values() if len(of_group) > 1]
    with path.open("wb") as file:
        file.truncate(8 * kmers.size)
        for _ in in_order(lambda of_group: _note_group(kmers, of_group, lengths, file.fileno()), several):
            pass
    return Copies(kmers, rank, threshold, path)


def _note_group(kmers: KmerFile, seqids: list[str], lengths: dict[str, int], file: int) -> None:
    start = np.array([kmers.offsets[seqid] for seqid in seqids])
    first, last = kmers.find(start), kmers.find(start + np.array([lengths[seqid] for seqid in seqids]))
    hashes = np.concatenate([kmers.read(int(a), int(b))[0] for a, b in zip(first, last, strict=True)])
    bits = np.minimum(np.arange(len(seqids)), _MOST_SEQUENCES - 1).astype(np.uint8)
    bit = np.repeat(bits, last - first)
    by_hash = np.argsort(hashes, kind="stable")
    masks = np.empty(len(hashes), np.uint64)
    _unite(hashes, by_hash, bit, masks)
    for start_of, masks_of in zip(first, np.split(masks, np.cumsum(last - first)[:-1]), strict=True):
        os.pwrite(file, masks_of.astype("<u8", copy=False).data, 8 * int(start_of))


@njit(nogil=True, cache=True)
def _unite(hashes, by_hash, bit, masks):  # type: ignore[no-untyped-def]
    """Give all places of a k-mer the bits of all sequences that hold it."""
    row = 0
    while row < by_hash.shape[0]:
        stop, mask = row, uint64(0)
        while stop < by_hash.shape[0] and hashes[by_hash[stop]] == hashes[by_hash[row]]:
            mask |= uint64(1) << uint64(bit[by_hash[stop]])
            stop += 1
        for same in range(row, stop):
            masks[by_hash[same]] = mask
        row = stop


@njit(nogil=True, cache=True)
def _count(holders, first, last, rank, threshold):  # type: ignore[no-untyped-def]
    copies, is_first = np.ones(first.shape[0], np.int32), np.ones(first.shape[0], np.bool_)
    shared = np.zeros(64, np.int64)
    for window in range(first.shape[0]):
        shared[:] = 0
        for kmer in range(first[window], last[window]):
            mask = holders[kmer]
            while mask:
                lowest = mask & (~mask + uint64(1))
                shared[_number_of(lowest)] += 1
                mask ^= lowest
        needed = threshold * (last[window] - first[window])
        for other in range(64):
            if other != rank[window] and shared[other] > 0 and shared[other] >= needed:
                copies[window] += 1
                is_first[window] = is_first[window] and other > rank[window]
    return copies, is_first


@njit(inline="always")
def _number_of(bit):  # type: ignore[no-untyped-def]
    """Number of the only bit that is set."""
    number = 0
    for step in (32, 16, 8, 4, 2, 1):
        if bit >> uint64(number + step):
            number += step
    return number
