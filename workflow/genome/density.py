"""Composition along sequences, for the karyotype figure: N, soft-masked bases and genes in bins."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numba import njit

from workflow.genome.names import natural_key
from workflow.genome.parallel import in_order
from workflow.genome.sequences import CHUNK_BASES, Genome

_BINS_OF_LONGEST = 400
_SHORTEST_BIN = 100


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
        tasks, in_order(lambda task: _count(genome.fetch(*task), size), tasks), strict=True
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
def _count(bases, size):  # type: ignore[no-untyped-def]
    """Number of N, lower-case letters, G or C, and A, C, G or T in each bin of a chunk."""
    counts = np.zeros((-(-bases.shape[0] // size), 4), np.int64)
    for index in range(bases.shape[0]):
        row = index // size
        upper = bases[index] & 0xDF
        counts[row, 0] += upper == 78
        counts[row, 1] += bases[index] >= 97
        counts[row, 2] += (upper == 67) | (upper == 71)
        counts[row, 3] += (upper == 65) | (upper == 67) | (upper == 71) | (upper == 84)
    return counts
