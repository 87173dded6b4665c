"""Sequences as the frequencies of their k-mers, in sparse matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from scipy.sparse import csr_array

from workflow.genome.alphabet import BASE_CODE


def columns_of(lengths: Sequence[int]) -> int:
    """Number of k-mers of all lengths: Σ 4^k."""
    return sum(4**k for k in lengths)


def kmer_frequencies(sequences: Sequence[bytes], lengths: Sequence[int]) -> csr_array:
    """How often each k-mer occurs in each sequence, as a share of the sequence's k-mers of that length.

    k-mers are counted as they stand, on the given strand; those with other letters than A, C, G, T are passed over.

    Parameters
    ----------
    sequences : sequence of bytes
        Upper case.
    lengths : sequence of int
        Lengths k, at most 12.

    Returns
    -------
    csr_array, (n, Σ 4^k) float64
        Columns by length as given, then in the order of the alphabet.
    """
    scratch = np.zeros(columns_of(lengths), np.int64)
    of_lengths = np.array(lengths, np.int64)
    rows = [_frequencies(np.frombuffer(sequence, np.uint8), BASE_CODE, of_lengths, scratch) for sequence in sequences]
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(columns) for columns, _ in rows], out=starts[1:])
    columns = np.concatenate([columns for columns, _ in rows]) if rows else np.empty(0, np.int32)
    shares = np.concatenate([shares for _, shares in rows]) if rows else np.empty(0)
    return csr_array((shares, columns, starts), shape=(len(rows), len(scratch)))


@njit(nogil=True, cache=True)
def _frequencies(bases, code_of, lengths, scratch):  # type: ignore[no-untyped-def]
    """Columns, ascending by length, and frequencies of a sequence; `scratch` is left as zeros."""
    room = 0
    for k in lengths:
        room += min(max(len(bases) - k + 1, 0), 4**k)
    columns = np.empty(room, np.int32)
    shares = np.empty(room, np.float64)
    found, first = 0, 0
    for k in lengths:
        kinds, total, run, code = found, 0, 0, 0
        mask = 4**k - 1
        for base in bases:
            letter = code_of[base]
            if letter > 3:
                run = 0
                continue
            code = (code * 4 + letter) & mask
            run += 1
            if run >= k:
                if scratch[first + code] == 0:
                    columns[found] = first + code
                    found += 1
                scratch[first + code] += 1
                total += 1
        columns[kinds:found] = np.sort(columns[kinds:found])
        for place in range(kinds, found):
            shares[place] = scratch[columns[place]] / total
            scratch[columns[place]] = 0
        first += 4**k
    return columns[:found], shares[:found]
