"""Dividing a genome into train, val and test so that no copy of a train sequence is held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from workflow.errors import InputError
from workflow.genome.names import suggest_name
from workflow.genome.regions import cut_blocks, merge_adjacent, purge_borders, total_bases
from workflow.splits.assignment import SPLITS, assign_groups, assign_runs
from workflow.splits.homology import Homology
from workflow.splits.kmers import Sketch
from workflow.splits.similarity import similar_groups

_COLUMNS = ["seqid", "start", "end", "split", "group"]
_BLOCKS_OF_GENOME = 20
#: So short that 2 % of a block, which may lie in train and in test, is 2 kb at most; in longer blocks no more may.
_LONGEST_BLOCK = 100_000
#: The purge gap takes no more than this part of a block, so that small genomes are not eaten up.
_PURGE_OF_BLOCK = 4
#: Runs of held-out blocks are longer than this many purge gaps: little is lost at their borders.
_PURGES_OF_RUN = 20
#: A split should get at least and at most so many times its share of the bases.
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
    purge : int
        Bases between regions of different splits, at least; 0 when whole sequences are divided.
    purged : int
        Bases left out at borders.
    """

    regions: pd.DataFrame
    method: str
    groups: int
    purge: int
    purged: int

    def shares(self, bases: int) -> dict[str, float]:
        """What each split got of so many bases."""
        return {name: total_bases(self.regions[self.regions["split"] == name]) / bases for name in SPLITS}


def shares_are_met(shares: dict[str, float], fractions: dict[str, float]) -> bool:
    """Whether each split got between half and twice its fraction."""
    return all(_LEAST_OF_SHARE <= shares[name] / fractions[name] <= _MOST_OF_SHARE for name in SPLITS)


def split_genome(
    contigs: pd.DataFrame,
    homologs: Homology,
    sketch: Sketch | None,
    *,
    method: str,
    fractions: dict[str, float],
    block_length: int | None,
    purge: int,
    max_shared: float,
    min_length: int,
    seed: int,
    forced: Mapping[str, str] | None = None,
    circular: Mapping[str, int] | None = None,
) -> Split:
    """Divide contigs into train, val and test, by whole homolog groups or by blocks.

    Parameters
    ----------
    contigs : DataFrame
        seqid, start, end; disjoint, sorted.
    homologs : Homology
        Homolog groups, as names and k-mers tell them.
    sketch : Sketch, optional
        k-mers of the contigs; blocks cannot be made without.
    method : str
        `sequence`: whole homolog groups. `block`: contiguous blocks; those that share k-mers stay together, and
        bases are left out at each border between splits; not where there are homologs, which blocks would divide.
        `auto`: whole groups when there are three and each split gets between half and twice its share, else
        blocks.
    fractions : dict
        Share of the bases of train, val and test.
    block_length : int, optional
        Bases; by default 1/20 of the contigs, at least twice `min_length` and at most 100 kb.
    purge : int
        Bases, half on each side of a border; a quarter of the block length where that is less.
    max_shared : float
        Blocks that share a larger part of their k-mers than this, or k-mers of that part of 100 kb, go to one
        split.
    min_length : int
        Bases; what purging leaves of a region goes too when it is shorter.
    seed : int
    forced : mapping, optional
        Split of single homolog groups or sequences, by their names; needs whole groups.
    circular : mapping, optional
        Length of each circular sequence by seqid: their last region lies next to the first.

    Raises
    ------
    InputError
        A split would be empty, homologs would be in several, or what is forced does not exist or contradicts
        itself.
    """
    if method != "block":
        split = _by_sequence(contigs, homologs.groups, _forced_groups(homologs, forced or {}), fractions, seed)
        if split is not None and (
            method == "sequence" or forced or shares_are_met(split.shares(total_bases(contigs)), fractions)
        ):
            return split
    if forced:
        raise InputError("split.train, split.val and split.test name whole homolog groups; use split.method=sequence")
    _refuse_blocks(contigs, homologs.named_groups, method)
    if sketch is None:
        raise InputError("blocks are kept together where they share k-mers: they need split.audit=true")
    if block_length is None:
        block_length = min(max(total_bases(contigs) // _BLOCKS_OF_GENOME, 2 * min_length), _LONGEST_BLOCK)
    blocks = cut_blocks(contigs, block_length)
    blocks["component"] = similar_groups(blocks, sketch, max_shared, _LONGEST_BLOCK)
    return _by_block(blocks, fractions, min(purge, block_length // _PURGE_OF_BLOCK), min_length, seed, circular)


def _forced_groups(homologs: Homology, forced: Mapping[str, str]) -> dict[str, str]:
    """Split of each homolog group that is forced; each is named by one of its parts or by one of its sequences."""
    called = _groups_by_name(homologs)
    split_of: dict[str, str] = {}
    for name, split in forced.items():
        if name not in called:
            raise InputError(
                f"split.{split} names {name}, which is no homolog group or sequence; " + suggest_name(name, called)
            )
        if len(called[name]) > 1:
            raise InputError(f"split.{split} names {name}, which several homolog groups are called: name a sequence")
        (group,) = called[name]
        if split_of.setdefault(group, split) != split:
            raise InputError(
                f"split.{split} names {name}, but homolog group {group}, to which it belongs, is forced into "
                f"{split_of[group]}"
            )
    return split_of


def _groups_by_name(homologs: Homology) -> dict[str, set[str]]:
    """Homolog groups by what they can be called: a sequence; else the group; else a part of a joined group."""
    by_part: dict[str, set[str]] = {}
    by_label: dict[str, set[str]] = {}
    by_sequence: dict[str, set[str]] = {}
    for seqid, own, named, group in homologs.placed[["seqid", "own_group", "named_group", "group"]].itertuples(
        index=False
    ):
        by_sequence[seqid] = {group}
        for label in (group, named):
            by_label.setdefault(label, set()).add(group)
        if own != seqid:  # else the sequence's own name stands for its group
            for part in own.split("_"):
                by_part.setdefault(part, set()).add(group)
    return by_part | by_label | by_sequence


def _by_sequence(
    contigs: pd.DataFrame, groups: dict[str, str], forced: dict[str, str], fractions: dict[str, float], seed: int
) -> Split | None:
    """Whole groups, or None when there are fewer than three."""
    regions = contigs.assign(group=contigs["seqid"].map(groups))
    bases = {str(group): total_bases(of_group) for group, of_group in regions.groupby("group")}
    if len(bases) < len(SPLITS):
        return None
    regions["split"] = regions["group"].map(assign_groups(bases, fractions, seed, forced))
    return Split(regions[_COLUMNS], "sequence", len(bases), 0, 0)


def _refuse_blocks(contigs: pd.DataFrame, groups: dict[str, str], method: str) -> None:
    """Raise InputError where blocks are not asked for, or would put homologs on two sides."""
    seqids = pd.Series(contigs["seqid"].unique())
    named = seqids.map(groups)
    homologs = seqids[named.duplicated(keep=False)]
    by_kmers = "set genome.sequence_names=null to use blocks that are kept together only where they share k-mers"
    if method == "sequence":
        raise InputError(
            f"split.method=sequence needs at least three sequences or homolog groups that are not copies of each "
            f"other, there are fewer among {len(seqids)} sequences; "
            + ("use split.method=block" if homologs.empty else by_kmers)
        )
    if homologs.empty:
        return
    pair = " and ".join(homologs[named == named[homologs.index[0]]][:2])
    if method == "block":
        raise InputError(
            f"split.method=block would put homologs on two sides ({pair} are of one group); "
            f"use split.method=sequence, or {by_kmers}"
        )
    raise InputError(
        f"split.method=auto finds no split: the {named.nunique()} homolog groups are fewer than three or too uneven "
        f"for split.fractions, and blocks would put homologs on two sides ({pair} are of one group); "
        f"use split.method=sequence to take uneven splits, or {by_kmers}"
    )


def _by_block(
    blocks: pd.DataFrame,
    fractions: dict[str, float],
    purge: int,
    min_length: int,
    seed: int,
    circular: Mapping[str, int] | None,
) -> Split:
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
    regions, purged = purge_borders(merge_adjacent(regions[_COLUMNS]), purge, circular)
    is_long = regions["end"] - regions["start"] >= min_length
    purged += total_bases(regions[~is_long])
    regions = regions[is_long].reset_index(drop=True)
    empty = [name for name in SPLITS if name not in set(regions["split"])]
    if empty:
        raise InputError(
            f"purging {purge} bases at each border leaves no {min_length} bases of {' and '.join(empty)}; "
            "lower split.purge or windows.min_length, or raise split.block_length"
        )
    return Split(regions, "block", n_groups, purge, purged)
