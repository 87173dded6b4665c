"""Dividing a genome into train, val and test so that no copy of a train sequence is held out."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from workflow.errors import InputError
from workflow.genome.assignment import SPLITS, assign_groups, assign_runs
from workflow.genome.kmers import Sketch
from workflow.genome.regions import cut_blocks, merge_adjacent, purge_borders, total_bases
from workflow.genome.similarity import similar_groups

_COLUMNS = ["seqid", "start", "end", "split", "group"]
_BLOCKS_OF_GENOME = 20
#: Runs of held-out blocks are longer than this many purge gaps: little is lost at their borders.
_PURGES_OF_RUN = 20
_SHORTEST_BLOCK, _LONGEST_BLOCK = 2_000, 1_000_000
#: `auto` takes whole sequences only when val and test get this much of their share.
_LEAST_OF_SHARE, _MOST_OF_SHARE = 0.5, 2.0


@dataclass(frozen=True)
class Split:
    """A divided genome.

    Attributes
    ----------
    regions : DataFrame
        seqid, start, end, split, group; disjoint, in the order of the contigs. Regions that share a group
        label, or one of several joined by commas, are in the same split.
    method : str
        `sequence` or `block`.
    groups : int
        How many units could be assigned one by one.
    purged : int
        Bases left out at borders.
    """

    regions: pd.DataFrame
    method: str
    groups: int
    purged: int


def split_genome(
    contigs: pd.DataFrame,
    groups: dict[str, str],
    sketch: Sketch,
    *,
    method: str,
    fractions: dict[str, float],
    block_length: int | None,
    purge: int,
    max_shared: float,
    min_length: int,
    seed: int,
) -> Split:
    """Divide contigs into train, val and test.

    Parameters
    ----------
    contigs : DataFrame
        seqid, start, end; disjoint, sorted.
    groups : dict
        Homolog group by seqid.
    sketch : Sketch
        k-mers of the contigs.
    method : str
        `sequence`: whole homolog groups. `block`: contiguous blocks; those that share k-mers stay together,
        and `purge` bases are left out at each border between splits. `auto`: whole groups when there are
        three and val and test get between half and twice their share, else blocks.
    fractions : dict
        Share of the bases of train, val and test.
    block_length : int, optional
        Bases; by default 1/20 of the contigs, within 2 kb to 1 Mb.
    purge : int
        Bases, half on each side of a border.
    max_shared : float
        Blocks that share a larger part of their k-mers than this go to one split.
    min_length : int
        Bases; what purging leaves of a region goes too when it is shorter.
    seed : int

    Raises
    ------
    InputError
        A split would be empty.
    """
    if method != "block":
        split = _by_sequence(contigs, groups, fractions, seed)
        if split is not None and (method == "sequence" or _gets_its_share(split.regions, fractions)):
            return split
        if method == "sequence":
            raise InputError(
                f"split.method=sequence needs at least three sequences or homolog groups, there are "
                f"{len({groups[seqid] for seqid in contigs['seqid'].unique()})}; use split.method=block"
            )
    if block_length is None:
        block_length = min(max(total_bases(contigs) // _BLOCKS_OF_GENOME, _SHORTEST_BLOCK), _LONGEST_BLOCK)
    blocks = cut_blocks(contigs, block_length)
    blocks["component"] = similar_groups(blocks, sketch, max_shared)
    return _by_block(blocks, fractions, purge, min_length, seed)


def _by_sequence(contigs: pd.DataFrame, groups: dict[str, str], fractions: dict[str, float], seed: int) -> Split | None:
    """Whole groups, or None when there are fewer than three."""
    regions = contigs.assign(group=contigs["seqid"].map(groups))
    bases = {str(group): total_bases(of_group) for group, of_group in regions.groupby("group")}
    if len(bases) < len(SPLITS):
        return None
    regions["split"] = regions["group"].map(assign_groups(bases, fractions, seed))
    return Split(regions[_COLUMNS], "sequence", len(bases), 0)


def _gets_its_share(regions: pd.DataFrame, fractions: dict[str, float]) -> bool:
    total = total_bases(regions)
    of_share = [total_bases(regions[regions["split"] == name]) / (fractions[name] * total) for name in SPLITS[1:]]
    return all(_LEAST_OF_SHARE <= share <= _MOST_OF_SHARE for share in of_share)


def _by_block(blocks: pd.DataFrame, fractions: dict[str, float], purge: int, min_length: int, seed: int) -> Split:
    """Runs of blocks; `component` numbers those that must stay together."""
    n_groups = blocks["component"].nunique()
    if n_groups < len(SPLITS):
        raise InputError(
            f"the genome's {len(blocks)} blocks form {n_groups} groups that share no sequence, three are needed; "
            "lower split.block_length, or raise split.max_shared if such copies may be on two sides"
        )
    size = (blocks["end"] - blocks["start"]).to_numpy()
    component = blocks["component"].to_numpy()
    split = assign_runs(size, component, fractions, _PURGES_OF_RUN * purge, seed)
    regions = blocks.assign(split=split, group="block" + blocks["component"].astype(str))
    regions, purged = purge_borders(merge_adjacent(regions[_COLUMNS]), purge)
    is_long = regions["end"] - regions["start"] >= min_length
    purged += total_bases(regions[~is_long])
    regions = regions[is_long].reset_index(drop=True)
    empty = [name for name in SPLITS if name not in set(regions["split"])]
    if empty:
        raise InputError(
            f"purging {purge} bases at each border leaves nothing of {' and '.join(empty)}; "
            "lower split.purge or raise split.block_length"
        )
    return Split(regions, "block", n_groups, purged)
