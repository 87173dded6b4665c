"""Faults of labels that no training should begin with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd

from workflow.errors import InputError
from workflow.labels.encoding import LabelEncoding
from workflow.labels.labelled_set import SPLITS, LabelledSet

_NAMED = 3


def refuse_contradictions(labels: pd.DataFrame, where: Callable[[int], str]) -> None:
    """Refuse a class that stands below two classes of a level above it, such as one species in two genera.

    Parameters
    ----------
    labels : DataFrame, (n, levels)
        Text, None where missing; most general level first.
    where : callable
        Says of a row's place in `labels` where it stands: `reads.csv, row 7`.
    """
    for above, level in combinations(labels.columns, 2):
        pairs = labels[[above, level]].dropna().drop_duplicates()
        twice = pairs[pairs.duplicated(level, keep=False)]
        if len(twice):
            child = twice[level].iloc[0]
            first, second = twice.index[twice[level] == child][:2]
            one, other = labels[above].iloc[first], labels[above].iloc[second]
            raise InputError(
                f"{level} {child} stands below {above} {one} ({where(first)}) and below {above} {other} "
                f"({where(second)}); correct one, or give the two different names"
            )


def refuse_without_choice(encoding: LabelEncoding) -> None:
    """Refuse a column of which training holds no label at all, or one and the same in every row."""
    for column, kinds in encoding.classes.items():
        if len(kinds) < 2:
            held = f"{kinds[0]} alone: there is nothing to tell apart" if kinds else "no label"
            raise InputError(
                f"column {column}: training holds {held}; leave it out of classify.labels, or bring other classes"
            )


def refuse_without_answer(data: LabelledSet, known: Callable[[np.ndarray], np.ndarray]) -> None:
    """Refuse a column of which val or test holds nothing that training knows.

    Epochs and the strength of regressions would be chosen by a loss of 0, and a test would have no right answer.

    Parameters
    ----------
    known : callable
        Of rows, by their places (n,): whether anything of each column is known, (columns,) bool.
    """
    for split in SPLITS[1:]:
        for column, is_known in zip(data.labels.columns, known(data.of(split)), strict=True):
            if not is_known:
                raise InputError(
                    f"column {column}: {split} holds no label of it that training knows; leave it out of "
                    "classify.labels, or choose another classify.split"
                )


def refuse_wrong_lengths(labels: pd.DataFrame, sequences: list[bytes], where: Callable[[int], str]) -> None:
    """Refuse labels by base that are not as long as their sequence."""
    for column in labels.columns:
        for row, (text, sequence) in enumerate(zip(labels[column], sequences, strict=True)):
            if isinstance(text, str) and len(text) != len(sequence):
                raise InputError(
                    f"{where(row)}: column {column} labels {len(text)} bases, the sequence has {len(sequence)}; "
                    "give one letter a base, . where it is not known"
                )


def unseen(data: LabelledSet, encoding: LabelEncoding) -> pd.DataFrame:
    """Labels of val and test that training lacks.

    Returns
    -------
    DataFrame
        split, level, label, row (of the first), sequences.
    """
    held_out = np.flatnonzero(data.split != "train")
    found = []
    for level in encoding.levels:
        labels = data.labels[level].iloc[held_out]
        table = pd.DataFrame({"split": data.split[held_out], "label": labels.to_numpy(), "row": data.rows[held_out]})
        table = table[labels.notna().to_numpy() & ~labels.isin(encoding.classes[level]).to_numpy()]
        grouped = table.groupby(["split", "label"], sort=False)["row"]
        found.append(grouped.agg(row="first", sequences="size").reset_index().assign(level=level))
    return pd.concat(found, ignore_index=True)[["split", "level", "label", "row", "sequences"]]


def refuse_unseen(missing: pd.DataFrame) -> None:
    """Refuse labels that training lacks (`classify.unseen=refuse`)."""
    if len(missing):
        named = [f"{row.level} {row.label} ({row.split}, row {row.row})" for row in missing.head(_NAMED).itertuples()]
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f"training holds no example of {', '.join(named)}{more}; add some, leave these rows out, "
            "or choose classify.unseen=ignore"
        )
