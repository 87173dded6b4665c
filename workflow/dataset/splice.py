"""Writing a file as stretches of another one with short texts between them, in flat memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from workflow.errors import InputError
from workflow.genome.parallel import in_order

#: Bytes that a thread holds of the file that is written, about, and the most of the one that is read.
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class Texts:
    """Short texts by number.

    Attributes
    ----------
    letters : (bytes,) uint8
        All texts, one after another.
    borders : (n + 1,) int64
        Text k is `letters[borders[k]:borders[k + 1]]`.
    """

    letters: np.ndarray
    borders: np.ndarray

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> Texts:
        """Texts by their place in a sequence."""
        texts = list(texts)
        borders = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(texts), np.uint8), borders)

    @property
    def lengths(self) -> np.ndarray:
        """Bytes of each text, (n,) int64."""
        lengths: np.ndarray = np.diff(self.borders)
        return lengths


@dataclass(frozen=True)
class Pieces:
    """What a file is made of: piece k is text `text[k]`, then `length[k]` bytes of the source from `start[k]`.

    Attributes
    ----------
    text, start, length : (n,) int64
    """

    text: np.ndarray
    start: np.ndarray
    length: np.ndarray


def splice(
    source: Path,
    target: Path,
    pieces: Pieces,
    texts: Texts,
    *,
    at: int,
    closing: bytes,
    advance: Callable[[int], None],
) -> int:
    """Write the pieces one after another, then `closing`. Several threads write blocks at their places.

    Parameters
    ----------
    source, target : Path
    pieces : Pieces
    texts : Texts
        What `pieces.text` counts.
    at : int
        Bytes of the target that stay; it is written from there.
    closing : bytes
        The last bytes of the file.
    advance : callable
        Told of the bytes that are taken from the source, block by block.

    Returns
    -------
    int
        Bytes of the target.

    Raises
    ------
    InputError
        The source ends before a piece does.
    """
    pieces, place = _cut(pieces, texts, at)
    ends = place[1:-1] // _BLOCK_BYTES != place[:-2] // _BLOCK_BYTES
    ends |= pieces.start[1:] // _BLOCK_BYTES != pieces.start[:-1] // _BLOCK_BYTES
    borders = np.concatenate([[0], np.flatnonzero(ends) + 1, [len(pieces.start)]])
    reading = os.open(source, os.O_RDONLY)
    writing = os.open(target, os.O_RDWR | os.O_CREAT, 0o666)

    def write_block(block: int) -> int:
        first, last = borders[block], borders[block + 1]
        start, length = pieces.start[first:last], pieces.length[first:last]
        lowest = start.min()
        bytes_read = _read(reading, source, int(lowest), int((start + length).max()))
        filled = np.empty(place[last] - place[first], np.uint8)
        _fill(filled, bytes_read, texts.letters, texts.borders, pieces.text[first:last], start - lowest, length)
        _write(writing, filled, int(place[first]))
        return int(length.sum())

    try:
        os.ftruncate(writing, at)
        # A full disk is an error here, not halfway.
        os.posix_fallocate(writing, at, int(place[-1]) + len(closing) - at)
        for done in in_order(write_block, range(len(borders) - 1)):
            advance(done)
        return int(place[-1]) + os.pwrite(writing, closing, int(place[-1]))
    finally:
        os.close(reading)
        os.close(writing)


def _cut(pieces: Pieces, texts: Texts, at: int) -> tuple[Pieces, np.ndarray]:
    """Cut pieces that are longer than a block. Also where each begins in the target, (n + 1,) int64.

    The text of what follows in a cut piece is number 0, which is empty.
    """
    parts = np.maximum(1, -(-pieces.length // _BLOCK_BYTES))
    if parts.max() > 1:
        piece = np.repeat(np.arange(len(parts)), parts)
        skipped = (np.arange(len(piece)) - np.repeat(np.cumsum(parts) - parts, parts)) * _BLOCK_BYTES
        pieces = Pieces(
            text=np.where(skipped == 0, pieces.text[piece], 0),
            start=pieces.start[piece] + skipped,
            length=np.minimum(pieces.length[piece] - skipped, _BLOCK_BYTES),
        )
    place = np.full(len(pieces.start) + 1, at, np.int64)
    place[1:] += np.cumsum(texts.lengths[pieces.text] + pieces.length)
    return pieces, place


def _read(file: int, path: Path, start: int, end: int) -> np.ndarray:
    """Bytes [start, end) of an open file, (end - start,) uint8."""
    buffer = np.empty(end - start, np.uint8)
    done = 0
    while done < len(buffer):
        count = os.preadv(file, [buffer.data[done:]], start + done)
        if count == 0:
            raise InputError(f"{path} ends at byte {start + done}, its index says otherwise: run stage=prepare again")
        done += count
    return buffer


def _write(file: int, data: np.ndarray, place: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(file, data.data[done:], place + done)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _fill(
    target: np.ndarray,
    source: np.ndarray,
    letters: np.ndarray,
    borders: np.ndarray,
    text: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
) -> None:
    """Lay the texts and stretches of some pieces one after another into `target`."""
    at = 0
    for piece in range(len(start)):
        for letter in range(borders[text[piece]], borders[text[piece] + 1]):
            target[at] = letters[letter]
            at += 1
        target[at : at + length[piece]] = source[start[piece] : start[piece] + length[piece]]
        at += length[piece]
