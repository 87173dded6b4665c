import numpy as np
import pandas as pd
import pytest

from workflow.labels.duplicates import duplicates, leak, without_duplicates
from workflow.labels.labelled_set import LabelledSet


@pytest.fixture
def data():
    rows = [
        ("a", b"AAACC", "x", "train"),
        ("b", b"GGTTT", "y", "train"),  # a, from the other strand
        ("c", b"AAACC", "x", "test"),
        ("d", b"CCCCA", "x", "val"),
        ("e", b"TGGGG", None, "test"),  # d, from the other strand
        ("f", b"GATTA", "y", "test"),
        ("g", b"TTTTG", "x", "train"),
        ("h", b"TTTTG", "x", "train"),  # copies within train are no leak
    ]
    ids, sequences, labels, split = zip(*rows, strict=True)
    table = pd.DataFrame({"label": labels}, dtype=object)
    return LabelledSet(list(ids), list(sequences), table, np.array(split), None, np.arange(1, 9))


def test_equal_sequences_of_several_splits_are_paired(data):
    pairs = duplicates(data)
    told = pairs[["id_a", "split_a", "id_b", "split_b", "same_label", "strand"]].to_numpy().tolist()
    # b and not a is told: its label contradicts.
    assert told == [["b", "train", "c", "test", False, "-"], ["d", "val", "e", "test", False, "-"]]
    assert pairs[["place_a", "place_b"]].to_numpy().tolist() == [[1, 2], [3, 4]]
    found = leak(data, pairs, 0.5)
    assert (found.pairs, found.contradictory, found.in_train, found.similar, found.test) == (2, 2, 1, 1, 3)
    assert "1 of the 3 test sequences (33.3%) stand in train" in found.sentence()


def test_removal_leaves_the_test_alone(data):
    kept = without_duplicates(data)
    assert kept.ids == ["c", "e", "f", "g", "h"]
    assert kept.notes == [
        "Sequences that stand in a later split were removed: 2 of train and 1 of val (classify.duplicates=remove)."
    ]
    assert duplicates(kept).empty and leak(kept, duplicates(kept), 0.5).in_train == 0
