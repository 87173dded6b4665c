"""Where rows of a table lie in the split of the genome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.page.text import percent
from workflow.artifacts import read_table

_SPLITS = ("train", "val", "test")


def rows_by_split(prepared: Path, seqid: pd.Series, position: pd.Series) -> dict[str, int]:
    """Rows in the regions of train, val and test.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.
    seqid, position : Series
        0-based positions on the forward strand. Rows of other sequences, or between the regions, are in none.

    Raises
    ------
    InputError
        The table of the regions does not exist.
    """
    regions = read_table(prepared / "split.parquet", ["seqid", "start", "end", "split"]).sort_values("start")
    found = dict.fromkeys(_SPLITS, 0)
    for name, rows in position.groupby(seqid.to_numpy()):
        part = regions[regions["seqid"] == name]
        if part.empty:
            continue
        places = rows.to_numpy(np.int64)
        row = np.searchsorted(part["start"].to_numpy(), places, side="right") - 1
        inside = (row >= 0) & (places < part["end"].to_numpy()[np.maximum(row, 0)])
        for split in part["split"].to_numpy()[row[inside]]:
            found[split] += 1
    return found


def told_of_train(prepared: Path, seqid: pd.Series, position: pd.Series, what: str) -> str | None:
    """What a reader has to know of rows that lie where the adapted model was trained; None where none do."""
    in_train = rows_by_split(prepared, seqid, position)["train"]
    if not in_train:
        return None
    return (
        f"{in_train:,} of {len(seqid):,} {what} ({percent(in_train / len(seqid))}) lie in the train split: the adapted "
        "model and the Markov model have seen these places, so that what they gain there may be memory."
    )
