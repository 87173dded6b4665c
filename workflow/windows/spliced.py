"""Windows of transcripts and of coding sequences: pieces of the genome read one after another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from workflow.genome.layout import Layout, Parts, parts_of
from workflow.windows.pieces import Pieces, Regions, Windows

if TYPE_CHECKING:
    from workflow.annotation.models import GeneModels


def transcript_windows(
    models: GeneModels, layout: Layout, regions: Regions, upstream: int, intron_flank: int
) -> Windows:
    """Exons of each transcript in the order of transcription, with the bases before it that its region has.

    Parameters
    ----------
    upstream : int
        Bases before the first exon.
    intron_flank : int
        Bases of each intron read after the exon before it, and as many before the exon after it. A shorter
        intron is read whole, once.
    """
    parts = parts_of(models.exons, layout)
    start, end = parts.start.copy(), parts.end.copy()
    row, gap_start, gap_end = parts.gaps()
    gap = gap_end - gap_start
    _extend(start, end, parts.reverse, row, after=np.minimum(intron_flank, gap - gap // 2))
    _extend(start, end, parts.reverse, row + 1, before=np.minimum(intron_flank, gap // 2))
    region = _regions_of(parts, regions)
    first = parts.first_rows()
    at = np.maximum(region[first], 0)  # transcripts without a region are left out below
    room = np.where(parts.reverse[first], regions.end[at] - end[first], start[first] - regions.start[at])
    _extend(start, end, parts.reverse, first, before=np.clip(room, 0, upstream))
    return _windows(models, parts, start, end, region, regions)


def cds_windows(models: GeneModels, layout: Layout, regions: Regions) -> Windows:
    """Coding parts of each transcript joined in frame: the bases before the first whole codon are left out."""
    parts = parts_of(models.cds, layout)
    phase = models.cds["phase"].to_numpy(np.int64)[parts.row]
    leading = np.repeat(phase[parts.first_rows()], np.diff(np.append(parts.first_rows(), len(phase))))
    cut = np.clip(leading - parts.read_before(), 0, parts.length)
    start, end = parts.start.copy(), parts.end.copy()
    _extend(start, end, parts.reverse, np.arange(len(cut)), before=-cut)
    return _windows(models, parts, start, end, _regions_of(parts, regions), regions)


def _extend(
    start: np.ndarray,
    end: np.ndarray,
    reverse: np.ndarray,
    row: np.ndarray,
    before: np.ndarray | int = 0,
    after: np.ndarray | int = 0,
) -> None:
    """Add bases to parts, in place, before and after in the direction of reading."""
    start[row] -= np.where(reverse[row], after, before)
    end[row] += np.where(reverse[row], before, after)


def _regions_of(parts: Parts, regions: Regions) -> np.ndarray:
    """The region that holds all parts of the transcript, for each part, (n,) int64.

    -1 where no part meets a region, -2 where some do but not all lie in one.
    """
    region, touches = regions.around(parts.start, parts.end)
    first = parts.first_rows()
    counts = np.diff(np.append(first, len(region)))
    if not len(first):
        return region
    least, most = np.minimum.reduceat(region, first), np.maximum.reduceat(region, first)
    one = np.where(least == most, least, -1)
    return np.repeat(np.where((one < 0) & np.logical_or.reduceat(touches, first), -2, one), counts)


def _windows(
    models: GeneModels, parts: Parts, start: np.ndarray, end: np.ndarray, region: np.ndarray, regions: Regions
) -> Windows:
    first = parts.first_rows()
    transcript, region = parts.transcript[first], region[first]
    dropped = Counter(
        crosses_region=int(np.count_nonzero(region == -2)), outside_regions=int(np.count_nonzero(region == -1))
    )
    table = models.transcripts.iloc[transcript]
    gene_ids = models.genes["gene_id"].to_numpy(object)[table["gene"].to_numpy(np.int64)]
    windows = Windows(
        np.minimum.reduceat(start, first) if len(first) else start,
        np.maximum.reduceat(end, first) if len(first) else end,
        (table["strand"] == "-").to_numpy(bool),
        region,
        pieces=Pieces(np.append(first, len(start)), start, end, parts.reverse),
        parents=pa.array(gene_ids, pa.string()),
        names=pa.array(table["transcript_id"].to_numpy(object), pa.string()),
        dropped=dropped,
    )
    return windows.take(np.flatnonzero(region >= 0))
