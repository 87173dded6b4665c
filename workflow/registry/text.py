"""Numbers, sizes and tables as text for a terminal."""

from __future__ import annotations

import math
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UNKNOWN = "–"
_GAP = "  "
_UNLIMITED = 10_000
_NARROWEST = 12
#: Longest line of running text.
_READABLE = 120


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    title : str
    right : bool
        Whether its cells stand at the right, as numbers do.
    rank : int
        The column of the highest rank is left out first where the terminal is too narrow.
    """

    title: str
    right: bool = False
    rank: int = 0


def terminal_width() -> int:
    """Columns of the terminal; without end where the output goes to a file or another program."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return _UNLIMITED
    return shutil.get_terminal_size().columns


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines of a table that is no wider than `width`.

    Columns are left out by their rank, and then the cells of the first one are shortened in their middle.

    Parameters
    ----------
    columns : sequence of Column
    rows : sequence of sequence of str
        A cell for each column.
    width : int
        Characters of a line.
    """
    widths = [max(map(len, cells)) for cells in zip([column.title for column in columns], *rows, strict=True)]
    kept = list(range(len(columns)))
    while len(kept) > 1 and _total(widths, kept) > width and max(columns[place].rank for place in kept):
        kept.remove(max(kept, key=lambda place: columns[place].rank))
    excess = _total(widths, kept) - width
    if excess > 0:
        widths[kept[0]] = max(_NARROWEST, widths[kept[0]] - excess)
    lines = [_line(columns, [column.title for column in columns], widths, kept)]
    lines += [_line(columns, row, widths, kept) for row in rows]
    return [line[:width].rstrip() for line in lines]


def beside(labels: Sequence[str], columns: Mapping[str, Sequence[str]], width: int) -> list[str]:
    """A table whose rows have labels and whose columns stand side by side as far as they fit, then below.

    Parameters
    ----------
    labels : sequence of str
        Of the rows.
    columns : mapping
        The cells of each column by its title.
    width : int
        Characters of a line.
    """
    first = max(map(len, labels), default=0)
    widest = max((len(cell) for cells in columns.values() for cell in cells), default=1)
    at_once = max(1, (width - first) // (widest + len(_GAP)))
    titles, lines = list(columns), []
    for start in range(0, len(titles), at_once):
        shown = titles[start : start + at_once]
        rows = [[label, *(columns[title][row] for title in shown)] for row, label in enumerate(labels)]
        lines += [""] * bool(start) + table([Column(""), *map(Column, shown)], rows, width)
    return lines


def wrapped(text: str, width: int, label: str = "") -> list[str]:
    """A text beside its label in lines of at most `width`, or 120, characters.

    A word that is longer, such as a path, is not broken, so that it can be copied.
    """
    return textwrap.wrap(
        text,
        min(width, _READABLE),
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


def facts(told: Mapping[str, str], width: int) -> list[str]:
    """A line or more for each fact, its name in front."""
    longest = max(map(len, told), default=0)
    return [line for name, text in told.items() for line in wrapped(text, width, f"  {name:<{longest}}  ")]


def shortened(text: str, length: int) -> str:
    """A text without its middle, where it is too long: names differ at their ends."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return text[:head] + "…" + text[len(text) - (length - 1 - head) :]


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number with so many digits behind the point."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:{'+' if signed else ''}.{digits}f}"


def interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """A signed number with the ends of its interval."""
    if value is None:
        return UNKNOWN
    middle, lower, upper = (number(end, digits, signed=True) for end in (value, low, high))
    return f"{middle} [{lower}, {upper}]"


def size(count: int | None) -> str:
    """Bytes in the unit that suits them."""
    if count is None:
        return UNKNOWN
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def moment(time: str | None) -> str:
    """A UTC time to the minute, ISO 8601."""
    return f"{time[:16]}Z" if time else UNKNOWN


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[place] for place in kept) + len(_GAP) * (len(kept) - 1)


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int], kept: Sequence[int]) -> str:
    fitted = [(shortened(cells[place], widths[place]), widths[place], columns[place].right) for place in kept]
    return _GAP.join(f"{cell:>{length}}" if right else f"{cell:<{length}}" for cell, length, right in fitted)
