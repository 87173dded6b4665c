"""What the sequences' names say: homolog group, haplotype, subgenome, or that a sequence is unplaced."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from workflow.errors import InputError
from workflow.genome.components import connected
from workflow.genome.names import natural_key
from workflow.genome.tables import read_user_table

_SHOWN = 5
_COLUMNS = ["seqid", "placed", "own_group", "group", "haplotype", "subgenome"]
_TABLE_COLUMNS = ("seqid", "group", "haplotype")


def read_karyotype(
    seqids: Iterable[str], sequence_names: str | None, unplaced_names: str | None, table: Path | None = None
) -> pd.DataFrame:
    """Homolog group of each sequence, in natural order of the names.

    A recombinant chromosome belongs to several groups (`Chr7_10A` to 7 and 10), which are then one: its
    label joins them (`7_10`). With neither `sequence_names` nor a table each sequence is a group of its own.

    Parameters
    ----------
    seqids : iterable of str
    sequence_names : str, optional
        Regular expression that matches whole names, with the named group `group`, and `haplotype` and
        `subgenome` where there are such.
    unplaced_names : str, optional
        Regular expression that matches whole names of unplaced scaffolds; looked at first.
    table : Path, optional
        Columns seqid, group, haplotype (and subgenome), in place of both expressions.

    Returns
    -------
    DataFrame
        seqid; placed (bool); own_group, as the name has it; group, joined; haplotype; subgenome. Groups of
        unplaced sequences are empty strings, as are haplotypes and subgenomes that names do not tell.

    Raises
    ------
    InputError
        A pattern is not valid, or names are left that neither pattern (or the table) reads.
    """
    names = sorted(seqids, key=natural_key)
    rows = _from_table(names, table) if table is not None else _from_patterns(names, sequence_names, unplaced_names)
    karyotype = pd.DataFrame(rows, columns=["seqid", "placed", "own_group", "haplotype", "subgenome"])
    by_itself = sequence_names is None and table is None
    parts = {name: [group] if by_itself else group.split("_") for name, group in _placed(karyotype).items()}
    groups = _joined(parts)
    return karyotype.assign(group=[groups.get(name, "") for name in names])[_COLUMNS]


def _placed(karyotype: pd.DataFrame) -> dict[str, str]:
    placed = karyotype[karyotype["placed"]]
    return dict(zip(placed["seqid"], placed["own_group"], strict=True))


def _from_patterns(
    names: list[str], sequence_names: str | None, unplaced_names: str | None
) -> list[tuple[str, bool, str, str, str]]:
    placed_pattern = _compiled("genome.sequence_names", sequence_names)
    unplaced_pattern = _compiled("genome.unplaced_names", unplaced_names)
    if placed_pattern is not None and "group" not in placed_pattern.groupindex:
        raise InputError("genome.sequence_names has no named group (?P<group>…)")
    rows, unread = [], []
    for name in names:
        if unplaced_pattern is not None and unplaced_pattern.fullmatch(name):
            rows.append((name, False, "", "", ""))
        elif placed_pattern is None:
            rows.append((name, True, name, "", ""))
        elif (match := placed_pattern.fullmatch(name)) and (group := (match["group"] or "").strip("_")):
            told = match.groupdict(default="")
            rows.append((name, True, group, told.get("haplotype", ""), told.get("subgenome", "")))
        else:
            unread.append(name)
    if unread:
        raise InputError(
            f"{len(unread)} sequence names are read by neither genome.sequence_names nor genome.unplaced_names: "
            f"{_examples(unread)}; extend one of the two, give a genome.sequence_table, or set "
            "genome.sequence_names=null to take each sequence by itself"
        )
    return rows


def _from_table(names: list[str], path: Path) -> list[tuple[str, bool, str, str, str]]:
    table = read_user_table(path, _TABLE_COLUMNS)
    twice = table["seqid"].duplicated().to_numpy()
    if twice.any():
        row = int(twice.argmax())
        raise InputError(
            f"{path}, line {table.index[row]}: sequence {table['seqid'].iloc[row]} stands in an earlier line too"
        )
    foreign = ~table["seqid"].isin(names).to_numpy()
    if foreign.any():
        row = int(foreign.argmax())
        raise InputError(f"{path}, line {table.index[row]}: sequence {table['seqid'].iloc[row]} is not in the FASTA")
    subgenome = table["subgenome"] if "subgenome" in table.columns else [""] * len(table)
    told = dict(zip(table["seqid"], zip(table["group"], table["haplotype"], subgenome, strict=True), strict=True))
    if unread := [name for name in names if name not in told]:
        raise InputError(
            f"{path}: {len(unread)} sequences of the FASTA are missing: {_examples(unread)}; add a line for each, "
            "with an empty group where it is unplaced"
        )
    return [(name, bool(told[name][0].strip("_")), told[name][0].strip("_"), *told[name][1:]) for name in names]


def _compiled(key: str, pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(f"{key}={pattern} is not a regular expression: {error}") from None


def _examples(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _joined(groups: dict[str, list[str]]) -> dict[str, str]:
    """One label for all groups that recombinant chromosomes tie together."""
    names = sorted({name for members in groups.values() for name in members}, key=natural_key)
    number = {name: index for index, name in enumerate(names)}
    pairs = [(number[members[0]], number[other]) for members in groups.values() for other in members[1:]]
    component = connected(len(names), pairs)
    tied: dict[int, list[str]] = {}
    for name, root in zip(names, component.tolist(), strict=True):
        tied.setdefault(root, []).append(name)
    return {seqid: "_".join(tied[int(component[number[members[0]]])]) for seqid, members in groups.items()}


def karyotype_text(karyotype: pd.DataFrame, lengths: dict[str, int]) -> str:
    """The karyotype as `dry_run=true` shows it: a line a group, with its copies and their lengths."""
    sized = karyotype.assign(bases=karyotype["seqid"].map(lengths))
    lines = []
    for group, of_group in sized[sized["placed"]].groupby("group", sort=False):
        shown = [
            f"{seqid} {bases / 1e6:.2f}" for seqid, bases in zip(of_group["seqid"], of_group["bases"], strict=True)
        ]
        lines.append(
            f"  group {group}: {len(of_group)} × ({_examples(shown) if len(shown) > 16 else ', '.join(shown)} Mb)"
        )
    unplaced = sized[~sized["placed"]]
    if len(unplaced):
        lines.append(
            f"  unplaced: {len(unplaced)} sequences, {unplaced['bases'].sum() / 1e6:.2f} Mb "
            f"({_examples(unplaced['seqid'].tolist())})"
        )
    groups = sized[sized["placed"]]["group"].nunique()
    total = f"{len(sized)} sequences, {sized['bases'].sum() / 1e6:.2f} Mb, {groups} groups"
    return "\n".join([f"karyotype: {total}", *lines])
