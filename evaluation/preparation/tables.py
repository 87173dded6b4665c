"""Tables of the genome and its split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evaluation.page.tables import Table
from evaluation.page.text import MISSING, count, number, percent, plural

_SPLITS = ("train", "val", "test")
_MOST_ROWS = 20
_REASONS = {
    "n_run": "runs of N",
    "short": "stretches too short for a window",
    "purge": "purged between blocks of different splits",
    "unplaced": "unplaced sequences",
    "similar_to_train": "val and test windows with a copy in train",
    "not_in_table": "not named by the split table",
}
#: What names do not show.
_SURPRISES = ("joined", "moved", "scaffold joined", "scaffold excluded")


def accounting_table(kept: Mapping[str, int], dropped: Mapping[str, int], total: int) -> Table:
    """Every base of the genome, kept or left out, and their sum."""
    parts = [*kept.items(), *((f"left out: {_REASONS.get(k, _words(k))}", n) for k, n in dropped.items() if n)]
    summed = sum(bases for _, bases in parts)
    rows = [[name, count(bases), percent(bases / total)] for name, bases in [*parts, ("sum", summed)]]
    caption = f"Where every base went. The genome has {plural(total, 'base')}."
    return Table(caption, ["part", "bases", "share"], rows, fired={len(rows) - 1})


def homology_table(pairs: pd.DataFrame) -> Table:
    """Pairs of sequences that are copies of each other though their names do not say so, the most alike first."""
    told = pairs[pairs["finding"].isin(_SURPRISES)]
    shown = told.sort_values("containment", ascending=False, kind="stable").head(_MOST_ROWS)
    rows = [
        [
            *(_with_group(row[f"seqid_{side}"], row[f"group_{side}"]) for side in "ab"),
            row["finding"],
            percent(row["containment"]),
            count(row["shared_kmers"]),
        ]
        for row in shown.to_dict("records")
    ]
    caption = (
        "Homologs that the names do not show, with the group of their names"
        f"{_extract(len(shown), len(told), 'most alike')}. Joined: the two groups are now one. "
        "Moved: one of the two now belongs to the other's group. Shared: part of "
        f"the sampled 31-mers of the smaller sequence. Besides, {_besides(pairs)}."
    )
    return Table(caption, ["sequence", "copy", "finding", "shared", "k-mers"], rows, words=3)


def excluded_table(excluded: pd.DataFrame) -> Table:
    """Windows left out for a copy in train, as runs of neighbours, the longest first."""
    runs = excluded_runs(excluded)
    longest = runs.sort_values("bases", ascending=False, kind="stable").head(_MOST_ROWS)
    rows = [
        [
            row["split"],
            _place(row["seqid"], row["start"], row["end"]),
            f"{_place(row['train_seqid'], row['train_start'], row['train_end'])} ({_strand(row['train_strand'])})",
            count(row["windows"]),
            count(row["bases"]),
            percent(row["containment"]),
        ]
        for row in longest.to_dict("records")
    ]
    caption = (
        f"Stretches of val and test that were left out, and the stretch of train that they resemble"
        f"{_extract(len(longest), len(runs), 'longest')}. Coordinates are 0-based, half-open, on the "
        "forward strand; − is the reverse complement. Containment: that of the most similar window."
    )
    columns = ["split", "left out", "its copy in train", "windows", "bases", "containment"]
    return Table(caption, columns, rows, words=3)


def excluded_runs(excluded: pd.DataFrame) -> pd.DataFrame:
    """Windows that touch, of one split, with copies that overlap or touch on one strand, as one row.

    Parameters
    ----------
    excluded : DataFrame
        seqid, start, end, split, containment, train_seqid, train_start, train_end, train_strand; in the order of
        the genome.

    Returns
    -------
    DataFrame
        The same columns, the largest containment, windows, bases.
    """
    before = excluded.shift()
    same = [excluded[name] == before[name] for name in ("split", "seqid", "train_seqid", "train_strand")]
    touches = (excluded["start"] == before["end"]) & (
        np.maximum(excluded["train_start"], before["train_start"])
        <= np.minimum(excluded["train_end"], before["train_end"])
    )
    run = (~np.logical_and.reduce([*same, touches])).cumsum()
    runs = excluded.groupby(run).agg(
        split=("split", "first"),
        seqid=("seqid", "first"),
        start=("start", "first"),
        end=("end", "last"),
        containment=("containment", "max"),
        train_seqid=("train_seqid", "first"),
        train_start=("train_start", "min"),
        train_end=("train_end", "max"),
        train_strand=("train_strand", "first"),
        windows=("start", "size"),
    )
    return runs.assign(bases=runs["end"] - runs["start"]).reset_index(drop=True)


def windows_table(sets: Mapping[str, Mapping[str, Any]], mixture: Mapping[str, float]) -> Table:
    """The sets of windows and, where it is known, their share of the training mixture."""
    rows = [
        [
            name,
            str(told["kind"]),
            _dropped(told["dropped"]),
            *(count(told["windows"].get(split, 0)) for split in _SPLITS),
            count(sum(told["bases"].values())),
            number(told["mean_weight"].get("train"), 2),
        ]
        for name, told in sets.items()
    ]
    rows += [[name, "whole regions of train", *[MISSING] * 6] for name in mixture if name not in sets]
    caption = (
        "Sets of windows. Weight: mean over the train windows, each counting 1 over the number of its near-identical "
        "copies in other homologs."
    )
    columns = ["set", "kind", "left out", *_SPLITS, "bases", "weight"]
    if mixture:
        total = sum(mixture.values())
        rows = [[*row, percent(mixture[row[0]] / total) if row[0] in mixture else MISSING] for row in rows]
        caption += " Mixture: share of the training bases drawn from the set."
        columns.append("mixture")
    return Table(caption, columns, rows, words=3)


def annotation_table(annotation: Mapping[str, Any]) -> Table:
    """The annotation's counts and shares; those under a common key below each other."""
    rows = []
    for name, value in annotation.items():
        if isinstance(value, Mapping):
            rows += [[f"{_words(name)}: {_words(kind)}", count(number)] for kind, number in value.items() if number]
        elif isinstance(value, int | float):
            rows.append([_words(name), percent(value) if name.startswith("share") else count(value)])
    return Table("The annotation, as it was read and checked.", ["finding", "number"], rows)


def _words(key: str) -> str:
    return key.replace("_", " ")


def _dropped(dropped: Mapping[str, int]) -> str:
    told = [f"{count(number)} {_words(reason)}" for reason, number in dropped.items() if number]
    return ", ".join(told) or MISSING


def _with_group(seqid: str, group: str | None) -> str:
    return f"{seqid} (group {group})" if group else f"{seqid} (unplaced)"


def _place(seqid: str, start: int, end: int) -> str:
    return f"{seqid}:{int(start):,}–{int(end):,}"


def _strand(strand: str) -> str:
    return "−" if strand == "-" else "+"


def _extract(shown: int, total: int, which: str) -> str:
    """`: the 20 longest of 312` where not all are shown."""
    return "" if shown == total else f": the {shown:,} {which} of {total:,}"


def _besides(pairs: pd.DataFrame) -> str:
    counts = pairs["finding"].value_counts()
    homologs, similar = int(counts.get("homologs", 0)), int(counts.get("similar", 0))
    return (
        f"{plural(homologs, 'pair')} of one group by name and {plural(similar, 'pair')} too little alike to be copies"
    )
