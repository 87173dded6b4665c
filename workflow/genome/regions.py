"""Tables of disjoint regions (seqid, start, end, split, group): cutting, merging, purging at borders."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd


def cut_blocks(contigs: pd.DataFrame, block_length: int) -> pd.DataFrame:
    """Cut contigs into blocks of about `block_length` bases, equal within a contig.

    Returns
    -------
    DataFrame
        seqid, start, end; every base of the contigs in one block, in their order.
    """
    start = contigs["start"].to_numpy(np.int64)
    length = contigs["end"].to_numpy(np.int64) - start
    pieces = np.maximum(1, np.rint(length / block_length).astype(np.int64))
    contig, piece = _expand(pieces)
    return pd.DataFrame(
        {
            "seqid": contigs["seqid"].to_numpy()[contig],
            "start": start[contig] + piece * length[contig] // pieces[contig],
            "end": start[contig] + (piece + 1) * length[contig] // pieces[contig],
        }
    )


def merge_adjacent(regions: pd.DataFrame) -> pd.DataFrame:
    """Join regions of one split that touch; their groups are listed with commas, each once.

    Parameters
    ----------
    regions : DataFrame
        seqid, start, end, split, group; disjoint, sorted as in the genome.
    """
    before = regions.shift()
    touches = (
        (regions["seqid"] == before["seqid"])
        & (regions["start"] == before["end"])
        & (regions["split"] == before["split"])
    )
    run = (~touches).cumsum()
    merged = regions.groupby(run, sort=True).agg(
        seqid=("seqid", "first"),
        start=("start", "first"),
        end=("end", "last"),
        split=("split", "first"),
        group=("group", lambda labels: ",".join(dict.fromkeys(labels))),
    )
    return merged.reset_index(drop=True)


def purge_borders(
    regions: pd.DataFrame, purge: int, circular: Mapping[str, int] | None = None
) -> tuple[pd.DataFrame, int]:
    """Keep regions of different splits at least `purge` bases apart.

    At each border between neighbours of different splits a zone of `purge` bases is taken out, half on each
    side of its middle; a gap that is already there (a run of N) counts towards it. Since every way from one
    split to another crosses the middle of a border, no two bases of different splits on a sequence are
    nearer than `purge`. On a circular sequence the last region is a neighbour of the first.

    Parameters
    ----------
    regions : DataFrame
        seqid, start, end, split, group; disjoint, sorted as in the genome.
    purge : int
        Bases.
    circular : mapping, optional
        Length of each circular sequence by seqid.

    Returns
    -------
    regions : DataFrame
        What is left of them.
    purged : int
        Bases taken out.
    """
    kept = []
    for seqid, of_sequence in regions.groupby("seqid", sort=False):
        start, end = (of_sequence[name].to_numpy(np.int64) for name in ("start", "end"))
        split = of_sequence["split"].to_numpy()
        border = np.flatnonzero(split[1:] != split[:-1])
        middle = (end[border] + start[border + 1]) // 2
        if length := (circular or {}).get(str(seqid)):
            middle = _around(middle, start, end, split, length)
        row, piece_start, piece_end = _without(start, end, middle - purge // 2, middle + (purge + 1) // 2)
        kept.append(of_sequence.iloc[row].assign(start=piece_start, end=piece_end))
    left = pd.concat(kept, ignore_index=True)
    return left, total_bases(regions) - total_bases(left)


def _around(middle: np.ndarray, start: np.ndarray, end: np.ndarray, split: np.ndarray, length: int) -> np.ndarray:
    """Middles of the borders on a circle: also of that across the origin, and each once more a turn before and after.

    So a zone that reaches past one end of the sequence is also there at the other end.
    """
    if split[0] != split[-1]:
        middle = np.append(middle, (end[-1] + start[0] + length) // 2)
    return np.concatenate([middle - length, middle, middle + length])


def _without(
    start: np.ndarray, end: np.ndarray, zone_start: np.ndarray, zone_end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What zones leave of disjoint intervals: the interval's number, start and end of each piece.

    Both are sorted; zones may overlap each other. The pieces of an interval lie between its start, the zones
    that meet it, and its end; those that zones cover come out with no bases and are left out.
    """
    first = np.searchsorted(zone_end, start, side="right")
    last = np.maximum(np.searchsorted(zone_start, end, side="left"), first)
    row, zone = _expand(last - first + 1)
    zone += first[row]  # the zone that ends the piece
    is_first, is_last = zone == first[row], zone == last[row]
    piece_start = np.where(is_first, start[row], np.append(0, zone_end)[zone])
    piece_end = np.where(is_last, end[row], np.append(zone_start, 0)[zone])
    some = piece_start < piece_end
    return row[some], piece_start[some], piece_end[some]


def _expand(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row number and number within the row of each of sum(counts) items."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


def total_bases(regions: pd.DataFrame) -> int:
    """Bases of a table of regions."""
    return int((regions["end"] - regions["start"]).sum())


def tile(first: np.ndarray, last: np.ndarray, length: int, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows of `length` bases at every `stride` bases of each region [first, last), (n,) int64, from its start.

    At a region's end windows are shorter; one that would lie wholly inside the one before it is not made.

    Returns
    -------
    region : (m,) int64
        Number of the region.
    start, end : (m,) int64
    """
    overlap = max(length - stride, 0)
    region, number = _expand(np.maximum(-(-(last - first - overlap) // stride), 1))
    start = first[region] + number * stride
    return region, start, np.minimum(start + length, last[region])


def cut_out(regions: pd.DataFrame, seqid: np.ndarray, start: np.ndarray, end: np.ndarray) -> pd.DataFrame:
    """What stretches (in the order of the regions, disjoint) leave of disjoint regions; columns are kept."""
    # All sequences are laid end to end, so that one search does for all.
    names = regions["seqid"].unique()
    step = int(max(regions["end"].max(), end.max(initial=0))) + 1
    first = pd.Series(np.arange(len(names)) * step, index=names)
    offset, cut_offset = first[regions["seqid"]].to_numpy(), first[seqid].to_numpy()
    row, piece_start, piece_end = _without(
        offset + regions["start"].to_numpy(np.int64),
        offset + regions["end"].to_numpy(np.int64),
        cut_offset + start,
        cut_offset + end,
    )
    left = regions.iloc[row].reset_index(drop=True)
    return left.assign(start=piece_start - offset[row], end=piece_end - offset[row])
