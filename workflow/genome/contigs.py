"""Cutting sequences at runs of N."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflow.console import Progress
from workflow.genome.sequences import CHUNK_BASES, Genome


def find_contigs(
    genome: Genome, seqids: list[str], min_length: int, chunk_bases: int = CHUNK_BASES
) -> tuple[pd.DataFrame, int]:
    """Stretches without N.

    Parameters
    ----------
    genome : Genome
    seqids : list of str
        Sequences to cut.
    min_length : int
        Bases; shorter stretches get `kept` False.
    chunk_bases : int
        Bases read at a time.

    Returns
    -------
    contigs : DataFrame
        seqid, start, end (0-based half-open), kept; in the order of `seqids`, then by start.
    n_bases : int
        Number of N, counted one by one.
    """
    tables, n_bases = [], 0
    with Progress("cutting at N", sum(genome.lengths[seqid] for seqid in seqids), "bases") as progress:
        for seqid in seqids:
            starts, ends, unknown = _stretches(genome, seqid, chunk_bases)
            tables.append(pd.DataFrame({"seqid": seqid, "start": starts, "end": ends}))
            n_bases += unknown
            progress.advance(genome.lengths[seqid])
    contigs = pd.concat(tables, ignore_index=True)
    contigs["kept"] = contigs["end"] - contigs["start"] >= min_length
    return contigs, n_bases


def _stretches(genome: Genome, seqid: str, chunk_bases: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Starts and ends of the stretches without N of one sequence, and its number of N."""
    borders, unknown = [], 0
    inside = False
    for chunk_start, bases in genome.chunks(seqid, 0, genome.lengths[seqid], chunk_bases):
        is_base = (bases != ord("N")) & (bases != ord("n"))
        # A border lies before each base that differs in kind from the one before it.
        borders.append(chunk_start + np.flatnonzero(np.diff(is_base, prepend=inside)))
        inside = bool(is_base[-1])
        unknown += int(np.count_nonzero(~is_base))
    if inside:
        borders.append(np.array([genome.lengths[seqid]]))
    edges = np.concatenate(borders).astype(np.int64)
    return edges[::2], edges[1::2], unknown
