from __future__ import annotations

import pytest

from evaluation.page.text import bracketed, count, number, plural
from evaluation.statistics.bootstrap import Interval


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5678, "1,234.568"), (-0.5, "−0.500"), (-0.0001, "0.000"), (float("nan"), "–"), (float("-inf"), "−∞")],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_signed_and_count() -> None:
    assert number(0.25, 2, signed=True) == "+0.25"
    assert number(0.0, 2, signed=True) == "0.00"
    assert count(1e9) == "1,000,000,000"
    assert (plural(1, "window"), plural(2000, "window")) == ("1 window", "2,000 windows")


def test_bracketed_shows_the_width() -> None:
    assert bracketed(Interval(0.031, 0.028, 0.034)) == "0.031 [0.028, 0.034]"
    assert bracketed(Interval(1.2, 0.8, 1.6)) == "1.200 [0.800, 1.600]"
    assert bracketed(Interval(0.00012, 0.0001, 0.00014), signed=True) == "+0.00012 [+0.00010, +0.00014]"
    assert bracketed(Interval(0.5, float("nan"), float("nan"))) == "0.500 [no interval]"
    assert bracketed(Interval(0.5, 0.5 - 1e-16, 0.5 + 1e-16)) == "0.500 [0.500, 0.500]"
