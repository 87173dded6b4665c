"""Canonical k-mers of a sequence and a sample of them that is the same wherever a k-mer occurs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.console import Progress
from workflow.genome.alphabet import BASE_CODE
from workflow.genome.sequences import Genome

#: Long enough that k-mers shared by chance are rare in a genome of any size (4^31 ≫ 10^10); odd, so that none
#: is its own reverse complement; and 2 bits a base fit into 64 bits.
K = 31
#: k-mers kept at most, about: 16 bytes each. Genomes up to this size are not sampled.
MAX_KMERS = 1 << 22
#: Arrays of this many 64-bit codes stay in the processor's cache.
_CHUNK_BASES = 1 << 16


@dataclass(frozen=True)
class Sketch:
    """Sampled canonical k-mers of a genome, with their places.

    FracMinHash (Irber et al. 2022, doi:10.1101/2022.01.11.475838): a k-mer is kept when its hash is in the
    lowest 1/scale of all hashes, so that the same k-mers are kept everywhere.

    Attributes
    ----------
    hashes : (n,) uint64
        Hashes; equal for a k-mer and its reverse complement.
    positions : (n,) int64
        First base of the k-mer, in the coordinates of `offsets`.
    offsets : dict
        Where each sequence begins when all are laid end to end, in the order of the contigs.
    scale : int
        One of so many distinct k-mers is kept.
    """

    hashes: np.ndarray
    positions: np.ndarray
    offsets: dict[str, int]
    scale: int

    def place(self, regions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends (n,) int64 of regions (seqid, start, end) in the coordinates of `positions`."""
        offset = regions["seqid"].map(self.offsets).to_numpy(np.int64)
        return offset + regions["start"].to_numpy(np.int64), offset + regions["end"].to_numpy(np.int64)


def sketch_contigs(genome: Genome, contigs: pd.DataFrame, max_kmers: int = MAX_KMERS) -> Sketch:
    """Sample the k-mers of contigs; those with ambiguity letters are left out.

    Parameters
    ----------
    genome : Genome
    contigs : DataFrame
        seqid, start, end; disjoint. Sequences are laid end to end in this order.
    max_kmers : int
        The scale is chosen so that about so many are kept, repeats counted.
    """
    bases = int((contigs["end"] - contigs["start"]).sum())
    scale = max(1, -(-bases // max_kmers))
    seqids = contigs["seqid"].unique()
    ends = np.cumsum([genome.lengths[seqid] for seqid in seqids])
    offsets = {seqid: int(end) - genome.lengths[seqid] for seqid, end in zip(seqids, ends, strict=True)}
    hashes, positions = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    with Progress("sampling k-mers", bases, "bases") as progress:
        for seqid, start, end in contigs[["seqid", "start", "end"]].itertuples(index=False):
            for chunk_start in range(start, max(start + 1, end - K + 1), _CHUNK_BASES):
                chunk_end = min(chunk_start + _CHUNK_BASES + K - 1, end)
                hashed, at = _sampled(genome.fetch(seqid, chunk_start, chunk_end), scale)
                hashes.append(hashed)
                positions.append(offsets[seqid] + chunk_start + at)
            progress.advance(end - start)
    return Sketch(np.concatenate(hashes), np.concatenate(positions), offsets, scale)


def _sampled(bases: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    kmers, valid = canonical_kmers(bases)
    hashed = _hash(kmers)
    at = np.flatnonzero(valid & (hashed <= np.uint64((2**64 - 1) // scale)))
    return hashed[at], at


def canonical_kmers(bases: np.ndarray, k: int = K) -> tuple[np.ndarray, np.ndarray]:
    """2-bit codes of all k-mers, each the smaller of itself and its reverse complement.

    Parameters
    ----------
    bases : (n,) uint8
        ASCII, either case.
    k : int
        At most 31.

    Returns
    -------
    codes : (n - k + 1,) uint64
    valid : (n - k + 1,) bool
        False where the k-mer holds a letter other than A, C, G, T; its code means nothing there.
    """
    n = len(bases) - k + 1
    if n <= 0:
        return np.empty(0, np.uint64), np.empty(0, bool)
    code = BASE_CODE[bases]
    ambiguous = np.append(0, np.cumsum(code > 3))
    valid = ambiguous[k:] == ambiguous[:-k]
    code = (code & 3).astype(np.uint64)
    return np.minimum(_words(code, k), _words(3 - code[::-1], k)[::-1]), valid


def _words(code: np.ndarray, k: int) -> np.ndarray:
    """Codes of all k-mers, by doubling: words of a + b bases are words of a shifted, with words of b appended."""
    words, length = code, 1
    for bit in bin(k)[3:]:
        words, length = _append(words, words, length), 2 * length
        if bit == "1":
            words, length = _append(words, code, length, 1), length + 1
    return words


def _append(words: np.ndarray, tails: np.ndarray, length: int, tail_length: int | None = None) -> np.ndarray:
    tail_length = length if tail_length is None else tail_length
    n = len(words) - tail_length
    joined: np.ndarray = (words[:n] << np.uint64(2 * tail_length)) | tails[length : length + n]
    return joined


def _hash(codes: np.ndarray) -> np.ndarray:
    """Fixed bijective 64-bit hash: the finaliser of SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195)."""
    mixed = codes + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return hashed
