"""What a training of classifiers was made of, written beside its results."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow.artifacts import write_json
from workflow.config import ClassifyConfig
from workflow.labels import LabelEncoding, LabelledSet, duplicates
from workflow.labels.duplicates import leak
from workflow.labels.encoding import UNKNOWN

_SPLITS_OF_LOSS = ("train", "val")


def write_records(
    out: Path,
    data: LabelledSet,
    encoding: LabelEncoding,
    config: ClassifyConfig,
    methods: list[str],
    seed: int,
    work: str,
) -> None:
    """Write `labels.json`, `split.parquet`, `duplicates.csv` and `classify.json`.

    Parameters
    ----------
    encoding : LabelEncoding
        Of a regression its levels are the columns, without classes.
    methods : list of str
        In their order.
    work : str
        What tells a training of the same from the same.
    """
    pairs = duplicates(data)
    found = leak(data, pairs, config.similarity)
    write_json(out / "labels.json", encoding.to_json())
    _splits(data, pairs).to_parquet(out / "split.parquet", index=False)
    pairs.drop(columns=["place_a", "place_b"]).to_csv(out / "duplicates.csv", index=False)
    shares = {"test_share": found.test_share, "similar_test_share": found.similar_test_share}
    told = {
        "task": config.task,
        "levels": list(encoding.levels),
        "split": config.split,
        "counts": data.counts(),
        "seed": seed,
        "decoding": config.decoding,
        "duplicates": asdict(found) | shares,
        "methods": methods,
        "work": work,
        "notes": [*data.notes, *_unknown(data, encoding, config.task), found.sentence()],
    }
    write_json(out / "classify.json", told)


def content_of(data: LabelledSet) -> str:
    """SHA-256 of the sequences, their ids, labels and splits."""
    digest = hashlib.sha256()
    for sequence in data.sequences:
        digest.update(sequence + b"\n")
    table = pd.DataFrame({"id": data.ids, "split": data.split})
    digest.update(_with_labels(table, data).to_csv(index=False).encode())
    return digest.hexdigest()


def _splits(data: LabelledSet, pairs: pd.DataFrame) -> pd.DataFrame:
    """id, row, split, group, length, duplicate_of (id of an equal sequence in an earlier split), `true.` of levels."""
    copies = np.full(len(data), None, object)
    # The first pair of a sequence is that with the earliest split.
    for place, name in pairs[["place_b", "id_a"]].iloc[::-1].itertuples(index=False):
        copies[place] = name
    groups = [None] * len(data) if data.group is None else data.group.tolist()
    table = pd.DataFrame(
        {
            "id": data.ids,
            "row": data.rows,
            "split": data.split,
            "group": pd.array([None if group is None else str(group) for group in groups], dtype="string"),
            "length": [len(sequence) for sequence in data.sequences],
            "duplicate_of": pd.array(copies.tolist(), dtype="string"),
        }
    )
    return _with_labels(table, data)


def _with_labels(table: pd.DataFrame, data: LabelledSet) -> pd.DataFrame:
    """A table with the labels beside it: a level may have the name of any column of its."""
    return table.join(data.labels.add_prefix("true."))


def _unknown(data: LabelledSet, encoding: LabelEncoding, task: str) -> list[str]:
    """How many labels of train and val have no part in the loss, by level."""
    notes = []
    for split in _SPLITS_OF_LOSS:
        places = data.of(split)
        labels = data.labels.iloc[places]
        for level, missing in zip(encoding.levels, _missing(labels, encoding, task), strict=True):
            if missing:
                things = "bases" if task == "per_base" else "sequences"
                notes.append(f"{missing:,} {things} of {split} have no known {level}: no part of its loss.")
    return notes


def _missing(labels: pd.DataFrame, encoding: LabelEncoding, task: str) -> list[int]:
    if task == "regression":
        return [int(labels[level].isna().sum()) for level in encoding.levels]
    if task == "per_base":
        counts: Any = sum((codes == UNKNOWN).sum(axis=0) for codes in encoding.encode_by_base(labels))
    else:
        counts = (encoding.encode(labels) == UNKNOWN).sum(axis=0)
    return [int(count) for count in counts]
