"""Hashes of canonical k-mers, the very ones that sourmash gives (MurmurHash3 of the text, seed 42).

sourmash (Irber et al. 2024, doi:10.21105/joss.06830) takes the first 64 bits of MurmurHash3_x64_128
(A. Appleby, public domain) of the k-mer's upper-case text or of its reverse complement's, whichever comes first in
the alphabet, and keeps it when it is at most `max_hash(scaled)`. So our sketches can be compared with theirs.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from workflow.genome.alphabet import BASE_CODE

#: Long enough that k-mers shared by chance are rare in a genome of any size (4^31 ≫ 10^10); odd, so that none
#: is its own reverse complement; and 2 bits a base fit into 64 bits.
K = 31
_SEED = 42


def max_hash(scaled: int) -> int:
    """Largest hash that is kept when one of so many k-mers is to be."""
    return 2**64 - 1 if scaled == 1 else int(float(2**64) / scaled)


def _text_of_codes() -> np.ndarray:
    """The 8 letters, as one little-endian word, of each 16-bit code of 8 bases (first base in the highest bits)."""
    codes = np.arange(1 << 16)
    letters = np.frombuffer(b"ACGT", np.uint8)[(codes[:, None] >> np.arange(14, -1, -2)) & 3]
    words: np.ndarray = np.ascontiguousarray(letters).view("<u8").ravel().astype(np.uint64)
    return words


_TEXT = _text_of_codes()


@njit(inline="always")
def _rotated(word, bits):  # type: ignore[no-untyped-def]
    return (word << uint64(bits)) | (word >> uint64(64 - bits))


@njit(inline="always")
def _mixed(word):  # type: ignore[no-untyped-def]
    word = (word ^ (word >> uint64(33))) * uint64(0xFF51AFD7ED558CCD)
    word = (word ^ (word >> uint64(33))) * uint64(0xC4CEB9FE1A85EC53)
    return word ^ (word >> uint64(33))


@njit(inline="always")
def _murmur(code, text):  # type: ignore[no-untyped-def]
    """MurmurHash3_x64_128 of the 31 letters of a 62-bit code: one block of 16 bytes and a tail of 15."""
    one, two = uint64(0x87C37B91114253D5), uint64(0x4CF5AD432745937F)
    padded = code << uint64(2)
    low = uint64(0xFFFF)
    word0, word1 = text[padded >> uint64(48)], text[(padded >> uint64(32)) & low]
    word2, word3 = text[(padded >> uint64(16)) & low], text[padded & low] & uint64(0x00FFFFFFFFFFFFFF)
    first = uint64(_SEED) ^ (_rotated(word0 * one, 31) * two)
    first = (_rotated(first, 27) + uint64(_SEED)) * uint64(5) + uint64(0x52DCE729)
    second = uint64(_SEED) ^ (_rotated(word1 * two, 33) * one)
    second = (_rotated(second, 31) + first) * uint64(5) + uint64(0x38495AB5)
    second = second ^ (_rotated(word3 * two, 33) * one) ^ uint64(K)
    first = first ^ (_rotated(word2 * one, 31) * two) ^ uint64(K)
    first += second
    second += first
    return _mixed(first) + _mixed(second)


@njit(nogil=True, cache=True)
def _scan(bases, code_of, text, limit, hashes, places):  # type: ignore[no-untyped-def]
    """Fill `hashes` and `places` with the k-mers to keep; their number, which may exceed the room."""
    found, length = 0, 0
    forward, backward = uint64(0), uint64(0)
    mask = uint64((1 << (2 * K)) - 1)
    for index in range(bases.shape[0]):
        code = uint64(code_of[bases[index]])
        if code > uint64(3):
            length = 0
            continue
        forward = ((forward << uint64(2)) | code) & mask
        backward = (backward >> uint64(2)) | ((uint64(3) - code) << uint64(2 * (K - 1)))
        length += 1
        if length < K:
            continue
        is_forward = forward < backward
        hashed = _murmur(forward if is_forward else backward, text)
        if hashed <= limit:
            if found < hashes.shape[0]:
                hashes[found] = hashed
                places[found] = 2 * (index - K + 1) + (0 if is_forward else 1)
            found += 1
    return found


def sampled_kmers(bases: np.ndarray, scaled: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of one in `scaled` of the distinct k-mers of a sequence, and where each begins.

    Parameters
    ----------
    bases : (n,) uint8
        ASCII, either case. k-mers with other letters than A, C, G, T are passed over.
    scaled : int

    Returns
    -------
    hashes : (m,) uint64
        In the order of the sequence, repeats included.
    places : (m,) int64
        Twice the first base, plus 1 where the k-mer's reverse complement is the canonical one: two places of a
        k-mer lie on the same strand when they agree in this bit.
    """
    room = int(len(bases) / scaled * 1.2) + 1000
    while True:
        hashes, places = np.empty(room, np.uint64), np.empty(room, np.int64)
        found = _scan(bases, BASE_CODE, _TEXT, np.uint64(max_hash(scaled)), hashes, places)
        if found <= room:
            return hashes[:found], places[:found]
        room = found  # a repeat of which more than the expected share is sampled
