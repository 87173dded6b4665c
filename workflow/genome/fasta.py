"""Importing a FASTA file: every record checked and rewritten with one line a sequence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from numba import njit

from workflow.console import Progress
from workflow.errors import InputError
from workflow.genome.alphabet import IUPAC
from workflow.genome.files import BLOCK_BYTES, read_blocks
from workflow.genome.parallel import ahead

_BASE, _LINE_END, _FOREIGN = 0, 1, 2
_NEWLINE, _HEADER = ord("\n"), ord(">")
_KIND = np.full(256, _FOREIGN, np.uint8)
_KIND[np.frombuffer(IUPAC, np.uint8)] = _BASE
_KIND[np.frombuffer(b"\r\n", np.uint8)] = _LINE_END
_LONGEST_HEADER = 1 << 16
_LOOKS_LIKE = {
    b"\xef\xbb\xbf": "a byte order mark precedes it; save the file without",
    b"@": "this looks like FASTQ; reads must be assembled first",
    b"\x1f\x8b": "it is packed twice; unpack it once",
    b"PK\x03\x04": "this is a zip archive; unpack it",
    b"\xff\xfe": "this is UTF-16 text; save it as plain ASCII",
    b"<": "this is a web page; download the file again",
}
_MENDS = {
    ord("-"): "remove alignment gaps",
    ord("*"): "this looks like protein",
    ord("U"): "this looks like RNA; write T for U",
    ord("u"): "this looks like RNA; write t for u",
}


def import_fasta(source: Path, target: Path, block_bytes: int = BLOCK_BYTES) -> pd.DataFrame:
    """Check a FASTA file and write it with one line a sequence, beside its index `<target>.fai`.

    The id is the first word of the header line; case is kept; line ends become `\\n`. The file is streamed:
    memory is a few blocks, whatever the genome's size.

    Parameters
    ----------
    source : Path
        FASTA, plain or gzip.
    target : Path
        File to write.
    block_bytes : int
        Bytes read at a time.

    Returns
    -------
    DataFrame
        One row a sequence in the order of the file: seqid, length (bases).

    Raises
    ------
    InputError
        The file is empty, does not start with a header, or holds an empty or duplicate id, an empty record
        or a letter that is not IUPAC DNA. The message names file and line.
    """
    records = _read(source, target, block_bytes)
    with target.with_name(target.name + ".fai").open("w", encoding="ascii") as index:
        for seqid, length, offset in records:
            index.write(f"{seqid}\t{length}\t{offset}\t{length}\t{length + 1}\n")
    return pd.DataFrame(records, columns=["seqid", "length", "offset"])[["seqid", "length"]]


def sequence_lengths(source: Path) -> dict[str, int]:
    """Bases of each sequence of a FASTA file, plain or gzip, by seqid; the file is checked as `import_fasta` does."""
    return {seqid: length for seqid, length, _ in _read(source, Path(os.devnull), BLOCK_BYTES)}


def _read(source: Path, target: Path, block_bytes: int) -> list[tuple[str, int, int]]:
    """Check a FASTA file and write it anew; id, bases and offset of the first base of each record."""
    with target.open("wb") as fasta, Progress(f"reading {source.name}", unit="bytes") as progress:
        importer = _Importer(source, fasta)
        for block in ahead(read_blocks(source, block_bytes)):
            importer.feed(block)
            progress.advance(len(block))
        importer.finish()
    return importer.records


@njit(nogil=True, cache=True)
def _sort_out(letters, kind, bases):  # type: ignore[no-untyped-def]
    """Copy the bases before the first '>' to `bases`; how far it came, numbers of bases, lines and foreign letters."""
    found, lines, foreign = 0, 0, 0
    for index in range(letters.shape[0]):
        letter = letters[index]
        if letter == _HEADER:
            return index, found, lines, foreign
        bases[found] = letter
        found += kind[letter] == _BASE
        lines += letter == _NEWLINE
        foreign += kind[letter] == _FOREIGN
    return letters.shape[0], found, lines, foreign


class _Importer:
    """Takes blocks of a FASTA file, writes the clean one. A header line is handled once it is complete."""

    def __init__(self, source: Path, fasta: BinaryIO) -> None:
        self.source, self.fasta = source, fasta
        self.records: list[tuple[str, int, int]] = []  # id, bases, offset of the first base in the new file
        self._first_line: dict[str, int] = {}
        self._line = 1
        self._written = 0
        self._pending = b""
        self._at_line_start = True
        self._bases = np.empty(0, np.uint8)

    def feed(self, block: bytes) -> None:
        data, self._pending = self._pending + block, b""
        if not self.records and not data.startswith(b">"):
            if not data.strip():
                self._pending = data
                return
            looks = next((what for start, what in _LOOKS_LIKE.items() if data.startswith(start)), "not a FASTA file")
            raise self._fault(f"does not start with a '>' header: {looks}")
        position = 0
        while position < len(data):
            if self._at_line_start and data[position] == _HEADER:
                end = data.find(b"\n", position)
                if end < 0 and len(data) - position > _LONGEST_HEADER:
                    raise self._fault("a header line without end; convert the line ends to \\n")
                if end < 0:
                    self._pending = data[position:]
                    return
                self._start_record(data[position + 1 : end])
                position = end + 1
            else:
                position += self._add_bases(np.frombuffer(data, np.uint8, offset=position))
                self._at_line_start = data[position - 1] == _NEWLINE

    def finish(self) -> None:
        if self._pending.strip():
            self._start_record(self._pending[1:].rstrip(b"\r"))
        if not self.records:
            raise InputError(f"{self.source}, line 1: the file is empty")
        self._end_record()

    def _start_record(self, header: bytes) -> None:
        if self.records:
            self._end_record()
        seqid = self._read_id(header)
        self._first_line[seqid] = self._line
        self._written += self.fasta.write(f">{seqid}\n".encode("ascii"))
        self.records.append((seqid, 0, self._written))
        self._line += 1

    def _read_id(self, header: bytes) -> str:
        if b"\r" in header.rstrip(b"\r"):
            raise self._fault("a lone carriage return ends this line; convert the line ends to \\n")
        words = header.split(maxsplit=1)
        if not words or header[:1].isspace():
            raise self._fault("the header has no id right after '>'")
        if not (words[0].isascii() and words[0].decode("ascii").isprintable()):
            raise self._fault("the sequence id holds bytes that are not printable ASCII")
        seqid = words[0].decode("ascii")
        if seqid in self._first_line:
            raise self._fault(f"id {seqid} was already used in line {self._first_line[seqid]}; ids must be unique")
        return seqid

    def _end_record(self) -> None:
        seqid, length, _ = self.records[-1]
        if length == 0:
            raise InputError(f"{self.source}, line {self._first_line[seqid]}: sequence {seqid} is empty")
        self._written += self.fasta.write(b"\n")

    def _add_bases(self, letters: np.ndarray) -> int:
        """Write the bases before the next header line; how many letters these and the line ends are."""
        if len(self._bases) < len(letters):
            self._bases = np.empty(len(letters), np.uint8)
        taken, found, lines, foreign = _sort_out(letters, _KIND, self._bases)
        is_in_line = taken < len(letters) and letters[taken - 1] != _NEWLINE
        if foreign or is_in_line or taken == 0:
            raise self._foreign_letter(letters[: taken + 1].tobytes())
        self._written += self.fasta.write(self._bases[:found].data)
        seqid, length, offset = self.records[-1]
        self.records[-1] = (seqid, length + found, offset)
        self._line += lines
        return int(taken)

    def _foreign_letter(self, text: bytes) -> InputError:
        letter = text.translate(None, IUPAC + b"\r\n")[0]
        self._line += text[: text.index(letter)].count(b"\n")
        shown = f"letter '{chr(letter)}'" if 32 <= letter < 127 else f"byte 0x{letter:02x}"
        mend = _MENDS.get(letter, "allowed are ACGTN and RYSWKMBDHV in either case")
        return self._fault(f"{shown} in sequence {self.records[-1][0]} is not IUPAC DNA; {mend}")

    def _fault(self, what: str) -> InputError:
        return InputError(f"{self.source}, line {self._line}: {what}")
