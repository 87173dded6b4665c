"""What a sequence's name says: its homolog group, or that it is unplaced."""

from __future__ import annotations

import re
from collections.abc import Iterable

from workflow.errors import InputError
from workflow.genome.components import connected

_SHOWN = 5


def homolog_groups(
    seqids: Iterable[str], sequence_names: str | None, unplaced_names: str | None
) -> tuple[dict[str, str], list[str]]:
    """Homolog group of each sequence, and the unplaced sequences.

    A recombinant chromosome belongs to several groups (`Chr7_10A` to 7 and 10), which are then one: its
    label joins them (`7_10`). Without `sequence_names` each sequence is a group of its own.

    Parameters
    ----------
    seqids : iterable of str
    sequence_names : str, optional
        Regular expression that matches whole names, with the named group `group`.
    unplaced_names : str, optional
        Regular expression that matches whole names of unplaced scaffolds; looked at first.

    Returns
    -------
    groups : dict
        Group label by seqid, of all sequences but the unplaced.
    unplaced : list of str

    Raises
    ------
    InputError
        A pattern is not valid, or names are left that neither pattern reads.
    """
    placed_pattern = _compiled("genome.sequence_names", sequence_names)
    unplaced_pattern = _compiled("genome.unplaced_names", unplaced_names)
    if placed_pattern is not None and "group" not in placed_pattern.groupindex:
        raise InputError("genome.sequence_names has no named group (?P<group>…)")
    groups: dict[str, list[str]] = {}
    unplaced, unread = [], []
    for seqid in seqids:
        if unplaced_pattern is not None and unplaced_pattern.fullmatch(seqid):
            unplaced.append(seqid)
        elif placed_pattern is None:
            groups[seqid] = [seqid]
        elif match := placed_pattern.fullmatch(seqid):
            groups[seqid] = [part for part in (match["group"] or "").split("_") if part]
            if not groups[seqid]:
                unread.append(seqid)
        else:
            unread.append(seqid)
    if unread:
        examples = ", ".join(unread[:_SHOWN]) + (", …" if len(unread) > _SHOWN else "")
        raise InputError(
            f"{len(unread)} sequence names are read by neither genome.sequence_names nor genome.unplaced_names: "
            f"{examples}; extend one of the two, or set genome.sequence_names=null to take each sequence by itself"
        )
    return _joined(groups), unplaced


def _compiled(key: str, pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(f"{key}={pattern} is not a regular expression: {error}") from None


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


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sort key that puts chr2 before chr10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def suggest_name(unknown: str, known: Iterable[str]) -> str:
    """A hint for a name that is not among the known ones, as the end of a message."""
    known = list(known)
    alike = [name for name in known if _plain(name) == _plain(unknown)]
    if alike:
        return f"did you mean {alike[0]}? Rename one of the two"
    return f"it has {', '.join(known[:_SHOWN])}{', …' if len(known) > _SHOWN else ''}"


def _plain(name: str) -> str:
    """Name without case, `chr`, leading zeros and version."""
    return re.sub(r"^(chromosome|chrom|chr)?[_.-]?0*(?=.)|\.\d+$", "", name.lower())
