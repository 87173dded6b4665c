"""Cutting sequences at runs of N."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflow.console import Progress
from workflow.genome.parallel import in_order
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
    tasks = [
        (seqid, start, min(start + chunk_bases, genome.lengths[seqid]))
        for seqid in seqids
        for start in range(0, genome.lengths[seqid], chunk_bases)
    ]
    found: dict[str, list[np.ndarray]] = {seqid: [] for seqid in seqids}
    n_bases = 0
    with Progress("cutting at N", sum(genome.lengths[seqid] for seqid in seqids), "bases") as progress:
        for (seqid, start, end), (borders, unknown) in zip(
            tasks, in_order(lambda task: _borders(genome.fetch(*task), task[1]), tasks), strict=True
        ):
            found[seqid].append(borders)
            n_bases += unknown
            progress.advance(end - start)
    contigs = pd.concat([_stretches(seqid, np.concatenate(edges)) for seqid, edges in found.items()], ignore_index=True)
    contigs["kept"] = contigs["end"] - contigs["start"] >= min_length
    return contigs, n_bases


def _stretches(seqid: str, edges: np.ndarray) -> pd.DataFrame:
    """Stretches without N of one sequence. An edge that two chunks have in common is none."""
    edge, times = np.unique(edges, return_counts=True)
    edge = edge[times == 1]
    return pd.DataFrame({"seqid": seqid, "start": edge[::2], "end": edge[1::2]})


def _borders(bases: np.ndarray, offset: int) -> tuple[np.ndarray, int]:
    """Starts and ends of the stretches without N in a chunk, and its number of N."""
    is_base = (bases | 32) != ord("n")
    edges = np.flatnonzero(is_base[1:] != is_base[:-1]) + 1
    first, last = np.zeros(int(is_base[0]), np.int64), np.full(int(is_base[-1]), len(bases))
    return np.concatenate([first, edges, last]) + offset, len(bases) - int(np.count_nonzero(is_base))
