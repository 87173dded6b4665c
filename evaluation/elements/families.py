"""Families of near-identical sequences, which are not independent observations.

Promoters of homologous genes on the chromosomes of a polyploid are near copies of each other, and neighbouring
elements may overlap. An interval that counts each of them as an observation is too narrow, and a baseline that is
trained on one and tested on another has seen the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from evaluation.artefacts.sequences import encode

_K = 16
#: One in so many k-mers is looked at; a family of identical sequences costs the square of its size for each.
_SAMPLED = 4
_SHARED = 1 / 3
# Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4): the upper bits depend on all letters.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_UPPER_BITS = np.uint64(32)


def families(sequences: Sequence[str]) -> np.ndarray:
    """Family of each sequence, (n,) int64.

    Two are of one family when they share a third of the shorter one's 16-mers, on either strand, or are linked by
    others that do. Sequences with fewer than 16 bases in a row are families of their own.
    """
    words = [_sketch(encode(sequence)) for sequence in sequences]
    sizes = np.array([len(found) for found in words], np.int64)
    if not sizes.any():
        return np.arange(len(sequences))
    columns, place = np.unique(np.concatenate(words), return_inverse=True)
    rows = np.repeat(np.arange(len(sequences)), sizes)
    holds = csr_matrix((np.ones(len(rows), np.int32), (rows, place)), (len(sequences), len(columns)))
    shared = (holds @ holds.T).tocoo()
    linked = shared.data >= _SHARED * np.minimum(sizes[shared.row], sizes[shared.col])
    links = csr_matrix((linked[linked], (shared.row[linked], shared.col[linked])), shared.shape)
    family: np.ndarray = connected_components(links, directed=False)[1].astype(np.int64)
    return family


def _sketch(codes: np.ndarray) -> np.ndarray:
    """The sampled k-mers of a sequence, each once: the smaller number of a k-mer and its reverse complement."""
    size = len(codes) - _K + 1
    if size < 1:
        return np.empty(0, np.uint64)
    forward, reverse = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    letters = np.minimum(codes, 3).astype(np.uint64)
    for step in range(_K):
        forward = forward << np.uint64(2) | letters[step : step + size]
        reverse |= (np.uint64(3) - letters[step : step + size]) << np.uint64(2 * step)
    whole = np.lib.stride_tricks.sliding_window_view(codes < 4, _K).all(axis=1)
    words = np.unique(np.minimum(forward, reverse)[whole])
    sketch: np.ndarray = words[(words * _MULTIPLIER >> _UPPER_BITS) % np.uint64(_SAMPLED) == 0]
    return sketch
