"""Layers by number and name, and what is said of those that do not exist."""

from __future__ import annotations

from typing import Any

import pytest

from workflow.embeddings.layers import layer_numbers
from workflow.errors import InputError


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (None, [3]),
        (0, [0]),
        ("6", [6]),
        (-1, [6]),
        ("blocks.2", [2]),
        ("decoder.layers.2", [2]),
        ([5, "blocks.1", -7], [5, 1, 0]),
        ("all", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_numbers(wanted: Any, numbers: list[int]) -> None:
    assert layer_numbers(wanted, 7) == numbers


@pytest.mark.parametrize("wanted", [7, -8, "blocks.7", "blocks.-1", "block.1", "last", 1.5, True, ["all"], ""])
def test_there_is_no_such_layer(wanted: Any) -> None:
    valid = r"there is no such layer; give 0 to 6 \(-7 to -1 from the end\), blocks\.0 to blocks\.6, or all$"
    with pytest.raises(InputError, match=valid):
        layer_numbers(wanted, 7)


def test_lists_that_make_no_sense() -> None:
    with pytest.raises(InputError, match=r"embed\.layers=\[0, -7\] names layer 0 more than once"):
        layer_numbers([0, -7], 7)
    with pytest.raises(InputError, match=r"embed\.layers is empty"):
        layer_numbers([], 7)
