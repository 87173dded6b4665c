"""Homologs that the names do not show: sequences that are copies of each other, found by their k-mers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.genome.components import connected
from workflow.genome.names import natural_key
from workflow.splits.kmers import Sketch
from workflow.splits.similarity import FEWEST_SHARED, shared_kmers

#: Sequences that share more of the 31-mers of the smaller one are copies: those that differ in 5 % of their
#: bases share 0.95^31 = 20 %. Yeast's chromosomes share at most 10 % (of chromosome I, its subtelomeres).
COPY_CONTAINMENT = 0.2
#: Pairs that share less are not reported.
_TOLD_CONTAINMENT = 0.05
_COLUMNS = ["seqid_a", "seqid_b", "shared_kmers", "containment", "group_a", "group_b", "finding"]


@dataclass(frozen=True)
class Homology:
    """Homolog groups after the sequences were compared.

    Attributes
    ----------
    karyotype : DataFrame
        That of the names, with `group` as it is now and `named_group` as it was; scaffolds that joined a
        group are placed.
    pairs : DataFrame
        seqid_a, seqid_b, shared_kmers (sampled), containment (of the smaller one in the larger), group_a,
        group_b (by name; empty when unplaced), finding: `homologs` (of one group by name), `joined` (their
        groups are now one), `moved` (a sequence now belongs to the other's group), `scaffold joined`,
        `scaffold excluded`, or `similar` (too little to be copies).
    """

    karyotype: pd.DataFrame
    pairs: pd.DataFrame

    @property
    def placed(self) -> pd.DataFrame:
        """Rows of the sequences that are divided."""
        return self.karyotype[self.karyotype["placed"]]

    @property
    def named_groups(self) -> dict[str, str]:
        """Label of each divided sequence by its name alone; groups that recombinants tie are joined."""
        return dict(zip(self.placed["seqid"], self.placed["named_group"], strict=True))

    @property
    def groups(self) -> dict[str, str]:
        """Group label of each sequence that is divided."""
        return dict(zip(self.placed["seqid"], self.placed["group"], strict=True))

    def counts(self) -> dict[str, int]:
        """Number of pairs by finding."""
        return {str(name): int(n) for name, n in self.pairs["finding"].value_counts().sort_index().items()}


def confirm_groups(karyotype: pd.DataFrame, contigs: pd.DataFrame, sketch: Sketch, unplaced: str) -> Homology:
    """Compare all sequences, on both strands, and mend the groups that names gave.

    Sequences of different groups of which the smaller one shares more than 20 % of its k-mers are copies. One
    that is a copy of none of its own group but of another's is misnamed, and moves there; otherwise the two
    groups become one. An unplaced scaffold joins the group of which it is a copy when that is one.

    Parameters
    ----------
    karyotype : DataFrame
        seqid, placed, own_group, group, haplotype, subgenome.
    contigs : DataFrame
        seqid, start, end of all sequences, unplaced ones too, in the order of the sketch.
    sketch : Sketch
        k-mers of the contigs.
    unplaced : str
        `exclude` or `join`.
    """
    spans = contigs.groupby("seqid", sort=False).agg(start=("start", "min"), end=("end", "max")).reset_index()
    first, second, shared, kmers = shared_kmers(spans, sketch)
    containment = shared / np.maximum(np.minimum(kmers[first], kmers[second]), 1)
    told = containment >= _TOLD_CONTAINMENT
    seqids = spans["seqid"].to_numpy()
    named = dict(zip(karyotype["seqid"], karyotype["group"], strict=True))
    pairs = pd.DataFrame(
        {
            "seqid_a": seqids[first[told]],
            "seqid_b": seqids[second[told]],
            "shared_kmers": shared[told],
            "containment": containment[told],
        }
    )
    pairs["group_a"], pairs["group_b"] = pairs["seqid_a"].map(named), pairs["seqid_b"].map(named)
    pairs["is_copy"] = (pairs["containment"] > COPY_CONTAINMENT) & (pairs["shared_kmers"] >= FEWEST_SHARED)
    copies = pairs[pairs["is_copy"]]
    placed = copies[(copies["group_a"] != "") & (copies["group_b"] != "")]
    moved = _misnamed(placed)
    group = _joined(named, placed, moved)
    scaffolds = _scaffolds(copies, group) if unplaced == "join" else {}
    mended = karyotype["seqid"].map(group | scaffolds)
    pairs["finding"] = [
        _finding(*row, moved=moved, scaffolds=scaffolds)
        for row in pairs[["seqid_a", "seqid_b", "is_copy", "group_a", "group_b"]].itertuples(index=False)
    ]
    told_groups = karyotype["group"].where(karyotype["placed"], mended)
    return Homology(karyotype.assign(named_group=told_groups, group=mended, placed=mended != ""), pairs[_COLUMNS])


def trust_names(karyotype: pd.DataFrame) -> Homology:
    """The groups as names tell them, where sequences are not compared."""
    return Homology(karyotype.assign(named_group=karyotype["group"]), pd.DataFrame(columns=_COLUMNS))


def _misnamed(copies: pd.DataFrame) -> dict[str, str]:
    """Sequences that are copies of another group only, and the group of the one that they resemble most."""
    sides = pd.concat(
        [
            copies,
            copies.rename(
                columns={"seqid_a": "seqid_b", "seqid_b": "seqid_a", "group_a": "group_b", "group_b": "group_a"}
            ),
        ]
    )
    with_homologs = set(sides.loc[sides["group_a"] == sides["group_b"], "seqid_a"])
    moved = {}
    for seqid, of_sequence in sides.groupby("seqid_a", sort=True):
        own, others = of_sequence["group_a"].iloc[0], set(of_sequence["group_b"])
        # Of a single other group, whose members are copies of each other: then it is this one's name that is wrong.
        if own not in others and len(others) == 1 and not with_homologs.isdisjoint(of_sequence["seqid_b"]):
            moved[str(seqid)] = str(*others)
    return moved


def _joined(named: dict[str, str], copies: pd.DataFrame, moved: dict[str, str]) -> dict[str, str]:
    """Group of each sequence once groups that copies tie are one; unplaced sequences keep none."""
    now = named | moved
    labels = sorted({group for group in now.values() if group}, key=natural_key)
    number = {label: index for index, label in enumerate(labels)}
    edges = [(number[now[a]], number[now[b]]) for a, b in zip(copies["seqid_a"], copies["seqid_b"], strict=True)]
    component = connected(len(labels), edges)
    tied: dict[int, list[str]] = {}
    for label, root in zip(labels, component.tolist(), strict=True):
        tied.setdefault(root, []).append(label)
    return {seqid: "+".join(tied[int(component[number[group]])]) if group else "" for seqid, group in now.items()}


def _scaffolds(copies: pd.DataFrame, group: dict[str, str]) -> dict[str, str]:
    """Group of each unplaced scaffold that is a copy of one group and of no other."""
    among: dict[str, set[str]] = {}
    for a, b in zip(copies["seqid_a"], copies["seqid_b"], strict=True):
        for one, other in ((a, b), (b, a)):
            if not group[one] and group[other]:
                among.setdefault(one, set()).add(group[other])
    return {seqid: next(iter(labels)) for seqid, labels in among.items() if len(labels) == 1}


def _finding(
    a: str, b: str, is_copy: bool, group_a: str, group_b: str, *, moved: dict[str, str], scaffolds: dict[str, str]
) -> str:
    if group_a and group_a == group_b:
        return "homologs"
    if not is_copy:
        return "similar"
    if not group_a or not group_b:
        is_joined = (bool(group_a) or a in scaffolds) and (bool(group_b) or b in scaffolds)
        return "scaffold joined" if is_joined else "scaffold excluded"
    return "moved" if a in moved or b in moved else "joined"
