"""Blocks of whole lines of an annotation file, and the compiled scans that find columns and attributes in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np

from workflow.genome.files import read_blocks

COLUMNS = 9
_TAB, _NEWLINE, _RETURN, _HASH, _SPACE, _QUOTE, _SEMICOLON, _EQUALS = (ord(letter) for letter in '\t\n\r# ";=')


def line_blocks(source: Path, block_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Stream a file as blocks of whole lines up to `##FASTA` or a line that starts with `>`.

    Yields
    ------
    text : bytes
        Complete lines, each ended by `\\n`.
    line : int
        Number of the first one in the file, from 1.
    """
    line = 1
    for whole in _complete_lines(source, block_bytes):
        text, is_last = _before_fasta(whole)
        if text:
            yield text, line
        if is_last:
            return
        line += text.count(b"\n")


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
    if text.startswith((b"##FASTA", b">")):
        return b"", True
    marks = [mark + 1 for mark in (text.find(b"\n##FASTA"), text.find(b"\n>")) if mark >= 0]
    return (text[: min(marks)], True) if marks else (text, False)


@numba.njit(nogil=True, cache=True)
def find_columns(text: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the columns of the lines that hold features; comments, directives and blank lines hold none.

    Parameters
    ----------
    text : (bytes,) uint8
        Lines, each ended by `\\n`.
    rows : int
        Number of lines.

    Returns
    -------
    borders : (features, 10) int32
        Start of each column; the last is one past the line's end, so that column c is
        [borders[c], borders[c + 1] - 1).
    lines : (features,) int32
        Lines they are in, from 0.
    columns : (features,) int32
        Number of columns. Borders are complete where it is 9.
    """
    borders = np.empty((rows, COLUMNS + 1), np.int32)
    lines = np.empty(rows, np.int32)
    columns = np.empty(rows, np.int32)
    kept, line, at, size = 0, 0, 0, len(text)
    while at < size:
        first = text[at]
        if first in (_HASH, _NEWLINE, _RETURN):
            while text[at] != _NEWLINE:
                at += 1
        else:
            borders[kept, 0] = at
            column = 1
            while text[at] != _NEWLINE:
                if text[at] == _TAB:
                    if column < COLUMNS:
                        borders[kept, column] = at + 1
                    column += 1
                at += 1
            borders[kept, COLUMNS] = at if text[at - 1] == _RETURN else at + 1
            lines[kept] = line
            columns[kept] = column
            kept += 1
        at += 1
        line += 1
    return borders[:kept], lines[:kept], columns[:kept]


@numba.njit(nogil=True, cache=True)
def parse_whole_numbers(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Numbers of one to eighteen digits, -1 where there is anything else, (n,) int64."""
    numbers = np.empty(len(starts), np.int64)
    for row in range(len(starts)):
        number = np.int64(0)
        if not 1 <= ends[row] - starts[row] <= 18:
            number = np.int64(-1)
        else:
            for at in range(starts[row], ends[row]):
                digit = np.int64(text[at]) - 48
                if digit < 0 or digit > 9:
                    number = np.int64(-1)
                    break
                number = number * 10 + digit
        numbers[row] = number
    return numbers


@numba.njit(nogil=True, cache=True)
def single_letters(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The letter of each one-letter value, 0 where the value is shorter or longer, (n,) uint8."""
    letters = np.zeros(len(starts), np.uint8)
    for row in range(len(starts)):
        if ends[row] - starts[row] == 1:
            letters[row] = text[starts[row]]
    return letters


@numba.njit(nogil=True, cache=True)
def gather(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values one after another: offsets (n + 1,) int32 and their bytes, as Arrow keeps strings."""
    offsets = np.zeros(len(starts) + 1, np.int32)
    for row in range(len(starts)):
        offsets[row + 1] = offsets[row] + ends[row] - starts[row]
    data = np.empty(offsets[-1], np.uint8)
    for row in range(len(starts)):
        to, origin = offsets[row], starts[row]
        for step in range(ends[row] - origin):
            data[to + step] = text[origin + step]
    return offsets, data


@numba.njit(nogil=True, cache=True)
def find_attributes(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray, keys: np.ndarray, sizes: np.ndarray, is_gtf: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the values of some keys in column 9: `key=value;` in GFF3, `key "value";` in GTF.

    Parameters
    ----------
    text : (bytes,) uint8
    starts, ends : (n,) int32
        Where column 9 of each row is.
    keys : (k, longest) uint8
        The keys, padded.
    sizes : (k,) int64
        Their lengths.
    is_gtf : bool

    Returns
    -------
    first, last : (k, n) int32
        Where the first value of each key is, half-open; first is -1 where there is none.
    holds_pairs : (n,) bool
        Whether the column holds any key with a value.
    """
    first = np.full((len(keys), len(starts)), -1, np.int32)
    last = np.full((len(keys), len(starts)), -1, np.int32)
    holds_pairs = np.zeros(len(starts), np.bool_)
    separator = _SPACE if is_gtf else _EQUALS
    for row in range(len(starts)):
        at, end = starts[row], ends[row]
        while at < end:
            while at < end and (text[at] == _SPACE or text[at] == _SEMICOLON):
                at += 1
            key_start = at
            while at < end and text[at] != separator and text[at] != _SEMICOLON:
                at += 1
            if at >= end or text[at] == _SEMICOLON:
                continue
            key_size = at - key_start
            at += 1
            if is_gtf:
                while at < end and text[at] == _SPACE:
                    at += 1
            is_quoted = is_gtf and at < end and text[at] == _QUOTE
            closing = _QUOTE if is_quoted else _SEMICOLON
            at += is_quoted
            value_start = at
            while at < end and text[at] != closing:
                at += 1
            holds_pairs[row] |= at > value_start or is_quoted or not is_gtf
            for key in range(len(keys)):
                if sizes[key] == key_size and first[key, row] < 0:
                    same = True
                    for step in range(key_size):
                        if text[key_start + step] != keys[key, step]:
                            same = False
                            break
                    if same:
                        first[key, row] = value_start
                        last[key, row] = at
            at += is_quoted
    return first, last, holds_pairs
