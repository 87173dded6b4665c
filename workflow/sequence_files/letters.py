"""What a sequence may hold: A, C, G, T, N, and the other ambiguity letters, which become N."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow.console import say
from workflow.errors import InputError
from workflow.genome.alphabet import IUPAC

_READ_AS = bytearray(range(256))
for _letter in IUPAC:
    _upper = _letter & ~0x20
    _READ_AS[_letter] = _upper if _upper in b"ACGTN" else ord("N")
_MENDS = {
    "-": "remove alignment gaps",
    ".": "remove alignment gaps",
    "*": "this looks like protein",
    "U": "this looks like RNA; write T for U",
    "u": "this looks like RNA; write t for u",
}
#: Characters of an id in a message.
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class SequenceRecord:
    """One sequence of a file.

    Attributes
    ----------
    id : str
        First word of the header, or the cell of the id column; several records may have the same.
    bases : ndarray, (length,) uint8
        ASCII, upper case, A, C, G, T, N only; at least one of A, C, G, T.
    place : str
        Where it stands, for messages: `reads.fq.gz, line 12`.
    """

    id: str
    bases: np.ndarray
    place: str


def readable(bases: np.ndarray) -> np.ndarray:
    """ASCII IUPAC letters, (length,) uint8, as a model reads them: upper case, ambiguity letters as N."""
    return np.frombuffer(bases.tobytes().translate(bytes(_READ_AS)), np.uint8)


def shown(name: str) -> str:
    """An id for a message, cut where it is very long."""
    return name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"


class Letters:
    """Checks the letters of the records of one file, and counts those that become N.

    Parameters
    ----------
    source : Path
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self._ambiguous = 0

    def record(self, name: str, lines: Iterable[tuple[int, bytes]], where: tuple[str, int]) -> SequenceRecord:
        """A record of the lines of its sequence.

        Parameters
        ----------
        name : str
            Its id.
        lines : iterable of (int, bytes)
            Number and letters of each line.
        where : (str, int)
            Unit and number of its first line, such as `("line", 12)` or `("row", 3)`.

        Raises
        ------
        InputError
            It is empty, holds a letter that is not IUPAC DNA, or none of A, C, G, T.
        """
        unit, first = where
        called = shown(name)
        letters = bytearray()
        for number, text in lines:
            if foreign := text.translate(None, IUPAC):
                raise self._foreign(called, foreign[0], (unit, number))
            letters += text
        if not letters:
            raise InputError(f"{self.source}, {unit} {first}: sequence {called} is empty; remove it")
        bases = letters.translate(bytes(_READ_AS))
        plain = len(bases) - bases.count(b"N")
        if plain == 0:
            raise InputError(f"{self.source}, {unit} {first}: sequence {called} holds no A, C, G or T; remove it")
        self._ambiguous += len(bases) - plain - letters.count(b"N") - letters.count(b"n")
        return SequenceRecord(name, np.frombuffer(bases, np.uint8), f"{self.source.name}, {unit} {first}")

    def tell(self) -> None:
        """Tell, once the file was read, how many ambiguity letters became N."""
        if self._ambiguous:
            say(f"  note: {self._ambiguous:,} ambiguity letters (R, Y, …) of {self.source.name} are read as N")

    def _foreign(self, name: str, letter: int, where: tuple[str, int]) -> InputError:
        unit, number = where
        what = f"letter '{chr(letter)}'" if 32 <= letter < 127 else f"byte 0x{letter:02x}"
        mend = _MENDS.get(chr(letter), "allowed are ACGTN and RYSWKMBDHV in either case")
        return InputError(f"{self.source}, {unit} {number}: {what} in sequence {name} is not IUPAC DNA; {mend}")
