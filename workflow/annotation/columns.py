"""One block of an annotation file as columns: what is where, as numbers and Arrow strings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from workflow.annotation.lines import (
    COLUMNS,
    find_attributes,
    find_columns,
    gather,
    parse_whole_numbers,
    single_letters,
)
from workflow.errors import InputError

SEQID, SOURCE, TYPE, START, END, SCORE, STRAND, PHASE, ATTRIBUTES = range(COLUMNS)


@dataclass(frozen=True)
class Block:
    """The feature lines of a block of text.

    Attributes
    ----------
    text : (bytes,) uint8
    lines : (n,) int64
        Numbers of the lines in the file, from 1.
    borders : (n, 10) int32
        As `find_columns` gives them.
    """

    text: np.ndarray
    lines: np.ndarray
    borders: np.ndarray

    def __len__(self) -> int:
        return len(self.lines)

    def span(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Where a column's values are: starts and ends."""
        return self.borders[:, column], self.borders[:, column + 1] - 1

    def strings(self, column: int) -> pa.Array:
        """A column as Arrow strings."""
        return as_strings(self.text, *self.span(column))

    def numbers(self, column: int) -> np.ndarray:
        """A column of whole numbers, -1 where a value is not one, (n,) int64."""
        numbers: np.ndarray = parse_whole_numbers(self.text, *self.span(column))
        return numbers

    def letters(self, column: int) -> np.ndarray:
        """A column of single letters, 0 where a value is not one, (n,) uint8."""
        letters: np.ndarray = single_letters(self.text, *self.span(column))
        return letters

    def value(self, column: int, row: int) -> str:
        """One value."""
        start, end = self.borders[row, column], self.borders[row, column + 1] - 1
        return bytes(self.text[start:end]).decode("utf-8", "replace")

    def attributes(self, keys: tuple[str, ...], is_gtf: bool) -> tuple[dict[str, pa.Array], np.ndarray]:
        """Values of some keys of column 9 as Arrow strings, null where there is none.

        Returns
        -------
        values : dict
        holds_pairs : (n,) bool
            Whether column 9 holds any key with a value.
        """
        encoded = [key.encode() for key in keys]
        sizes = np.array([len(key) for key in encoded])
        padded = np.array([list(key.ljust(sizes.max())) for key in encoded], np.uint8)
        first, last, holds_pairs = find_attributes(self.text, *self.span(ATTRIBUTES), padded, sizes, is_gtf)
        return {key: as_strings(self.text, first[row], last[row]) for row, key in enumerate(keys)}, holds_pairs


def split_block(source: Path, text: bytes, line: int) -> Block:
    """Find the columns of a block of lines, the first of which is `line` of the file.

    Raises
    ------
    InputError
        A line does not have nine columns or is not UTF-8.
    """
    array = np.frombuffer(text, np.uint8)
    borders, rows, columns = find_columns(array, text.count(b"\n"))
    wrong = np.flatnonzero(columns != COLUMNS)
    if wrong.size:
        row = wrong[0]
        raise InputError(
            f"{source}, line {line + rows[row]}: {columns[row]} tab-separated columns, GFF3 and GTF have {COLUMNS}"
        )
    if not (text.isascii() or _is_utf8(text)):
        bad = next(number for number, row in enumerate(text.split(b"\n")) if not _is_utf8(row))
        raise InputError(f"{source}, line {line + bad}: not UTF-8 text; convert the file with iconv")
    return Block(array, rows.astype(np.int64) + line, borders)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def as_strings(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> pa.Array:
    """Stretches of a text as Arrow strings, null where the start is negative."""
    offsets, data = gather(text, starts, ends)
    is_null = starts < 0
    valid = pa.py_buffer(np.packbits(~is_null, bitorder="little")) if is_null.any() else None
    return pa.Array.from_buffers(pa.string(), len(starts), [valid, pa.py_buffer(offsets), pa.py_buffer(data)])


def map_distinct(strings: pa.Array, function: Callable[[str], object], kind: pa.DataType) -> pa.Array:
    """Apply a function to each distinct string; null stays null."""
    encoded = strings.dictionary_encode()
    values = [function(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(values, kind).take(encoded.indices)
