from __future__ import annotations

import math

import pytest

from evaluation.page.sorting import sort_attribute, sort_value
from evaluation.page.text import bracketed, count, number, percent
from evaluation.statistics.bootstrap import Interval


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0.031 [0.028, 0.034]", 0.031),
        ("−0.031 [−0.034, −0.028]", -0.031),
        ("+0.5", 0.5),
        ("12.3 %", 12.3),
        ("1,234,567", 1_234_567),
        ("1.2e-05", 1.2e-5),
        ("∞", math.inf),
        ("−∞", -math.inf),
        ("8,192 bp", 8192),
        ("0", 0),
        ("–", None),
        ("", None),
        ("none", None),
        ("chr1", None),
    ],
)
def test_the_number_that_a_cell_begins_with(cell: str, value: float | None) -> None:
    assert sort_value(cell) == value


def test_bounds_lie_beside_their_number() -> None:
    assert sort_value("0.09 %") < sort_value("< 0.1 %") < sort_value("0.1 %")  # type: ignore[operator]
    assert sort_value("0.1") < sort_value("> 0.1") < sort_value("0.100001")  # type: ignore[operator]


@pytest.mark.parametrize("value", [-12345.678, -0.5, 0.0, 1e-3, 1234.0, 5e9])
def test_numbers_as_the_page_writes_them_are_read_back(value: float) -> None:
    assert sort_value(number(value)) == pytest.approx(value, abs=5e-4)
    assert sort_value(number(value, signed=True)) == pytest.approx(value, abs=5e-4)
    assert sort_value(count(value)) == pytest.approx(value, abs=0.5)
    assert sort_value(bracketed(Interval(value, value - 1, value + 1), signed=True)) == pytest.approx(value, abs=5e-4)


def test_shares_sort_as_they_are() -> None:
    shares = [0.0, 0.0001, 0.001, 0.05, 0.5, 1.0]
    written = [sort_value(percent(share)) for share in shares]
    assert written == sorted(written)  # type: ignore[type-var]
    assert len(set(written)) == len(shares)


def test_attributes_are_what_a_script_reads_as_a_number() -> None:
    assert [sort_attribute(cell) for cell in ("1,000", "−∞", "1e-05", "–")] == ["1000.0", "-Infinity", "1e-05", ""]
