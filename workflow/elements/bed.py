"""Elements that the user names: BED files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from workflow.errors import InputError
from workflow.genome.files import read_blocks
from workflow.genome.names import suggest_name

_NOT_ROWS = ("#", "track", "browser")
_STRAND_COLUMN = 5
#: A BED file that leaves the strand open is read forwards.
_STRANDS = {"+": "+", "-": "-", ".": "+"}


def read_bed(path: Path, lengths: Mapping[str, int]) -> pd.DataFrame:
    """Read the places of a BED file, plain or gzip, with 3 to 12 columns.

    Parameters
    ----------
    path : Path
    lengths : mapping
        Bases of each sequence of the genome.

    Returns
    -------
    DataFrame
        seqid, start, end (0-based half-open, as in the file), strand (`+` where the file has none).

    Raises
    ------
    InputError
        A line is no row of a BED file, or names a place that the genome does not have; there are no rows.
    """
    rows = [_row(path, number, line, lengths) for number, line in _lines(path)]
    if not rows:
        raise InputError(f"{path} holds no rows: a BED file has at least the columns sequence, start and end")
    return pd.DataFrame(rows, columns=["seqid", "start", "end", "strand"])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are rows, with their numbers from 1."""
    text = b"".join(read_blocks(path))
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text: elements.source wants a BED file, plain or gzip") from None
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith(_NOT_ROWS):
            yield number, line


def _row(path: Path, number: int, line: str, lengths: Mapping[str, int]) -> tuple[str, int, int, str]:
    cells = line.split("\t") if "\t" in line else line.split()
    where = f"{path}, line {number}"
    if len(cells) < 3:
        raise InputError(f"{where}: {len(cells)} columns; a BED row has at least sequence, start and end")
    seqid, first, last = (cell.strip() for cell in cells[:3])
    if not (first.isdecimal() and last.isdecimal()):
        raise InputError(f"{where}: start “{first}” and end “{last}” must be whole numbers, counted from 0")
    start, end = int(first), int(last)
    if seqid not in lengths:
        raise InputError(f"{where}: the genome has no sequence {seqid}; {suggest_name(seqid, lengths)}")
    if not start < end <= lengths[seqid]:
        raise InputError(
            f"{where}: {seqid}:{start}-{end} is not within the sequence's {lengths[seqid]} bases, or has none; "
            "starts count from 0 and the end is not part of it"
        )
    strand = cells[_STRAND_COLUMN].strip() if len(cells) > _STRAND_COLUMN else "."
    if strand not in _STRANDS:
        raise InputError(f"{where}: strand “{strand}” must be +, - or .")
    return seqid, start, end, _STRANDS[strand]
