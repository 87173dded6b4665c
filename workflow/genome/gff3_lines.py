"""The data lines of a GFF3 file and their line numbers, by array operations on blocks of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from workflow.errors import InputError
from workflow.genome.files import read_blocks

_TABS = 8
_TAB, _NEWLINE, _RETURN, _HASH = (ord(letter) for letter in "\t\n\r#")


def data_lines(source: Path, block_bytes: int) -> Iterator[tuple[bytes, np.ndarray]]:
    """Stream the lines of a GFF3 file that hold features.

    Comments, directives and blank lines are left out; reading stops at `##FASTA` or at a line that starts
    with `>`. Line ends become `\\n`.

    Yields
    ------
    text : bytes
        Complete lines of nine columns, each ended by `\\n`.
    lines : (n,) int64
        Their numbers in the file, from 1.

    Raises
    ------
    InputError
        A line does not have nine columns.
    """
    line = 1
    for text in _complete_lines(source, block_bytes):
        text, is_last = _before_fasta(text)
        block = np.frombuffer(text, np.uint8)
        starts = np.append(0, np.flatnonzero(block == _NEWLINE) + 1)
        starts, ends = starts[:-1], starts[1:]
        is_data = ~np.isin(block[starts], (_HASH, _NEWLINE, _RETURN))
        if is_data.any():
            lines = line + np.flatnonzero(is_data)
            _check_columns(source, block, starts[is_data], ends[is_data], lines)
            kept = np.repeat(is_data, ends - starts) & (block != _RETURN)
            yield block[kept].tobytes(), lines
        line += len(starts)
        if is_last:
            return


def _complete_lines(source: Path, block_bytes: int) -> Iterator[bytes]:
    """Blocks that begin and end at line borders."""
    rest = b""
    for block in read_blocks(source, block_bytes):
        head, newline, tail = block.rpartition(b"\n")
        if newline:
            yield rest + head + newline
            rest = tail
        else:
            rest += block
    if rest:
        yield rest + b"\n"


def _before_fasta(text: bytes) -> tuple[bytes, bool]:
    """The part of a block before a FASTA section, and whether there is one."""
    padded = b"\n" + text
    marks = [mark for mark in (padded.find(b"\n##FASTA"), padded.find(b"\n>")) if mark >= 0]
    return (text[: min(marks)], True) if marks else (text, False)


def _check_columns(source: Path, block: np.ndarray, starts: np.ndarray, ends: np.ndarray, lines: np.ndarray) -> None:
    tabs = np.flatnonzero(block == _TAB)
    count = np.searchsorted(tabs, ends) - np.searchsorted(tabs, starts)
    wrong = np.flatnonzero(count != _TABS)
    if wrong.size:
        row = wrong[0]
        raise InputError(f"{source}, line {lines[row]}: {count[row] + 1} tab-separated columns, GFF3 has {_TABS + 1}")
