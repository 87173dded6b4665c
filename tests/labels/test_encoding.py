import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.errors import InputError
from workflow.labels.encoding import LabelEncoding, class_weights

# What MicrobeRT makes of these nine rows (its encoders and weights, run once).
LABELS = pd.DataFrame(
    {
        "superkingdom": list("AABBBAABB"),
        "genus": ["g10", "g2", "g3", "g3", "g3", "g10", "g10", "g2b", "g1"],
        "taxid": ["9606", "10090", "562", "562", "562", "9606", "9606", "4932", "77"],
    },
    dtype=object,
)


def test_numbers_are_ordered_by_value_and_text_by_the_alphabet():
    encoding = LabelEncoding.fit(LABELS)
    assert encoding.classes["taxid"] == ("77", "562", "4932", "9606", "10090")
    assert encoding.classes["genus"] == ("g1", "g10", "g2", "g2b", "g3")
    mixed = LabelEncoding.fit(pd.DataFrame({"chromosome": ["X", "10", "2", "1", "nan", "1e3", "-3"]}, dtype=object))
    assert mixed.classes["chromosome"] == ("-3", "1", "2", "10", "1e3", "X", "nan")


def test_codes_and_parents_missing_and_unseen():
    train = LABELS.copy()
    train.loc[8, "genus"] = None  # the only row of taxid 77
    encoding = LabelEncoding.fit(train)
    assert encoding.parents == {"genus": (0, 0, 1, 1), "taxid": (-1, 3, 2, 0, 1)}
    other = pd.DataFrame({"superkingdom": ["B", "C"], "genus": [None, "g10"], "taxid": ["562", None]}, dtype=object)
    assert encoding.encode(other).tolist() == [[1, -1, 1], [-1, 0, -1]]
    assert encoding.encode(train)[:, 0].tolist() == [0, 0, 1, 1, 1, 0, 0, 1, 1]


def test_json_round_trip_and_another_version():
    encoding = LabelEncoding.fit(LABELS)
    content = json.loads(json.dumps(encoding.to_json()))
    path = Path("labels.json")
    assert LabelEncoding.from_json(content, path) == encoding
    with pytest.raises(InputError, match=r"labels\.json: labels of version 2, this program reads version 1"):
        LabelEncoding.from_json(content | {"version": 2}, path)
    with pytest.raises(InputError, match=r"labels\.json: not the labels"):
        LabelEncoding.from_json({"version": 1, "levels": ["a"]}, path)
    with pytest.raises(InputError, match="a parent of level genus is no class of superkingdom"):
        parents = content["parents"] | {"genus": [0, 0, 0, 0, 9]}
        LabelEncoding.from_json(content | {"parents": parents}, path)


def test_class_weights_are_those_of_the_formula():
    genus = np.array([1, 2, 3, 3, 3, 1, 1, 2, 0])
    assert class_weights(genus, 4).tolist() == [2.25, 0.75, 1.125, 0.75]
    assert class_weights(np.array([0, 0, 2, -1]), 3).tolist() == [0.5, 0.0, 1.0]


def test_labels_by_base():
    labels = pd.DataFrame({"region": ["EEII.", "I"], "frame": ["01..2", None]}, dtype=object)
    encoding = LabelEncoding.fit_by_base(labels)
    assert encoding.classes == {"region": ("E", "I"), "frame": ("0", "1", "2")}
    assert encoding.parents["frame"] == (0, 0, -1)
    first, second = encoding.encode_by_base(labels)
    assert first.tolist() == [[0, 0], [0, 1], [1, -1], [1, -1], [-1, 2]]
    assert second.tolist() == [[1, -1]]
