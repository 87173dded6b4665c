"""Composition along sequences, for the karyotype figure: N, soft-masked bases and genes in bins."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numba import int64, njit, uint64

from workflow.genome.names import natural_key
from workflow.genome.parallel import in_order
from workflow.genome.sequences import CHUNK_BASES, Genome

_BINS_OF_LONGEST = 400
_SHORTEST_BIN = 100
#: The four counts are added up as the 16-bit lanes of one number, so many bases at a time.
_LANE_MAX = 0xFFFF
_PACKED = sum(
    np.isin(np.arange(256), np.frombuffer(letters, np.uint8)).astype(np.uint64) << np.uint64(16 * lane)
    for lane, letters in enumerate((b"Nn", bytes(range(ord("a"), ord("z") + 1)), b"GCgc", b"ACGTacgt"))
)


def composition(genome: Genome, gene_starts: pd.DataFrame, chunk_bases: int = CHUNK_BASES) -> pd.DataFrame:
    """Count bases by kind in bins of at least 1/400 of the longest sequence.

    Parameters
    ----------
    genome : Genome
    gene_starts : DataFrame
        seqid, start of each gene.
    chunk_bases : int
        Bases read at a time, about.

    Returns
    -------
    DataFrame
        seqid, start, end, n, soft_masked, gc, acgt (bases), genes (that begin there); sequences in natural order.
    """
    size = max(-(-max(genome.lengths.values()) // _BINS_OF_LONGEST), _SHORTEST_BIN)
    step = max(chunk_bases // size, 1) * size
    tasks = [
        (seqid, start, min(start + step, genome.lengths[seqid]))
        for seqid in sorted(genome.lengths, key=natural_key)
        for start in range(0, genome.lengths[seqid], step)
    ]
    tables = []
    for (seqid, start, end), counts in zip(
        tasks, in_order(lambda task: _count(genome.fetch(*task), size, _PACKED), tasks), strict=True
    ):
        starts = np.arange(start, end, size)
        ends = np.minimum(starts + size, end)
        columns = dict(zip(("n", "soft_masked", "gc", "acgt"), counts.T, strict=True))
        tables.append(pd.DataFrame({"seqid": seqid, "start": starts, "end": ends, **columns}))
    bins = pd.concat(tables, ignore_index=True)
    found = gene_starts.assign(start=gene_starts["start"] // size * size).groupby(["seqid", "start"]).size()
    genes = found.reindex(pd.MultiIndex.from_frame(bins[["seqid", "start"]]), fill_value=0)
    return bins.assign(genes=genes.to_numpy())


@njit(nogil=True, cache=True)
def _count(bases, size, packed):  # type: ignore[no-untyped-def]
    """Number of N, lower-case letters, G or C, and A, C, G or T in each bin of a chunk."""
    counts = np.zeros((-(-bases.shape[0] // size), 4), np.int64)
    for row in range(counts.shape[0]):
        end = min((row + 1) * size, bases.shape[0])
        for first in range(row * size, end, _LANE_MAX):
            total = uint64(0)
            for index in range(first, min(first + _LANE_MAX, end)):
                total += packed[bases[index]]
            for lane in range(4):
                counts[row, lane] += int64((total >> uint64(16 * lane)) & uint64(_LANE_MAX))
    return counts
