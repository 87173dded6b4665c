"""Open reading frames of the generated sequences: how long a stretch of codons goes on without a stop."""

from __future__ import annotations

import numpy as np
from Bio.Data import CodonTable

from evaluation.artefacts.sequences import encode, reverse_complement
from workflow.artifacts import BASES


def stop_codons(transl_table: int) -> np.ndarray:
    """Which of the 64 codons, in the order of A, C, G, T, stop in an NCBI genetic code, (64,) bool."""
    stops = np.zeros(64, bool)
    for codon in CodonTable.unambiguous_dna_by_id[transl_table].stop_codons:
        stops[codon_number(codon)] = True
    return stops


def codon_number(codon: str) -> int:
    """Place of a codon in the order of A, C, G, T."""
    first, second, third = (BASES.index(base) for base in codon)
    return 16 * first + 4 * second + third


def codon_counts(codes: np.ndarray) -> np.ndarray:
    """How often each codon stands in a coding sequence of base codes (n,), (64,) float64; a rest is left out."""
    codons = _codons(codes)
    return np.bincount(codons[codons >= 0], minlength=64).astype(float)


def longest_open_stretch(sequence: str, is_stop: np.ndarray) -> np.ndarray:
    """Codons of the longest stretch, in any of the six frames, that holds no stop codon and no other letter than ACGT.

    It may begin and end at the ends of the sequence: a piece of a gene has neither start nor stop.

    Parameters
    ----------
    sequence : str
    is_stop : ndarray, (64,) bool

    Returns
    -------
    ndarray, (codons,) int64
        In the order of reading, each by its place in the order of A, C, G, T. Of stretches of the same length the first
        one counts: frames of the forward strand come first.
    """
    forward = encode(sequence)
    longest = np.empty(0, np.int64)
    for strand in (forward, reverse_complement(forward)):
        for frame in range(3):
            codons = _codons(strand[frame:])
            ends = np.flatnonzero((codons < 0) | is_stop[codons])
            borders = np.concatenate([[-1], ends, [len(codons)]])
            sizes = np.diff(borders) - 1
            best = int(sizes.argmax())
            if sizes[best] > len(longest):
                longest = codons[borders[best] + 1 : borders[best + 1]]
    return longest


def _codons(codes: np.ndarray) -> np.ndarray:
    """Number of each codon of a frame, −1 where a letter is no base."""
    triplets = codes[: len(codes) // 3 * 3].reshape(-1, 3).astype(np.int64)
    numbers: np.ndarray = np.where((triplets > 3).any(axis=1), -1, triplets @ np.array([16, 4, 1]))
    return numbers
