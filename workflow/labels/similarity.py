"""Which sequences resemble each other, by the k-mers they share on either strand.

Two sequences are similar when they share at least a given part of the distinct canonical k-mers of the one that has
fewer (containment). Large sets are sampled as FracMinHash does it (Irber et al. 2022, doi:10.1101/2022.01.11.475838):
a k-mer is kept when its hash is among the lowest, so that the same ones are kept everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, uint32
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workflow.genome.alphabet import BASE_CODE

#: 16 bases fill 32 bits; where half of the sequences are shorter than `_SHORT`, 11.
_K, _K_SHORT, _SHORT = 16, 11, 50
#: k-mers that are held, about; and fewest of a sequence of middling length that are kept to stay below.
_MAX_KMERS, _KMERS_OF_SEQUENCE = 1 << 24, 32
#: Fewer k-mers in common may be a homopolymer or a repeat of two or three letters.
_FEWEST_SHARED = 4
#: Of the sequences that hold a k-mer so many are looked at, the nearest ones: more is a dispersed repeat.
_MAX_COPIES = 64
_ALL = np.iinfo(np.uint32).max


@dataclass(frozen=True)
class Sketches:
    """Sampled distinct canonical k-mers of sequences.

    Attributes
    ----------
    hashes : ndarray, (m,) uint32
        Those of each sequence together, in ascending order.
    starts : ndarray, (n + 1,) int64
        Where each sequence's begin.
    """

    hashes: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1


def sketches(sequences: list[bytes]) -> Sketches:
    """Sketches of sequences; a sequence shorter than k, or of N, has none."""
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    middling = int(np.median(lengths)) if len(lengths) else 0
    k = _K if middling >= _SHORT else _K_SHORT
    scaled = max(1, min(int(lengths.sum()) // _MAX_KMERS, (middling - k + 1) // _KMERS_OF_SEQUENCE))
    limit = np.uint32(_ALL // scaled)
    parts = [_distinct(np.frombuffer(sequence, np.uint8), BASE_CODE, k, limit) for sequence in sequences]
    starts = np.zeros(len(sequences) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    return Sketches(np.concatenate(parts) if parts else np.empty(0, np.uint32), starts)


def similar_groups(sequences: list[bytes], similarity: float) -> np.ndarray:
    """Group of each sequence: those tied by similarity, directly or through others, are one group.

    Parameters
    ----------
    sequences : list of bytes
        Upper case.
    similarity : float
        Containment from which two sequences are similar. Equal sequences always are, however short, also as reverse
        complements.

    Returns
    -------
    ndarray, (n,) int64
        Numbers from 0, in the order in which groups first appear.
    """
    numbers: dict[bytes, int] = {}
    distinct = np.array([numbers.setdefault(canonical(sequence), len(numbers)) for sequence in sequences], np.int64)
    held = sketches(list(numbers))
    one, other = _matches(held, held, similarity, within=True)
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(held), len(held)))
    _, groups = connected_components(graph, directed=False)
    _, first, inverse = np.unique(groups[distinct], return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    numbered: np.ndarray = order[inverse]
    return numbered


def has_similar(queries: list[bytes], references: list[bytes], similarity: float) -> np.ndarray:
    """Whether each query resembles, or equals on either strand, one of the references; (n,) bool."""
    both = sketches(queries + references)
    cut = len(queries)
    split = both.starts[cut]
    of_queries = Sketches(both.hashes[:split], both.starts[: cut + 1])
    of_references = Sketches(both.hashes[split:], both.starts[cut:] - split)
    query, _ = _matches(of_queries, of_references, similarity, within=False)
    equal = {canonical(sequence) for sequence in references}
    found = np.array([canonical(sequence) in equal for sequence in queries], bool)
    found[query] = True
    return found


_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def canonical(sequence: bytes) -> bytes:
    """The sequence or its reverse complement, whichever comes first in the alphabet."""
    return min(sequence, sequence.translate(_COMPLEMENT)[::-1])


def _matches(
    queries: Sketches, references: Sketches, similarity: float, *, within: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of similar sequences; `within` one set each pair once, and none with itself."""
    owner = np.repeat(np.arange(len(references), dtype=np.int32), np.diff(references.starts))
    order = np.argsort(references.hashes, kind="stable")
    index, owner = references.hashes[order], owner[order]
    if within:  # the copies in front of its own, which are those of the sequences before it
        ends = np.empty(len(order), np.int64)
        ends[order] = np.arange(len(order))
    else:
        ends = np.searchsorted(index, queries.hashes, side="right")
    sizes = np.diff(references.starts)
    pairs = _similar_pairs(queries.hashes, queries.starts, ends, index, owner, sizes, similarity)
    return pairs[:, 0], pairs[:, 1]


@njit(inline="always")
def _mixed(word):  # type: ignore[no-untyped-def]
    """The finalizer of MurmurHash3 for 32 bits (A. Appleby, public domain): a one-to-one map."""
    # numba's integers grow to 64 bits.
    word = uint32((word ^ (word >> uint32(16))) * uint32(0x85EBCA6B))
    word = uint32((word ^ (word >> uint32(13))) * uint32(0xC2B2AE35))
    return uint32(word ^ (word >> uint32(16)))


@njit(nogil=True, cache=True)
def _distinct(bases, code_of, k, limit):  # type: ignore[no-untyped-def]
    """Hashes of the sampled distinct canonical k-mers of a sequence, ascending."""
    kept = np.empty(max(len(bases) - k + 1, 0), np.uint32)
    found, length = 0, 0
    forward, backward = uint32(0), uint32(0)
    mask = uint32((1 << (2 * k)) - 1)
    top = uint32(2 * (k - 1))
    for place in range(len(bases)):
        code = uint32(code_of[bases[place]])
        if code > uint32(3):
            length = 0
            continue
        forward = uint32(((forward << uint32(2)) | code) & mask)
        backward = uint32((backward >> uint32(2)) | ((uint32(3) - code) << top))
        length += 1
        if length >= k:
            hashed = _mixed(min(forward, backward))
            if hashed <= limit:
                kept[found] = hashed
                found += 1
    return np.unique(kept[:found])


@njit(nogil=True, cache=True)
def _similar_pairs(hashes, starts, ends, index, owner, sizes, similarity):  # type: ignore[no-untyped-def]
    """Pairs (query, reference), (m, 2) int32; copies of a query's k-mer stand in `index` in front of its end."""
    shared = np.zeros(len(sizes), np.int32)
    touched = np.empty(len(sizes), np.int32)
    pairs = np.empty((1024, 2), np.int32)
    found = 0
    for query in range(len(starts) - 1):
        seen = 0
        for place in range(starts[query], starts[query + 1]):
            copy = ends[place] - 1
            last = max(copy - _MAX_COPIES, -1)
            while copy > last and index[copy] == hashes[place]:
                reference = owner[copy]
                if shared[reference] == 0:
                    touched[seen] = reference
                    seen += 1
                shared[reference] += 1
                copy -= 1
        if found + seen > len(pairs):
            more = np.empty((2 * (found + seen), 2), np.int32)
            more[:found] = pairs[:found]
            pairs = more
        for place in range(seen):
            reference = touched[place]
            smaller = min(starts[query + 1] - starts[query], sizes[reference])
            if shared[reference] >= max(similarity * smaller, _FEWEST_SHARED):
                pairs[found, 0] = query
                pairs[found, 1] = reference
                found += 1
            shared[reference] = 0
    return pairs[:found]
