"""Where in the train split a piece of DNA resembles it most, by sampled k-mers.

The train regions are cut into tiles, and what is looked for is a pair of neighbouring tiles, so that any stretch as
long as a tile lies in one. The k-mers are sampled by their hash (FracMinHash: Irber et al. 2022, bioRxiv
doi:10.1101/2022.01.11.475838), so that a k-mer that is sampled in one place is sampled everywhere; a k-mer and its
reverse complement are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit, uint64
from pyfaidx import Fasta

from evaluation.artefacts.sequences import open_fasta
from evaluation.per_base.scores import BASE_COLUMN
from workflow.artifacts import InputError, read_table

# Rare by chance in a genome of any size (4^21 = 4 · 10^12), and a fifth of all such k-mers survive between copies that
# differ in 7 % of their bases.
_K = 21
_LEAST_SCALE, _MOST_SAMPLES = 16, 1 << 25
# A k-mer of a dispersed repeat counts for this many tiles, the first ones.
_MOST_TILES = 64
_PIECE_BASES = 1 << 24


@dataclass(frozen=True)
class Stretch:
    """A pair of neighbouring tiles of a train region: seqid, and start and end, 0-based half-open."""

    seqid: str
    start: int
    end: int


@dataclass(frozen=True)
class TrainSketch:
    """Sampled k-mers of the train regions.

    Attributes
    ----------
    keys : ndarray, (m,) uint64
        Sorted, distinct: the upper half is that of the k-mer's hash, the lower one the number of a tile.
    scale : int
        One in so many distinct k-mers is sampled.
    tile : int
        Bases of a tile.
    seqid, start, end, first_tile : ndarray, (regions,)
        The train regions, and the number of the first tile of each. Between regions a number is left free: their
        tiles are no neighbours.
    genome : Fasta
        The genome that the regions lie in; several threads may read it at once.
    """

    keys: np.ndarray
    scale: int
    tile: int
    seqid: np.ndarray
    start: np.ndarray
    end: np.ndarray
    first_tile: np.ndarray
    genome: Fasta

    @classmethod
    def of_train(cls, prepared: Path, tile: int) -> TrainSketch:
        """Read the train regions of a prepared genome once.

        One in 16 k-mers is sampled, and fewer in genomes of more than 0.5 Gb: at most about 34 million are kept
        (270 MB).

        Parameters
        ----------
        prepared : Path
            Folder of the stage `prepare`.
        tile : int
            Bases of a tile.

        Raises
        ------
        InputError
            A file is missing, or there is no train region.
        """
        seqid, start, end = regions(prepared, "train")
        tiles = -(-(end - start) // tile)
        first_tile = np.cumsum(tiles + 1) - (tiles + 1)
        scale = _LEAST_SCALE
        while int((end - start).sum()) > scale * _MOST_SAMPLES:
            scale *= 2
        genome = open_fasta(prepared / "genome.fa")
        sampled = []
        for name, first, last, number in zip(seqid, start, end, first_tile, strict=True):
            for begin in range(first, last, _PIECE_BASES):
                bases = fetch(genome, name, begin, min(begin + _PIECE_BASES + _K - 1, last))
                hashes, places = _sample(bases, scale)
                lies_in = (number + (begin - first + places) // tile).astype(np.uint64)
                sampled.append((hashes >> np.uint64(32) << np.uint64(32)) | lies_in)
        keys = np.concatenate(sampled)
        del sampled
        keys.sort()
        return cls(keys[: _keep_distinct(keys)], scale, tile, seqid, start, end, first_tile, genome)

    @property
    def stretches(self) -> int:
        """Number of stretches that can be chosen."""
        return int((-(-(self.end - self.start) // self.tile)).sum())

    def nearest(self, bases: np.ndarray) -> Stretch | None:
        """The stretch of train that shares most sampled k-mers with a piece of DNA, on either strand.

        The first of several that are equal; None when there is no shared k-mer.

        Parameters
        ----------
        bases : ndarray, (n,) uint8
            ASCII, either case.
        """
        hashes = np.unique(_sample(bases, self.scale)[0] >> np.uint64(32))
        number = _most_shared(hashes << np.uint64(32), self.keys)
        if number < 0:
            return None
        region = int(np.searchsorted(self.first_tile, number, side="right")) - 1
        start = int(self.start[region]) + (number - int(self.first_tile[region])) * self.tile
        return Stretch(str(self.seqid[region]), start, min(start + 2 * self.tile, int(self.end[region])))

    def read(self, stretch: Stretch) -> np.ndarray:
        """Bases of a stretch as ASCII, (n,) uint8."""
        return fetch(self.genome, stretch.seqid, stretch.start, stretch.end)


def regions(prepared: Path, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """seqid, start and end (0-based half-open) of the regions of a split.

    Raises
    ------
    InputError
        There is no file, or no such region.
    """
    table = read_table(prepared / "split.parquet", ["seqid", "start", "end", "split"])
    table = table[table["split"] == split]
    if table.empty:
        raise InputError(
            f"{prepared / 'split.parquet'} has no {split} region to copy from or to learn on: "
            "make split.fractions larger"
        )
    return table["seqid"].to_numpy(str), table["start"].to_numpy(np.int64), table["end"].to_numpy(np.int64)


def fetch(genome: Fasta, seqid: str, start: int, end: int) -> np.ndarray:
    """Bases [start, end) of a sequence as ASCII, (n,) uint8."""
    return np.frombuffer(str(genome[seqid][int(start) : int(end)]).encode("ascii"), np.uint8)


def _sample(bases: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (m,) uint64 of the sampled k-mers in order, repeats included, and the first base of each, (m,) int64."""
    room = 2 * len(bases) // scale + 1000
    while True:
        hashes, places = np.empty(room, np.uint64), np.empty(room, np.int64)
        found = _scan(bases, BASE_COLUMN, np.uint64(scale - 1), hashes, places)
        if found <= room:
            return hashes[:found], places[:found]
        room = found  # a repeat of which more than the expected share is sampled


@njit(nogil=True, cache=True)
def _scan(bases, columns, unsampled, hashes, places):  # type: ignore[no-untyped-def]
    """Fill `hashes` and `places`; their number, which may exceed the room."""
    found, seen = 0, 0
    forward, backward = uint64(0), uint64(0)
    mask = uint64((1 << (2 * _K)) - 1)
    for place in range(bases.shape[0]):
        code = uint64(columns[bases[place]])
        if code > uint64(3):
            seen = 0
            continue
        forward = ((forward << uint64(2)) | code) & mask
        backward = (backward >> uint64(2)) | ((uint64(3) - code) << uint64(2 * (_K - 1)))
        seen += 1
        if seen < _K:
            continue
        # The finaliser of MurmurHash3 (A. Appleby, public domain): every bit of the k-mer moves every bit of the hash.
        hashed = min(forward, backward)
        hashed = (hashed ^ (hashed >> uint64(33))) * uint64(0xFF51AFD7ED558CCD)
        hashed = (hashed ^ (hashed >> uint64(33))) * uint64(0xC4CEB9FE1A85EC53)
        hashed = hashed ^ (hashed >> uint64(33))
        if hashed & unsampled == 0:
            if found < hashes.shape[0]:
                hashes[found] = hashed
                places[found] = place - _K + 1
            found += 1
    return found


@njit(nogil=True, cache=True)
def _keep_distinct(keys):  # type: ignore[no-untyped-def]
    """Move the distinct ones of some sorted keys to the front; their number."""
    kept = 0
    for place in range(keys.shape[0]):
        if kept == 0 or keys[place] != keys[kept - 1]:
            keys[kept] = keys[place]
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def _most_shared(wanted, keys):  # type: ignore[no-untyped-def]
    """First tile of the pair of neighbours that holds most of some k-mers, given as keys of tile 0; −1 if none does."""
    tiles = np.empty(wanted.shape[0] * _MOST_TILES, np.int64)
    found = 0
    half = uint64(32)
    for kmer in wanted:
        place = np.searchsorted(keys, kmer)
        last = min(place + _MOST_TILES, keys.shape[0])
        while place < last and keys[place] >> half == kmer >> half:
            tiles[found] = keys[place] & uint64(0xFFFFFFFF)
            found += 1
            place += 1
    tiles = np.sort(tiles[:found])
    best, most = -1, 0
    here, before, tile = 0, 0, -2
    for index in range(found):
        if tiles[index] != tile:
            before = here if tiles[index] == tile + 1 else 0
            here, tile = 0, tiles[index]
        here += 1
        is_last = index + 1 == found or tiles[index + 1] != tile
        if is_last and before + here > most:
            most = before + here
            best = tile - 1 if before else tile
    return best
