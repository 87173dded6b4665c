"""Which parts of a genome are copies of each other, by the k-mers they share on either strand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from workflow.genome.components import connected
from workflow.splits.kmers import Sketch

#: A k-mer that lies in more blocks than this belongs to a dispersed repeat, which no split can keep apart.
_MAX_COPIES = 64
#: Fewer sampled k-mers in common may be chance: a short repeat in a coarse sample.
FEWEST_SHARED = 8


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
    first, second, shared, kmers = shared_kmers(blocks, sketch)
    smaller = np.minimum(kmers[first], kmers[second])
    tied = (shared > max_shared * np.minimum(smaller, longest / sketch.scaled)) & (
        shared >= np.minimum(smaller, FEWEST_SHARED)
    )
    return connected(len(blocks), zip(first[tied].tolist(), second[tied].tolist(), strict=True))


def shared_kmers(blocks: pd.DataFrame, sketch: Sketch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Distinct k-mers that blocks have in common; those of dispersed repeats (in more than 64 blocks) do not count.

    Parameters
    ----------
    blocks : DataFrame
        seqid, start, end; disjoint, sorted as in the genome.
    sketch : Sketch

    Returns
    -------
    first, second, shared : (m,) int64
        Pairs of blocks (first < second) and the sampled k-mers that they share; pairs without any are left out.
    kmers : (n,) int64
        Distinct sampled k-mers of each block.
    """
    starts, _ = sketch.place(blocks)
    block = np.searchsorted(starts, sketch.positions, side="right") - 1
    hashes, block = _distinct(sketch.hashes, block)
    pairs, shared = _shared_counts(hashes, block, len(blocks))
    first, second = np.divmod(pairs, len(blocks))
    return first, second, shared, np.bincount(block, minlength=len(blocks))


def _distinct(hashes: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (hash, block) pairs, sorted by hash, then block; blocks come in their order."""
    order = np.argsort(hashes, kind="stable")
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
