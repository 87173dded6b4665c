"""Numbers as a person reads them."""

from __future__ import annotations

import math

from evaluation.statistics.bootstrap import Interval

MISSING = "–"
_MINUS = "−"
_ROUNDING = 1e-9


def number(value: float, decimals: int = 3, signed: bool = False) -> str:
    """A number with thousands separators, a real minus sign, and a dash for what is undefined."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    text = f"{value:+,.{decimals}f}" if signed else f"{value:,.{decimals}f}"
    # A negative number that rounds to zero has no sign worth showing.
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", _MINUS)


def count(value: float) -> str:
    """A whole number with thousands separators."""
    return number(value, 0)


def percent(share: float) -> str:
    """A share of 1 as `12.3 %`, and `< 0.1 %` where it would round to nothing."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{number(100 * share, 1)} %"


def bracketed(interval: Interval, signed: bool = False) -> str:
    """`0.031 [0.028, 0.034]`, with at least 3 decimals, and enough to show half the interval's width."""
    decimals = 3
    # A constant has an interval as wide as the rounding of its draws.
    if interval.defined and interval.high - interval.low > _ROUNDING:
        decimals = min(max(-math.floor(math.log10((interval.high - interval.low) / 2)), 3), 6)
    if not interval.defined:
        return f"{number(interval.estimate, decimals, signed)} [no interval]"
    low, high = (number(end, decimals, signed) for end in (interval.low, interval.high))
    return f"{number(interval.estimate, decimals, signed)} [{low}, {high}]"


def plural(amount: int, noun: str, nouns: str | None = None) -> str:
    """`1 window`, `1,024 windows`; `nouns` where the plural is not made with an s."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {nouns or noun + 's'}"
