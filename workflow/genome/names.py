"""Sequence names: their natural order, and the likely one for a name that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SHOWN = 5


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sort key that puts chr2 before chr10."""
    parts = re.split(r"([0-9]+)", name)
    # Numbers are compared by their digits: a name may hold more of them than `int` takes.
    digits = [part.lstrip("0") if part.isdecimal() else None for part in parts]
    return [
        (-1, part) if number is None else (len(number), number) for number, part in zip(digits, parts, strict=True)
    ], name


def suggest_name(unknown: str, known: Iterable[str]) -> str:
    """A hint for a name that is not among the known ones, as the end of a message."""
    known = list(known)
    alike = [name for name in known if _plain(name) == _plain(unknown)]
    if alike:
        return f"did you mean {alike[0]}? Rename one of the two"
    return f"it has {', '.join(known[:_SHOWN])}{', …' if len(known) > _SHOWN else ''}"


def _plain(name: str) -> str:
    """Name without case, `chr`, leading zeros and version."""
    return re.sub(r"^(chromosome|chrom|chr)?[_.-]?0*(?=.)|\.\d+$", "", name.lower())
