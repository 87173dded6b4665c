"""Counts of all words of some length in a stream of bases.

A word is a base-4 number, the earliest base first, so that the words that share their last bases lie at equal
distances, and those that share their first bases side by side.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from evaluation.per_base.scores import BASE_COLUMN
from workflow.artifacts import InputError

#: Words up to this length are counted with 64 bits: in a large genome a short word occurs more than 2^32 times.
_LONGEST_COMMON_WORD = 11
# Half of what 32 bits hold, so that both strands can be added up. No word of 12 bases comes near it: it would be a
# fifth of a genome of 10 Gb.
_MOST_OF_32_BITS = np.uint64(2**31 - 1)


def count_words(pieces: Iterable[np.ndarray], length: int) -> np.ndarray:
    """Counts of all words of `length` bases on the strand given.

    Parameters
    ----------
    pieces : iterable of (n,) uint8
        Bases as ASCII in either case; words end with a piece, and at letters other than A, C, G, T.
    length : int

    Returns
    -------
    ndarray, (4**length,) uint32, or uint64 for short words
    """
    counts = np.zeros(4**length, np.uint64 if length <= _LONGEST_COMMON_WORD else np.uint32)
    for piece in pieces:
        _count(piece, BASE_COLUMN, length, counts)
    return counts


def require_words(counts: np.ndarray, length: int) -> None:
    """Stop when nothing was counted.

    Raises
    ------
    InputError
        The split has no run of `length` bases.
    """
    if not counts.any():
        raise InputError(
            f"a split has no run of {length} bases for the Markov model: lower evaluation.markov_max_order, or make "
            "split.fractions larger"
        )


def add_other_strand(counts: np.ndarray) -> None:
    """Add to each word, in place, the count of its reverse complement: each then stands for both strands."""
    _fold(counts, round(np.log(len(counts)) / np.log(4)))


def shorter_words(counts: np.ndarray) -> list[np.ndarray]:
    """Counts of the words that end each word, as (4**j, 4) arrays for j = 0 …, the given ones last.

    Each is the next one summed over the earliest base; all but the last are uint64.
    """
    tables = [counts.reshape(-1, 4)]
    while len(tables[0]) > 1:
        tables.insert(0, tables[0].reshape(4, -1).sum(axis=0, dtype=np.uint64).reshape(-1, 4))
    return tables


@njit(nogil=True, cache=True)
def _count(bases, columns, length, counts):  # type: ignore[no-untyped-def]
    word, seen, mask = 0, 0, counts.shape[0] - 1
    most = np.uint64(_MOST_OF_32_BITS) if counts.itemsize == 4 else np.uint64(2**63)
    for place in range(bases.shape[0]):
        code = columns[bases[place]]
        if code > 3:
            seen = 0
            continue
        word = ((word << 2) | code) & mask
        seen += 1
        if seen >= length and counts[word] < most:
            counts[word] += 1


@njit(nogil=True, cache=True)
def _fold(counts, length):  # type: ignore[no-untyped-def]
    for word in range(counts.shape[0]):
        other, rest = 0, word
        for _ in range(length):
            other = (other << 2) | (3 - (rest & 3))
            rest >>= 2
        if word < other:
            counts[word] += counts[other]
            counts[other] = counts[word]
        elif word == other:
            counts[word] *= 2
