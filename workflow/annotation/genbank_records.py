"""The records of a GenBank flat file, one at a time."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from Bio import BiopythonParserWarning, SeqIO
from Bio.Seq import UndefinedSequenceError
from Bio.SeqRecord import SeqRecord

from workflow.annotation.lines import line_blocks
from workflow.errors import InputError
from workflow.genome.alphabet import IUPAC
from workflow.genome.files import BLOCK_BYTES


def genbank_records(source: Path) -> Iterator[tuple[int, SeqRecord, list[int]]]:
    """Records with the number of their first line and of the line of each feature.

    Parameters
    ----------
    source : Path
        GenBank flat file, plain or gzip. Memory holds one record.

    Raises
    ------
    InputError
        The file or a record cannot be read, or has no end; the message names file and line.
    """
    lines: list[str] = []
    number = start = 0
    for block, first in line_blocks(source, BLOCK_BYTES):
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError as error:
            bad = first + block[: error.start].count(b"\n")
            raise InputError(f"{source}, line {bad}: not UTF-8 text; convert the file with iconv") from None
        for number, line in enumerate(text.split("\n")[:-1], start=first):
            if not lines and not line.strip():
                continue
            if not lines:
                start = number
            lines.append(line.rstrip("\r"))
            if lines[-1] == "//":
                yield start, _record(source, start, lines), _feature_lines(lines, start)
                lines = []
    if lines:
        raise InputError(
            f"{source}, line {number}: the record that begins in line {start} has no end ('//'); cut short?"
        )


def seqid_of(record: SeqRecord) -> str:
    """Accession with version, or the name in LOCUS where there is none."""
    seqid = record.id or "<unknown id>"
    return str(record.name) if seqid.startswith("<") else seqid


def bases_of(source: Path, number: int, record: SeqRecord) -> str:
    """The sequence of a record that begins in line `number`, case kept.

    Raises
    ------
    InputError
        It has none, or holds a letter that is not IUPAC DNA.
    """
    try:
        bases = str(record.seq)
    except UndefinedSequenceError:
        bases = ""
    if not bases:
        raise InputError(
            f"{source}, line {number}: record {seqid_of(record)} has no sequence; download it as 'GenBank (full)'"
        )
    foreign = bases.encode("utf-8").translate(None, IUPAC)
    if foreign:
        raise InputError(
            f"{source}, line {number}: letter '{chr(foreign[0])}' in record {seqid_of(record)} is not IUPAC DNA; "
            "allowed are ACGTN and RYSWKMBDHV in either case"
        )
    return bases


def _record(source: Path, start: int, lines: list[str]) -> SeqRecord:
    header = lines[0]
    if not header.startswith("LOCUS"):
        raise InputError(f"{source}, line {start}: a GenBank record begins with LOCUS, not with {header[:20]!r}")
    if re.search(r"\s[0-9]+ aa\s", header):
        raise InputError(f"{source}, line {start}: a protein record; give the nucleotide record")
    try:
        with warnings.catch_warnings():
            # What they tell is checked here: the length of the sequence and every location.
            warnings.simplefilter("ignore", BiopythonParserWarning)
            record: SeqRecord = SeqIO.read(io.StringIO("\n".join([*lines, ""])), "genbank")  # type: ignore[no-untyped-call]
    except (ValueError, AssertionError) as error:
        told = " ".join(str(error).split()) or "not a GenBank record"
        raise InputError(f"{source}, line {start}: the record cannot be read: {told}") from None
    declared = re.search(r"\s([0-9]+) bp", header)
    if declared and int(declared[1]) != len(record):
        raise InputError(
            f"{source}, line {start}: LOCUS says {declared[1]} bp, the record holds {len(record)}; cut short?"
        )
    return record


def _feature_lines(lines: list[str], start: int) -> list[int]:
    """Numbers of the lines that begin a feature."""
    first = next((row for row, line in enumerate(lines) if line.startswith("FEATURES")), len(lines))
    last = next((row for row, line in enumerate(lines) if line.startswith(("ORIGIN", "CONTIG"))), len(lines))
    return [start + row for row in range(first + 1, last) if re.match(r" {5}\S", lines[row])]
