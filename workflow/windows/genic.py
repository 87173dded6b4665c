"""Windows of genes with their flanks, and around transcription starts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from workflow.genome.layout import Layout
from workflow.windows.pieces import Regions, Windows, joined


@dataclass(frozen=True)
class Genes:
    """Genes whose body lies in one region, in the coordinates of a layout.

    Attributes
    ----------
    ids : StringArray
    start, end, region : (n,) int64
    reverse : (n,) bool
    dropped : Counter
        Genes left out, by reason.
    """

    ids: pa.StringArray
    start: np.ndarray
    end: np.ndarray
    reverse: np.ndarray
    region: np.ndarray
    dropped: Counter[str]


def place_genes(genes: pd.DataFrame, layout: Layout, regions: Regions) -> Genes:
    """Find the region of each gene.

    Parameters
    ----------
    genes : DataFrame
        gene_id, seqid, start, end, strand.
    """
    sequence = layout.numbers(genes["seqid"])
    start, end = (layout.offsets[sequence] + genes[name].to_numpy(np.int64) for name in ("start", "end"))
    crosses_origin = end > layout.offsets[sequence + 1]
    region, touches = regions.around(start, end)
    found = (region >= 0) & ~crosses_origin
    dropped = Counter(
        crosses_origin=int(np.count_nonzero(crosses_origin)),
        crosses_region=int(np.count_nonzero(~crosses_origin & touches & ~found)),
        outside_regions=int(np.count_nonzero(~crosses_origin & ~touches)),
    )
    row = np.flatnonzero(found)
    ids = pa.array(genes["gene_id"].to_numpy(object)[row], pa.string())
    reverse = (genes["strand"] == "-").to_numpy(bool)
    return Genes(ids, start[row], end[row], reverse[row], region[row], dropped)


def flanked(start: np.ndarray, end: np.ndarray, reverse: np.ndarray, upstream: int, downstream: int) -> np.ndarray:
    """Intervals with bases added before and after by strand, (2, n) int64: starts and ends."""
    return np.stack(
        [
            start - np.where(reverse, downstream, upstream),
            end + np.where(reverse, upstream, downstream),
        ]
    )


def genic_windows(
    genes: Genes, regions: Regions, upstream: int, downstream: int, max_length: int, merge_distance: int
) -> Windows:
    """Genes with flanks inside their region; near ones are merged.

    A gene that is longer than `max_length` with its flanks goes without them, and is cut there from its 5' end.
    Neighbours with fewer than `merge_distance` bases between them become one window while that has at most
    `max_length` bases. It is read from the strand of its genes, forwards when they lie on both.
    """
    start, end = flanked(genes.start, genes.end, genes.reverse, upstream, downstream)
    start, end = np.maximum(start, regions.start[genes.region]), np.minimum(end, regions.end[genes.region])
    is_long = end - start > max_length
    body_start = np.where(genes.reverse, np.maximum(genes.start, genes.end - max_length), genes.start)
    body_end = np.where(genes.reverse, genes.end, np.minimum(genes.end, genes.start + max_length))
    start, end = np.where(is_long, body_start, start), np.where(is_long, body_end, end)
    merged = _merge(genes, start, end, max_length, merge_distance)
    window = np.repeat(np.arange(len(merged.first)), merged.sizes)
    reverse = np.bincount(window, ~genes.reverse[merged.order], len(merged.first)) == 0
    return Windows(merged.start, merged.end, reverse, merged.region, parents=merged.parents(","), dropped=genes.dropped)


def compatible_windows(
    genes: Genes, regions: Regions, upstream: int, downstream: int, max_length: int, merge_distance: int
) -> Windows:
    """Genic windows with the extents and ids of the earlier sugarcane workflow.

    Always read forwards, long genes uncut, distances between neighbours counted from the last base of one to
    the first of the next, ids from the first three genes. Flanks past the region's edges are cut off last, as
    reading past a sequence's end did.
    """
    start, end = flanked(genes.start, genes.end, genes.reverse, upstream, downstream)
    is_long = end - start > max_length
    start, end = np.where(is_long, genes.start, start), np.where(is_long, genes.end, end)
    merged = _merge(genes, start, end, max_length, merge_distance - 1)
    ids = merged.parents("_", most=3)
    names = pc.if_else(pa.array(merged.sizes == 1), ids, pc.binary_join_element_wise("cluster", ids, "_"))
    return Windows(
        np.maximum(merged.start, regions.start[merged.region]),
        np.minimum(merged.end, regions.end[merged.region]),
        np.zeros(len(merged.start), bool),
        merged.region,
        parents=merged.parents(","),
        names=names,
        names_are_ids=True,
        dropped=genes.dropped,
    )


def promoter_windows(genes: Genes, regions: Regions, upstream: int, downstream: int) -> Windows:
    """Around the start of each gene, inside its region; genes with the same window share it."""
    begin = np.where(genes.reverse, genes.end, genes.start)
    start, end = flanked(begin, begin, genes.reverse, upstream, downstream)
    start, end = np.maximum(start, regions.start[genes.region]), np.minimum(end, regions.end[genes.region])
    order = np.lexsort((genes.reverse, end, start))
    start, end, reverse = start[order], end[order], genes.reverse[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (np.diff(start) != 0) | (np.diff(end) != 0) | (reverse[1:] != reverse[:-1])
    first = np.flatnonzero(is_new)
    counts = np.diff(np.append(first, len(order)))
    return Windows(
        start[first],
        end[first],
        reverse[first],
        genes.region[order][first],
        parents=joined(genes.ids.take(pa.array(order)), counts, ","),
        dropped=genes.dropped,
    )


@dataclass(frozen=True)
class _Merged:
    """Genes put together: the order of the genes, the first of each window in it, and where the window lies."""

    ids: pa.StringArray
    order: np.ndarray
    first: np.ndarray
    start: np.ndarray
    end: np.ndarray
    region: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """Genes of each window, (n,) int64."""
        sizes: np.ndarray = np.diff(np.append(self.first, len(self.order)))
        return sizes

    def parents(self, separator: str, most: int | None = None) -> pa.StringArray:
        """Ids of the first `most` genes of each window, joined."""
        counts, order = self.sizes, self.order
        if most is not None:
            place = np.arange(len(order)) - np.repeat(self.first, counts)
            counts, order = np.minimum(counts, most), order[place < most]
        return joined(self.ids.take(pa.array(order)), counts, separator)


def _merge(genes: Genes, start: np.ndarray, end: np.ndarray, max_length: int, distance: int) -> _Merged:
    order = np.lexsort((end, start, genes.region))
    first, merged_end = _clusters(start[order], end[order], genes.region[order], max_length, distance)
    return _Merged(genes.ids, order, first, start[order][first], merged_end, genes.region[order][first])


@numba.njit(nogil=True, cache=True)
def _clusters(
    start: np.ndarray, end: np.ndarray, region: np.ndarray, max_length: int, distance: int
) -> tuple[np.ndarray, np.ndarray]:
    """Row at which each window of merged neighbours begins, and its end; rows are sorted by region and start."""
    first, reach = np.empty(len(start), np.int64), np.empty(len(start), np.int64)
    last = -1
    for row in range(len(start)):
        if last >= 0 and region[row] == region[first[last]] and start[row] - reach[last] < distance:
            merged_end = max(reach[last], end[row])
            if merged_end - start[first[last]] <= max_length:
                reach[last] = merged_end
                continue
        last += 1
        first[last], reach[last] = row, end[row]
    return first[: last + 1], reach[: last + 1]
