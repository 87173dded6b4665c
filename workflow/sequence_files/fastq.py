"""FASTQ with four lines a record, as sequencers write it (Cock et al. 2010, Nucleic Acids Res. 38:1767)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from workflow.errors import InputError
from workflow.sequence_files.letters import Letters, SequenceRecord
from workflow.sequence_files.lines import first_word, numbered_lines

_LINES = 4


def fastq_records(path: Path, letters: Letters) -> Iterator[SequenceRecord]:
    """Records of a FASTQ file; qualities are checked for their length and left out.

    Raises
    ------
    InputError
        A record is cut off, its qualities are not as many as its bases, its lines are wrapped, or its sequence
        cannot be used; the message names the line.
    """
    lines = ((number, line.strip()) for number, line in numbered_lines(path))
    while record := list(islice(lines, _LINES)):
        if not any(line for _, line in record):
            continue  # blank lines at the end
        yield _record(record, path, letters)


def _record(record: list[tuple[int, bytes]], path: Path, letters: Letters) -> SequenceRecord:
    (first, header), *others = record
    if not header.startswith(b"@"):
        raise InputError(
            f"{path}, line {first}: a FASTQ record begins with '@', not with {header[:10].decode('latin-1')!r}; "
            "records have four lines, and a lost or blank one moves all that follow"
        )
    name = first_word(header, path, first)
    if len(others) < _LINES - 1:
        raise InputError(f"{path}, line {record[-1][0]}: record {name} ends after {len(record)} of 4 lines; cut short?")
    (_, bases), (number, plus), (last, quality) = others
    if not plus.startswith(b"+"):
        raise InputError(
            f"{path}, line {number}: the third line of record {name} does not begin with '+'; "
            "FASTQ whose sequences are wrapped is not read: write each in one line"
        )
    if len(quality) != len(bases):
        raise InputError(
            f"{path}, line {last}: record {name} has {len(quality)} qualities for {len(bases)} bases; "
            "cut short, or damaged: copy the file again"
        )
    return letters.record(name, [(first + 1, bases)], ("line", first))
