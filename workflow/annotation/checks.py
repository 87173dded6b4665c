"""Checks of the nine columns that GFF3 and GTF share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workflow.annotation.columns import ATTRIBUTES, END, PHASE, SCORE, SEQID, START, STRAND, TYPE, Block
from workflow.annotation.lines import COLUMNS, find_columns, line_blocks
from workflow.errors import InputError
from workflow.genome.files import BLOCK_BYTES
from workflow.genome.names import suggest_name

_NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
_OTHER_NAMES = re.compile(r"(?:^|;)\s*(?:chromosome|Name|Alias)=([^;]*)")
_WHOLE_SEQUENCES = ("region", "chromosome", "contig", "supercontig", "scaffold")


@dataclass(frozen=True)
class Checked:
    """The numbers of a block that keeps all rules.

    Attributes
    ----------
    start, end : (n,) int64
        As in the file: from 1, both included.
    strand, phase : (n,) uint8
        The letters.
    past_end : list of (line, seqid, end)
        Features that end past their sequence, which only a circular one allows.
    """

    start: np.ndarray
    end: np.ndarray
    strand: np.ndarray
    phase: np.ndarray
    past_end: list[tuple[int, str, int]] = field(default_factory=list)


def check_block(
    source: Path, block: Block, lengths: dict[str, int], keeps_column_nine: np.ndarray, format: str
) -> Checked:
    """Check the columns of a block.

    Raises
    ------
    InputError
        For the first line that breaks a rule.
    """
    found = Checked(block.numbers(START), block.numbers(END), block.letters(STRAND), block.letters(PHASE))
    seqids = block.strings(SEQID).dictionary_encode()
    names, codes = seqids.dictionary.to_pylist(), seqids.indices.to_numpy()
    length = np.array([lengths.get(name, -1) for name in names], np.int64)[codes] if names else np.empty(0, np.int64)
    rules = _rules(block, found, length >= 0, keeps_column_nine, format)
    faults = sorted(
        (int(np.flatnonzero(~good)[0]), order, rule) for order, (rule, good) in enumerate(rules) if not good.all()
    )
    if faults:
        row, _, rule = faults[0]
        raise InputError(f"{source}, line {block.lines[row]}: {_told(rule, source, block, row, lengths)}")
    for row in np.flatnonzero(found.end > length).tolist():
        found.past_end.append((int(block.lines[row]), names[codes[row]], int(found.end[row])))
    return found


def _rules(
    block: Block, found: Checked, known: np.ndarray, keeps_column_nine: np.ndarray, format: str
) -> Iterator[tuple[str, np.ndarray]]:
    """What is wrong where a rule is broken, and the rows that keep it."""
    start, end = found.start, found.end
    yield "sequence {seqid} is not in the FASTA; {suggestion}", known
    yield "start {start} is not a whole number", start >= 0
    yield "end {end} is not a whole number", end >= 0
    yield "start {start} is less than 1; this format counts from 1: add 1 to all starts", start != 0
    is_swapped = (start > end) & (end >= 0)
    wanted = f"{format} wants start ≤ end on either strand"
    yield f"start {{start}} is past end {{end}}; {wanted}: swap the two columns in {{swapped}} such lines", ~is_swapped
    yield "score {score} is neither a number nor '.'", _scores_are_good(block)
    yield "strand {strand} is not one of + - . ?", _is_one_of(found.strand, "+-.?")
    yield "phase {phase} is not one of 0 1 2 .", _is_one_of(found.phase, "012.")
    if format == "GTF":
        yield 'column 9 has no gene_id "value"; as every line of GTF has', keeps_column_nine
    else:
        empty = block.letters(ATTRIBUTES) == ord(".")
        yield "column 9 is not key=value as GFF3 has it", keeps_column_nine | empty


def _scores_are_good(block: Block) -> np.ndarray:
    good: np.ndarray = block.letters(SCORE) == ord(".")
    if not good.all():
        matched = pc.match_substring_regex(block.strings(SCORE), _NUMBER)
        good |= matched.to_numpy(zero_copy_only=False).astype(bool)
    return good


def _is_one_of(letters: np.ndarray, allowed: str) -> np.ndarray:
    return np.isin(letters, np.frombuffer(allowed.encode(), np.uint8))


def _told(rule: str, source: Path, block: Block, row: int, lengths: dict[str, int]) -> str:
    """A rule's message with the values of the row that breaks it."""
    columns = {"seqid": SEQID, "start": START, "end": END, "score": SCORE, "strand": STRAND, "phase": PHASE}
    values = {name: block.value(column, row) for name, column in columns.items()}
    suggestion = _suggest(block, values["seqid"], lengths) if "{suggestion}" in rule else ""
    swapped = _count_swapped(source) if "{swapped}" in rule else 0
    return rule.format(**values, suggestion=suggestion, swapped=swapped)


def _count_swapped(source: Path) -> int:
    """Lines of a whole file whose start is past their end."""
    count = 0
    for text, _ in line_blocks(source, BLOCK_BYTES):
        array = np.frombuffer(text, np.uint8)
        borders, lines, columns = find_columns(array, text.count(b"\n"))
        block = Block(array, lines, borders[columns == COLUMNS])
        start, end = block.numbers(START), block.numbers(END)
        count += int(np.count_nonzero((start > end) & (end >= 0)))
    return count


def _suggest(block: Block, seqid: str, lengths: dict[str, int]) -> str:
    """A hint for an unknown sequence: what its own row says it is called elsewhere, else a name like its own."""
    seqids, types = block.strings(SEQID), block.strings(TYPE)
    is_whole = pc.and_(pc.equal(seqids, seqid), pc.is_in(types, pa.array(_WHOLE_SEQUENCES)))
    for row in np.flatnonzero(is_whole.to_numpy(zero_copy_only=False)).tolist():
        for values in _OTHER_NAMES.findall(block.value(ATTRIBUTES, row)):
            for other in values.split(","):
                hint = suggest_name(other, lengths)
                if hint.startswith("did you mean"):
                    return hint
    return suggest_name(seqid, lengths)


def check_ends(
    source: Path, past_end: list[tuple[int, str, int]], circular: frozenset[str], lengths: dict[str, int]
) -> None:
    """Check features that end past their sequence, once it is known which sequences are circular.

    Raises
    ------
    InputError
        For the first one on a linear sequence, or past twice the length of a circular one.
    """
    for line, seqid, end in past_end:
        length = lengths[seqid]
        if seqid not in circular:
            raise InputError(
                f"{source}, line {line}: end {end} is past the end of sequence {seqid} ({length} bases); "
                "another assembly's annotation? (a circular sequence needs Is_circular=true on its region)"
            )
        if end > 2 * length:
            raise InputError(
                f"{source}, line {line}: end {end} is past twice the length of circular sequence {seqid} "
                f"({length} bases)"
            )
