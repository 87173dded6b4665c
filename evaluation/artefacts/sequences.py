"""Properties of sets of sequences: GC, k-mers, positional information, and random fragments of a genome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from pyfaidx import Fasta

from evaluation.per_base.scores import BASE_COLUMN
from workflow.artifacts import BASES, InputError, read_table

_PIECE_BASES = 1 << 24


def encode(sequence: str) -> np.ndarray:
    """Codes (n,) uint8: 0 … 3 for A, C, G, T in either case, 4 for everything else."""
    return BASE_COLUMN[np.frombuffer(sequence.encode("ascii", "replace"), np.uint8)]


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """Codes (n,) uint8 of the other strand; 4 stays 4."""
    turned: np.ndarray = np.where(codes > 3, codes, 3 - codes)[::-1]
    return turned


def gc_shares(sequences: Sequence[str]) -> np.ndarray:
    """Share of G and C among the A, C, G, T of each sequence, (n,); NaN for a sequence without any."""
    shares = np.full(len(sequences), np.nan)
    for row, sequence in enumerate(sequences):
        counts = np.bincount(encode(sequence), minlength=5)
        if counts[:4].any():
            shares[row] = (counts[1] + counts[2]) / counts[:4].sum()
    return shares


def kmer_names(k: int) -> list[str]:
    """All words of k bases, in the order of `kmer_spectrum`."""
    return ["".join(letters) for letters in product(BASES, repeat=k)]


def kmer_counts(sequences: Sequence[str], k: int) -> np.ndarray:
    """How often each sequence holds each k-mer, (n, 4**k) float32; words with other letters are left out."""
    counts = np.zeros((len(sequences), 4**k), np.float32)
    for row, sequence in enumerate(sequences):
        codes = encode(sequence)
        if len(codes) < k:
            continue
        views = np.lib.stride_tricks.sliding_window_view(codes, k)
        views = views[(views < 4).all(axis=1)]
        counts[row] = np.bincount(views @ (4 ** np.arange(k)[::-1]), minlength=4**k)
    return counts


def kmer_spectrum(sequences: Sequence[str], k: int) -> np.ndarray:
    """Relative frequency of each k-mer over all sequences, (4**k,); words with other letters are left out.

    All zero when there is no k-mer at all.
    """
    counts = kmer_counts(sequences, k).sum(axis=0, dtype=np.float64)
    spectrum: np.ndarray = counts / max(counts.sum(), 1.0)
    return spectrum


def spectrum_distances(spectra: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Jensen–Shannon distance of each spectrum (n, m) to a reference (m,), 0 (equal) to 1 (nothing in common).

    The square root of the divergence in bits (Endres & Schindelin 2003, IEEE Trans. Inf. Theory 49:1858). NaN where
    one of the two is empty, (n,).
    """
    middle = (spectra + reference) / 2
    divergence = (_relative_entropy(spectra, middle) + _relative_entropy(reference, middle)) / 2
    # Rounding may bring that of equal spectra below 0.
    distances: np.ndarray = np.sqrt(np.maximum(divergence, 0))
    return np.where(spectra.any(axis=1) & reference.any(), distances, np.nan)


def spectrum_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Jensen–Shannon distance of two spectra; see `spectrum_distances`."""
    return float(spectrum_distances(first[None], second)[0])


def _relative_entropy(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    ratio = np.divide(one, other, out=np.ones_like(other), where=(one > 0) & (other > 0))
    entropy: np.ndarray = (one * np.log2(ratio)).sum(axis=1)
    return entropy


def information(sequences: Sequence[str], positions: int) -> pd.DataFrame:
    """Letter heights of a sequence logo, in bits.

    Height of a base = its frequency × the information of the position, 2 − entropy − e(n), where
    e(n) = 3 / (2 ln 2 · n) corrects for few sequences (Schneider et al. 1986, J. Mol. Biol. 188:415); negative
    information is drawn as 0.

    Parameters
    ----------
    sequences : sequence of str
        Aligned at their first base; shorter ones count where they have a base.
    positions : int
        Positions drawn.

    Returns
    -------
    DataFrame, (positions, 4)
        Columns A, C, G, T. Positions that no sequence reaches are left out.
    """
    counts = np.zeros((positions, 5))
    for sequence in sequences:
        codes = encode(sequence[:positions])
        counts[np.arange(len(codes)), codes] += 1
    reached = int(np.flatnonzero(counts.any(axis=1)).max(initial=-1)) + 1
    counts = counts[:reached, :4]
    depth = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    share = counts / depth
    logs = np.log2(share, out=np.zeros_like(share), where=share > 0)
    bits = np.maximum(2 + (share * logs).sum(axis=1, keepdims=True) - 3 / (2 * np.log(2) * depth), 0)
    return pd.DataFrame(share * bits, columns=list(BASES))


def regions_of_split(prepared: Path, split: str, overlap: int) -> Iterator[np.ndarray]:
    """Stream the bases of a split's regions as ASCII, (n,) uint8, in pieces that memory can hold.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.
    split : str
    overlap : int
        Bases that consecutive pieces of a region have in common.

    Raises
    ------
    InputError
        A file is missing.
    """
    regions = read_table(prepared / "split.parquet", ["seqid", "start", "end", "split"])
    with open_fasta(prepared / "genome.fa") as genome:
        for seqid, start, end, _ in regions[regions["split"] == split].itertuples(index=False):
            for first in range(start, end, _PIECE_BASES):
                piece = genome[seqid][first : min(first + _PIECE_BASES + overlap, end)]
                yield np.frombuffer(str(piece).encode("ascii"), np.uint8)


def open_fasta(path: Path) -> Fasta:
    """A FASTA file whose index lies beside it. Raises InputError when one of them is missing."""
    for needed in (path, path.with_name(path.name + ".fai")):
        if not needed.exists():
            raise InputError(f"{needed} does not exist: run stage=prepare again with force=true")
    return Fasta(str(path), as_raw=True, build_index=False, rebuild=False)


def split_fragments(prepared: Path, split: str | None, lengths: Sequence[int], seed: int) -> list[str]:
    """Fragments of the given lengths from random places of a split, each place equally probable.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.
    split : str or None
        None for all of them.
    lengths : sequence of int
        One fragment each, in this order. Those longer than every region are left out.
    seed : int

    Raises
    ------
    InputError
        A file is missing.
    """
    regions = read_table(prepared / "split.parquet", ["seqid", "start", "end", "split"])
    if split is not None:
        regions = regions[regions["split"] == split]
    names, starts = regions["seqid"].to_numpy(str), regions["start"].to_numpy(np.int64)
    sizes = regions["end"].to_numpy(np.int64) - starts
    generator = np.random.default_rng(seed)
    fragments = []
    with open_fasta(prepared / "genome.fa") as genome:
        for length in lengths:
            borders = np.cumsum(np.maximum(sizes - length + 1, 0))
            if not len(borders) or not borders[-1]:
                continue
            place = int(generator.integers(borders[-1]))
            region = int(np.searchsorted(borders, place, side="right"))
            start = int(starts[region] + place - (borders[region - 1] if region else 0))
            fragments.append(str(genome[names[region]][start : start + length]))
    return fragments
