"""Sequences that stand in more than one split, as they are or as reverse complements.

What a model saw in training it need not understand in the test: GUE's tf/4, for one, tests on sequences that stand in
its training file.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from workflow.labels.labelled_set import LabelledSet
from workflow.labels.similarity import canonical, has_similar

_ORDER = (("train", "val"), ("train", "test"), ("val", "test"))
_COLUMNS = ("id_a", "split_a", "id_b", "split_b", "same_label", "strand", "place_a", "place_b")


@dataclass(frozen=True)
class Leak:
    """How far the test can be answered from memory.

    Attributes
    ----------
    pairs : int
        Rows of `duplicates`.
    contradictory : int
        Of these, pairs whose labels differ.
    test : int
        Sequences of the test.
    in_train : int
        Of these, those that stand in train as they are or as reverse complement.
    similar : int
        Of these, those that stand in train or share at least `similarity` of their k-mers with a sequence there.
    similarity : float
    """

    pairs: int
    contradictory: int
    test: int
    in_train: int
    similar: int
    similarity: float

    @property
    def test_share(self) -> float:
        """Share of the test that stands in train."""
        return self.in_train / self.test

    @property
    def similar_test_share(self) -> float:
        """Share of the test that resembles something in train."""
        return self.similar / self.test

    def sentence(self) -> str:
        """What a reader should know of it."""
        equal = f"{self.in_train:,} of the {self.test:,} test sequences ({self.test_share:.1%}) stand in train"
        labels = f" ({self.contradictory:,} pairs of equal sequences have other labels)" if self.contradictory else ""
        return (
            f"{equal} as they are or as reverse complement{labels}; {self.similar:,} ({self.similar_test_share:.1%}) "
            f"share at least {self.similarity:.0%} of their k-mers with a sequence of train."
        )


def duplicates(data: LabelledSet) -> pd.DataFrame:
    """Equal sequences in different splits.

    Each sequence of val and test is paired with one copy in each split before its own (train, val, test): the first
    whose labels differ, else the first.

    Returns
    -------
    DataFrame
        id_a, split_a (the earlier split), id_b, split_b, same_label (bool; labels missing in both agree), strand
        (`-` where b is the reverse complement of a), place_a, place_b (places in the set, from 0).
    """
    copies = _copies(data)
    labels = list(data.labels.astype(object).where(data.labels.notna(), None).itertuples(index=False, name=None))
    found = []
    for earlier, later in _ORDER:
        for place in data.of(later).tolist():
            among = copies[canonical(data.sequences[place])].get(earlier)
            if among:
                other = next((copy for copy in among if labels[copy] != labels[place]), among[0])
                found.append((other, place, labels[other] == labels[place]))
    rows = [
        (
            data.ids[one],
            data.split[one],
            data.ids[other],
            data.split[other],
            same,
            "+" if data.sequences[one] == data.sequences[other] else "-",
            one,
            other,
        )
        for one, other, same in found
    ]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"same_label": bool, "place_a": int, "place_b": int})


def without_duplicates(data: LabelledSet) -> LabelledSet:
    """The set without the sequences of train that stand in val or test, and those of val that stand in test."""
    pairs = duplicates(data)
    copies = _copies(data)
    dropped = {
        copy
        for earlier, place in pairs[["split_a", "place_b"]].itertuples(index=False)
        for copy in copies[canonical(data.sequences[place])][earlier]
    }
    if not dropped:
        return data
    by_split = pd.Series(data.split[sorted(dropped)]).value_counts()
    told = " and ".join(f"{by_split[split]:,} of {split}" for split in ("train", "val") if split in by_split)
    note = f"Sequences that stand in a later split were removed: {told} (classify.duplicates=remove)."
    kept = data.take(np.setdiff1d(np.arange(len(data)), sorted(dropped)))
    return replace(kept, notes=[*data.notes, note])


def leak(data: LabelledSet, pairs: pd.DataFrame, similarity: float) -> Leak:
    """Count what `duplicates` found, and look for sequences of the test that resemble one of train."""
    test, train = ([data.sequences[place] for place in data.of(split)] for split in ("test", "train"))
    of_test = pairs[(pairs["split_a"] == "train") & (pairs["split_b"] == "test")]
    return Leak(
        pairs=len(pairs),
        contradictory=int((~pairs["same_label"]).sum()),
        test=len(test),
        in_train=of_test["place_b"].nunique(),
        similar=int(has_similar(test, train, similarity).sum()),
        similarity=similarity,
    )


def _copies(data: LabelledSet) -> dict[bytes, dict[str, list[int]]]:
    """Places of each sequence that val or test hold, by split."""
    held_out = {canonical(data.sequences[place]) for split in ("val", "test") for place in data.of(split)}
    copies: dict[bytes, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, (sequence, split) in enumerate(zip(data.sequences, data.split.tolist(), strict=True)):
        if (key := canonical(sequence)) in held_out:
            copies[key][split].append(place)
    return copies
