"""FASTA, one record at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workflow.sequence_files.letters import Letters, SequenceRecord
from workflow.sequence_files.lines import first_word, numbered_lines


def fasta_records(path: Path, letters: Letters) -> Iterator[SequenceRecord]:
    """Records of a FASTA file whose first line that is not blank is a header.

    Raises
    ------
    InputError
        A header without id, or a sequence that cannot be used; the message names the line.
    """
    lines = ((number, text) for number, line in numbered_lines(path) if (text := line.strip()))
    header = next(lines, None)

    def sequence() -> Iterator[tuple[int, bytes]]:
        """Lines up to the next header, which is kept: a chromosome is never held as millions of them."""
        nonlocal header
        header = None
        for number, text in lines:
            if text.startswith(b">"):
                header = number, text
                return
            yield number, text

    while header is not None:
        first, line = header
        yield letters.record(first_word(line, path, first), sequence(), ("line", first))
