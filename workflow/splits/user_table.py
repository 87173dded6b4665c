"""A split that the user gives as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from workflow.errors import InputError
from workflow.genome.names import suggest_name
from workflow.genome.tables import read_user_table
from workflow.splits.assignment import SPLITS
from workflow.splits.divide import Split

_MOST_DIGITS = 18


def split_by_table(
    contigs: pd.DataFrame, groups: dict[str, str], lengths: Mapping[str, int], path: Path, min_length: int
) -> tuple[Split, int]:
    """Divide contigs as a table says.

    Parameters
    ----------
    contigs : DataFrame
        seqid, start, end; disjoint, sorted.
    groups : dict
        Homolog group by seqid.
    lengths : dict
        Bases of each sequence of the genome.
    path : Path
        Columns seqid and split (train, val, test), and start and end (0-based half-open) where rows mean parts
        of sequences.
    min_length : int
        Bases; what the table leaves of a contig is left out when it is shorter.

    Returns
    -------
    split : Split
        Nothing is purged: what the audit finds in train is told there.
    unnamed : int
        Bases of contigs that no row covers, or only with less than `min_length`.

    Raises
    ------
    InputError
        A row cannot be used, two rows overlap, or a split is empty; the message names the line.
    """
    rows = _rows(path, lengths)
    by_sequence = dict(list(rows.groupby("seqid")))
    kept = [rows[:0].assign(group="")]
    for seqid, start, end in contigs[["seqid", "start", "end"]].itertuples(index=False):
        if (of_sequence := by_sequence.get(seqid)) is None:
            continue
        piece = of_sequence.assign(
            start=np.maximum(of_sequence["start"], start), end=np.minimum(of_sequence["end"], end), group=groups[seqid]
        )
        kept.append(piece[piece["end"] - piece["start"] >= min_length])
    regions = pd.concat(kept, ignore_index=True)[["seqid", "start", "end", "split", "group"]]
    if empty := [name for name in SPLITS if name not in set(regions["split"])]:
        raise InputError(
            f"{path} gives no {min_length} bases without N to {' and '.join(empty)}; name sequences for each of "
            f"{', '.join(SPLITS)}"
        )
    covered = int((regions["end"] - regions["start"]).sum())
    unnamed = int((contigs["end"] - contigs["start"]).sum()) - covered
    return Split(regions, "table", len(rows), 0, 0), unnamed


def _rows(path: Path, lengths: Mapping[str, int]) -> pd.DataFrame:
    table = read_user_table(path, ("seqid", "split"))
    if "start" not in table.columns:
        table["start"] = ""
    if "end" not in table.columns:
        table["end"] = ""
    starts, ends = [], []
    for line, seqid, split, start, end in table[["seqid", "split", "start", "end"]].itertuples():
        length = lengths.get(seqid)
        if length is None:
            raise InputError(
                f"{path}, line {line}: sequence {seqid} is not in the FASTA; {suggest_name(seqid, lengths)}"
            )
        if split not in SPLITS:
            raise InputError(f"{path}, line {line}: split {split} is not one of {', '.join(SPLITS)}")
        if not all((place or "0").isdecimal() and len(place) <= _MOST_DIGITS for place in (start, end)):
            raise InputError(
                f"{path}, line {line}: start {start} and end {end} must be whole numbers, 0-based half-open"
            )
        starts.append(int(start or 0))
        ends.append(int(end or length))
        if not starts[-1] < ends[-1] <= length:
            stretch = f"{seqid}:{starts[-1]}-{ends[-1]}"
            raise InputError(f"{path}, line {line}: {stretch} is not a stretch of the sequence's {length} bases")
    rows = table[["seqid", "split"]].assign(start=starts, end=ends, line=table.index)
    rows = rows.sort_values(["seqid", "start"], kind="stable").reset_index(drop=True)
    before = rows.shift()
    overlap = ((rows["seqid"] == before["seqid"]) & (rows["start"] < before["end"])).to_numpy()
    if overlap.any():
        row = int(overlap.argmax())
        line, other = rows["line"].iloc[row], rows["line"].iloc[row - 1]
        raise InputError(f"{path}, line {line}: overlaps line {other} on {rows['seqid'].iloc[row]}")
    return rows
