"""The lines of a text file, numbered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workflow.errors import InputError
from workflow.genome.files import read_blocks


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Stream the lines of a file, plain or gzip, without their ends, numbered from 1."""
    number, begun = 1, list[bytes]()
    for block in read_blocks(path):
        *whole, rest = block.split(b"\n")
        for line in whole:
            yield number, b"".join([*begun, line]).rstrip(b"\r")
            number, begun = number + 1, []
        begun.append(rest)
    if line := b"".join(begun):
        yield number, line.rstrip(b"\r")


def first_word(header: bytes, path: Path, number: int) -> str:
    """The id in a header line, which is given with its mark.

    Raises
    ------
    InputError
        There is none right after the mark, or it is not printable ASCII.
    """
    words = header[1:].split(maxsplit=1)
    if not words or header[1:2].isspace():
        raise InputError(f"{path}, line {number}: the header has no id right after '{chr(header[0])}'")
    if not (words[0].isascii() and words[0].decode("ascii").isprintable()):
        raise InputError(f"{path}, line {number}: the sequence id holds bytes that are not printable ASCII")
    return words[0].decode("ascii")
