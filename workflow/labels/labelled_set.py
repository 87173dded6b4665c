"""Sequences with their labels, each in train, val or test."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

#: In the order of training: what stands in a later split must not be learnt in an earlier one.
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class LabelledSet:
    """Labelled sequences, in the order of their files.

    Attributes
    ----------
    ids : list of str
    sequences : list of bytes
        Upper case, A, C, G, T, N only.
    labels : DataFrame
        One column a level, most general first: text, None where it is missing. Of a regression float64, NaN where
        missing. Of labels by base a text as long as the sequence.
    split : ndarray, (n,) str
        train, val or test.
    group : ndarray, (n,) object, or None
        What was not divided between the splits: a cell of the group column, or the number of a cluster of similar
        sequences. None where rows were divided one by one.
    rows : ndarray, (n,) int64
        Row of each in its table.
    notes : list of str
        Sentences on what was left out, drawn or removed, for whoever reads the result.
    """

    ids: list[str]
    sequences: list[bytes]
    labels: pd.DataFrame
    split: np.ndarray
    group: np.ndarray | None
    rows: np.ndarray
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, split: str) -> np.ndarray:
        """Places of the sequences of a split, (m,) int64, in order."""
        return np.flatnonzero(self.split == split)

    def counts(self) -> dict[str, int]:
        """Sequences of each split."""
        return {split: len(self.of(split)) for split in SPLITS}

    def take(self, places: np.ndarray) -> LabelledSet:
        """The sequences at these places, (m,) int64."""
        return replace(
            self,
            ids=[self.ids[place] for place in places],
            sequences=[self.sequences[place] for place in places],
            labels=self.labels.iloc[places].reset_index(drop=True),
            split=self.split[places],
            group=None if self.group is None else self.group[places],
            rows=self.rows[places],
        )
