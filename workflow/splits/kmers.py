"""A sample of a genome's k-mers that is the same wherever a k-mer occurs, kept on disk in the genome's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow.console import Progress
from workflow.genome.parallel import in_order
from workflow.genome.regions import total_bases
from workflow.genome.sequences import CHUNK_BASES, Genome
from workflow.splits.hashing import K, max_hash, sampled_kmers

#: k-mers of a sketch that is held in memory, about. Genomes up to this size are not sampled.
MAX_IN_MEMORY = 1 << 22
#: k-mers on disk, about: 16 bytes each. Those of val and test, a fifth, are held in memory by the audit.
_MAX_ON_DISK = 1 << 25
#: So many k-mers of a window tell its containment to a few per cent.
_KMERS_OF_WINDOW = 128
_CHUNK_KMERS = 1 << 20


@dataclass(frozen=True)
class Sketch:
    """Sampled canonical k-mers of a genome, with their places.

    FracMinHash (Irber et al. 2022, doi:10.1101/2022.01.11.475838): a k-mer is kept when its hash is in the
    lowest 1/scaled of all hashes, so that the same k-mers are kept everywhere.

    Attributes
    ----------
    hashes : (n,) uint64
        Hashes; equal for a k-mer and its reverse complement, and those of sourmash.
    positions : (n,) int64
        First base of the k-mer, in the coordinates of `offsets`.
    offsets : dict
        Where each sequence begins when all are laid end to end, in the order of the contigs.
    scaled : int
        One of so many distinct k-mers is kept.
    """

    hashes: np.ndarray
    positions: np.ndarray
    offsets: dict[str, int]
    scaled: int

    def place(self, regions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Starts and ends (n,) int64 of regions (seqid, start, end) in the coordinates of `positions`."""
        return laid_end_to_end(regions, self.offsets)


def laid_end_to_end(regions: pd.DataFrame, offsets: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends (n,) int64 of regions (seqid, start, end) when all sequences are laid end to end."""
    offset = regions["seqid"].map(offsets).to_numpy(np.int64)
    return offset + regions["start"].to_numpy(np.int64), offset + regions["end"].to_numpy(np.int64)


@dataclass(frozen=True)
class KmerFile:
    """Sampled k-mers on disk, ordered by place: a genome is hashed once, and read in many ways.

    Attributes
    ----------
    folder : Path
        Holds `hashes` (uint64) and `places` (int64: twice the first base, laid end to end, plus 1 where the
        reverse complement is the canonical k-mer), little-endian.
    offsets : dict
        Where each sequence begins when all are laid end to end.
    scaled : int
        One of so many distinct k-mers is kept.
    size : int
        Number of k-mers.
    """

    folder: Path
    offsets: dict[str, int]
    scaled: int
    size: int

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Stream hashes and places of the k-mers [first, last)."""
        last = self.size if last is None else last
        for start in range(first, last, _CHUNK_KMERS):
            yield self.read(start, min(start + _CHUNK_KMERS, last))

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Hashes and places of the k-mers [first, last)."""
        hashes = np.fromfile(self.folder / "hashes", "<u8", last - first, offset=8 * first)
        return hashes, np.fromfile(self.folder / "places", "<i8", last - first, offset=8 * first)

    def find(self, position: np.ndarray) -> np.ndarray:
        """Number of the first k-mer at or after each position, (n,) int64."""
        if not self.size:
            return np.zeros(len(position), np.int64)
        places = np.memmap(self.folder / "places", "<i8", "r")
        found: np.ndarray = np.searchsorted(places, 2 * np.asarray(position))
        return found

    def sketch(self, max_kmers: int = MAX_IN_MEMORY) -> Sketch:
        """So coarse a sample of these k-mers that about `max_kmers` are left."""
        scaled = self.scaled * max(1, -(-self.size // max_kmers))
        limit = np.uint64(max_hash(scaled))
        kept = [(hashes[hashes <= limit], places[hashes <= limit]) for hashes, places in self.chunks()]
        hashes, places = zip(*kept, strict=True) if kept else ((np.empty(0, np.uint64),), (np.empty(0, np.int64),))
        return Sketch(np.concatenate(hashes), np.concatenate(places) >> 1, self.offsets, scaled)


def scaled_for(bases: int, window: int) -> int:
    """How finely to sample: all k-mers of small genomes, else about 128 a window, but not more than fit."""
    return max(min(-(-bases // MAX_IN_MEMORY), window // _KMERS_OF_WINDOW), -(-bases // _MAX_ON_DISK), 1)


def sample_kmers(genome: Genome, contigs: pd.DataFrame, folder: Path, scaled: int) -> KmerFile:
    """Sample the k-mers of contigs, once, by all threads; those with ambiguity letters are left out.

    Parameters
    ----------
    genome : Genome
    contigs : DataFrame
        seqid, start, end; disjoint, sorted within a sequence. Sequences are laid end to end in this order.
    folder : Path
        Where to write; made when it does not exist.
    scaled : int
    """
    folder.mkdir(parents=True, exist_ok=True)
    seqids = contigs["seqid"].unique()
    ends = np.cumsum([genome.lengths[seqid] for seqid in seqids])
    offsets = {seqid: int(end) - genome.lengths[seqid] for seqid, end in zip(seqids, ends, strict=True)}
    tasks = [
        (seqid, chunk, min(chunk + CHUNK_BASES + K - 1, end))
        for seqid, start, end in contigs[["seqid", "start", "end"]].itertuples(index=False)
        for chunk in range(start, max(start + 1, end - K + 1), CHUNK_BASES)
    ]
    size = 0
    with (
        (folder / "hashes").open("wb") as hashes,
        (folder / "places").open("wb") as places,
        Progress("sampling k-mers", total_bases(contigs), "bases") as progress,
    ):
        found = in_order(lambda task: sampled_kmers(genome.fetch(*task), scaled), tasks)
        for (seqid, start, end), (hashed, at) in zip(tasks, found, strict=True):
            hashes.write(hashed.astype("<u8", copy=False).data)
            places.write((at + 2 * (offsets[seqid] + start)).astype("<i8", copy=False).data)
            size += len(hashed)
            progress.advance(end - start)
    return KmerFile(folder, offsets, scaled, size)
