from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from evaluation.search.space import Objective, Setting, decimals, new_setting, short_names, told


def setting(range_: dict[str, Any], *values: Any, inactive: int = 0) -> Setting:
    texts = [json.dumps(value) for value in values] + [None] * inactive
    return new_setting("train.some_setting", "some_setting", range_, texts)


def test_names_are_the_shortest_ends_that_differ() -> None:
    keys = ["train.learning_rate", "train.lora.rank", "model.lora.rank", "seed"]
    assert short_names(keys) == ["learning_rate", "train.lora.rank", "model.lora.rank", "seed"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (16, "16"),
        (12_000, "12,000"),
        (-3, "−3"),
        (1e-5, "1e-05"),
        (0.00123456, "0.001235"),
        (-0.5, "−0.5"),
        (True, "true"),
        (None, "null"),
        ("lora", "lora"),
        (["Wqkv", "out_proj"], "Wqkv, out_proj"),
        ([], "none"),
        ({"genes": 0.5, "regions": 1}, "genes 0.5, regions 1"),
    ],
)
def test_values_are_told_as_a_person_writes_them(value: Any, words: str) -> None:
    assert told(value) == words


def test_a_logarithmic_range_is_scaled_by_its_decades() -> None:
    rate = setting({"low": 1e-5, "high": 1e-1, "log": True}, 1e-3, 1e-5, inactive=1)
    np.testing.assert_allclose(rate.scaled(rate.places), [0.5, 0, np.nan], atol=1e-12)
    assert rate.words == ["0.001", "1e-05", "–"]
    assert rate.searched == "1e-05 to 0.1, logarithmic"


def test_a_range_without_length_lies_in_the_middle() -> None:
    fixed = setting({"low": 2, "high": 2}, 2, inactive=1)
    np.testing.assert_array_equal(fixed.scaled(fixed.places), [0.5, np.nan])
    assert fixed.border(0) is None


def test_numbers_to_choose_from_are_in_their_order_and_words_are_as_given() -> None:
    rank = setting({"choices": [64, 4, 16]}, 16, 64)
    assert rank.choices == [4, 16, 64]
    assert rank.places.tolist() == [1, 2]
    assert rank.is_ordered
    method = setting({"choices": ["lora", "full", False]}, "full")
    assert method.places.tolist() == [1]
    assert not method.is_ordered
    # A truth value is no number, though Python counts with it.
    assert not setting({"choices": [True, False]}, True).is_ordered


def test_a_default_outside_the_space_belongs_to_the_axis() -> None:
    assert setting({"low": 0.1, "high": 0.2}, 0.5).high == 0.5
    assert setting({"choices": [["a"], ["b"]]}, ["a", "b"]).places.tolist() == [2]
    # A default of 0 cannot lie on a logarithmic axis.
    assert not setting({"low": 1e-3, "high": 1.0, "log": True}, 0).log


def test_long_categories_become_codes_that_the_table_explains() -> None:
    targets = setting({"choices": [["Wqkv", "out_proj"], ["l1"]]}, ["l1"])
    assert targets.categories == ["c1", "c2"]
    assert targets.searched == "c1: Wqkv, out_proj | c2: l1"
    short = setting({"choices": ["lora", "full"]}, "full")
    assert short.categories == ["lora", "full"]
    assert short.searched == "lora | full"


@pytest.mark.parametrize(
    ("range_", "value", "border"),
    [
        ({"low": 1.0, "high": 2.0}, 1.0, "lower"),
        ({"low": 1.0, "high": 2.0}, 1.019, "lower"),
        ({"low": 1.0, "high": 2.0}, 1.021, None),
        ({"low": 1.0, "high": 2.0}, 1.981, "upper"),
        # There is nothing below 0.
        ({"low": 0.0, "high": 1.0}, 0.0, None),
        ({"low": 0.0, "high": 1.0}, 1.0, "upper"),
        ({"choices": [0, 1, 2]}, 0, "lower"),
        # In decades, 9e-2 of 1e-5 to 1e-1 is all but the end.
        ({"low": 1e-5, "high": 1e-1, "log": True}, 9e-2, "upper"),
        ({"low": 0.0, "high": 1e-1}, 9e-2, None),
        ({"low": 1, "high": 4}, 1, "lower"),
        ({"choices": [4, 8, 16]}, 16, "upper"),
        ({"choices": [4, 8]}, 8, None),
        ({"choices": ["a", "b", "c"]}, "c", None),
    ],
)
def test_borders(range_: dict[str, Any], value: Any, border: str | None) -> None:
    assert setting(range_, value).border(0) == border


def test_an_inactive_setting_lies_at_no_border() -> None:
    assert setting({"low": 0, "high": 1}, inactive=1).border(0) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.22, 1.35], 4), ([0.001, 0.0012], 6), ([100.0, 9000.0], 0), ([2.0], 3), ([np.nan], 3), ([], 3), ([0.0], 3)],
)
def test_decimals_show_the_range(values: list[float], expected: int) -> None:
    assert decimals(np.array(values, float)) == expected


def test_a_label_within_a_sentence_keeps_its_abbreviation() -> None:
    phrases = [Objective("x", label, "", 1, 3).phrase for label in ("Validation NLL", "NLL of the val windows", "")]
    assert phrases == ["validation NLL", "NLL of the val windows", ""]
