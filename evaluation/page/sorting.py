"""The number that a cell shows, by which the page sorts its column."""

from __future__ import annotations

import math
import re

#: `−0.031 [−0.034, −0.028]`, `1,234`, `12.3 %`, `< 0.001`, `1.2e-05`, `∞`: a number, whatever stands behind it.
_NUMBER = re.compile(r"([<>≤≥])?\s*([+\-−])?(∞|\d[\d,]*(?:\.\d+)?(?:e[+\-]?\d+)?)")


def sort_value(cell: str) -> float | None:
    """The number at the beginning of a cell of a column of numbers; None where there is none, as in `–`.

    What is less than a bound comes just before the bound, what is more just behind it.
    """
    found = _NUMBER.match(cell.strip())
    if found is None:
        return None
    bound, sign, digits = found.groups()
    value = math.inf if digits == "∞" else float(digits.replace(",", ""))
    value = -value if sign in ("-", "−") else value
    return {"<": math.nextafter(value, -math.inf), ">": math.nextafter(value, math.inf)}.get(bound, value)


def sort_attribute(cell: str) -> str:
    """The number of a cell as a script reads it; empty where there is none."""
    value = sort_value(cell)
    if value is None:
        return ""
    return str(value).replace("inf", "Infinity")
