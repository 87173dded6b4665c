"""Which parts of a genome are copies of each other, by the k-mers they share on either strand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from workflow.genome.components import connected
from workflow.genome.kmers import K, Sketch

#: A k-mer that lies in more blocks than this belongs to a dispersed repeat, which no split can keep apart.
_MAX_COPIES = 64


def similar_groups(blocks: pd.DataFrame, sketch: Sketch, max_shared: float, longest: float = math.inf) -> np.ndarray:
    """Group of each block: blocks tied by shared k-mers, directly or through others, are one group.

    Two blocks are tied when they share more than `max_shared` of the distinct k-mers of the smaller one
    (its containment), on either strand. k-mers of dispersed repeats (in more than 64 blocks) do not count.

    Parameters
    ----------
    blocks : DataFrame
        seqid, start, end; disjoint, sorted as in the genome.
    sketch : Sketch
    max_shared : float
    longest : float
        Bases; in larger blocks that share of so many bases ties, as a small share of them is a long copy.

    Returns
    -------
    (n,) int64
        Number of the first block of the group.
    """
    starts, _ = sketch.place(blocks)
    block = np.searchsorted(starts, sketch.positions, side="right") - 1
    hashes, block = _distinct(sketch.hashes, block)
    kmers = np.bincount(block, minlength=len(blocks))
    pairs, shared = _shared_counts(hashes, block, len(blocks))
    first, second = np.divmod(pairs, len(blocks))
    compared = np.minimum(np.minimum(kmers[first], kmers[second]), longest / sketch.scale)
    tied = shared > max_shared * compared
    return connected(len(blocks), zip(first[tied].tolist(), second[tied].tolist(), strict=True))


def _distinct(hashes: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (hash, block) pairs, sorted by hash, then block."""
    order = np.lexsort((block, hashes))
    hashes, block = hashes[order], block[order]
    is_new = np.ones(len(hashes), bool)
    is_new[1:] = (hashes[1:] != hashes[:-1]) | (block[1:] != block[:-1])
    return hashes[is_new], block[is_new]


def _shared_counts(hashes: np.ndarray, block: np.ndarray, n_blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of blocks as first · n_blocks + second with first < second, and how many k-mers each pair shares."""
    _, copies = np.unique(hashes, return_counts=True)
    copies = np.repeat(copies, copies)
    counted = (copies > 1) & (copies <= _MAX_COPIES)
    hashes, block = hashes[counted], block[counted]
    shared = pd.Series(dtype=np.int64)
    for lag in range(1, _MAX_COPIES):
        same = hashes[lag:] == hashes[:-lag]
        if not same.any():
            break
        pairs, counts = np.unique(block[:-lag][same] * n_blocks + block[lag:][same], return_counts=True)
        shared = shared.add(pd.Series(counts, index=pairs), fill_value=0)
    return shared.index.to_numpy(np.int64), shared.to_numpy(np.int64)


def shared_with_train(regions: pd.DataFrame, sketch: Sketch) -> dict[str, float]:
    """Share of the distinct k-mers of val and of test that also lie in train, on either strand.

    Parameters
    ----------
    regions : DataFrame
        seqid, start, end, split; disjoint, sorted as in the genome.
    sketch : Sketch
    """
    starts, ends = sketch.place(regions)
    region = np.searchsorted(starts, sketch.positions, side="right") - 1
    inside = (region >= 0) & (sketch.positions + K <= ends[region])
    split = regions["split"].to_numpy()[region[inside]]
    hashes = sketch.hashes[inside]
    train = np.sort(hashes[split == "train"])
    return {name: _share_found(hashes[split == name], train) for name in ("val", "test")}


def _share_found(values: np.ndarray, among: np.ndarray) -> float:
    """Share of the distinct values that are in a sorted array; 0 when there are none."""
    values = np.sort(values)
    values = values[np.diff(values, prepend=~values[:1]) != 0]
    if not values.size or not among.size:
        return 0.0
    nearest = np.minimum(np.searchsorted(among, values), len(among) - 1)
    return float(np.mean(among[nearest] == values))
