"""The windows that are scored: consecutive, not overlapping, inside one region."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflow.console import Progress
from workflow.genome.alphabet import BASE_CODE, is_soft_masked
from workflow.genome.regions import total_bases
from workflow.genome.sequences import CHUNK_BASES, Genome


def cut_windows(
    genome: Genome, regions: pd.DataFrame, length: int, min_length: int, chunk_bases: int = CHUNK_BASES
) -> pd.DataFrame:
    """Cut regions into windows of `length` bases; the rest of a region is a window when not too short.

    Parameters
    ----------
    genome : Genome
    regions : DataFrame
        seqid, start, end, split.
    length, min_length : int
        Bases.
    chunk_bases : int
        Bases read at a time, about.

    Returns
    -------
    DataFrame
        sequence_id (`seqid:start-end(strand)`), seqid, start, end, strand (`+`), split, gc (share of G and C
        among A, C, G and T; NaN when there are none), soft_masked (share of lower-case letters).
    """
    tables = []
    stride = length * max(1, chunk_bases // length)
    with Progress("cutting windows", total_bases(regions), "bases") as progress:
        for seqid, start, end, split in regions[["seqid", "start", "end", "split"]].itertuples(index=False):
            for chunk_start, bases in genome.chunks(seqid, start, end, stride):
                tables.append(_windows_of(bases, length, min_length).assign(seqid=seqid, split=split))
                tables[-1][["start", "end"]] += chunk_start
            progress.advance(end - start)
    windows = pd.concat(tables, ignore_index=True)
    windows["strand"] = "+"
    windows["sequence_id"] = [
        f"{seqid}:{start}-{end}({strand})"
        for seqid, start, end, strand in windows[["seqid", "start", "end", "strand"]].itertuples(index=False)
    ]
    return windows[["sequence_id", "seqid", "start", "end", "strand", "split", "gc", "soft_masked"]]


def _windows_of(bases: np.ndarray, length: int, min_length: int) -> pd.DataFrame:
    """Windows of a stretch of bases: start, end from its first base, gc, soft_masked."""
    starts = np.arange(0, len(bases), length)
    ends = np.minimum(starts + length, len(bases))
    code = BASE_CODE[bases]
    gc, acgt, masked = (
        np.add.reduceat(mask, starts, dtype=np.int64)
        for mask in ((code == 1) | (code == 2), code < 4, is_soft_masked(bases))
    )
    share = np.divide(gc, acgt, out=np.full(len(starts), np.nan), where=acgt > 0)
    windows = pd.DataFrame({"start": starts, "end": ends, "gc": share, "soft_masked": masked / (ends - starts)})
    return windows[ends - starts >= min_length].copy()
