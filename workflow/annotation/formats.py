"""Which format an annotation file has, by what is in it."""

from __future__ import annotations

import re
from pathlib import Path

from workflow.errors import InputError
from workflow.genome.files import read_blocks

_FIRST_BYTES = 1 << 16
_PAIRS = {"GTF": re.compile(r"(.*;)?\s*gene_id\s"), "GFF3": re.compile(r"\s*[^=\s;]+=")}
_OTHERS = (
    (r">", "a FASTA file"),
    (r"<", "a web page: download the file again"),
    (r"[\[{]", "JSON"),
    (r"(track|browser) ", "a track for a genome browser"),
    (r"\S+\t[0-9]+\t[0-9]+(\t|$)", "BED"),
    (r"##fileformat=VCF", "VCF"),
    (r"ID   ", "EMBL: convert it to GenBank"),
)


def is_genbank(source: Path) -> bool:
    """Whether a file of sequences is GenBank, by its first line."""
    return next(read_blocks(source, _FIRST_BYTES), b"").lstrip().startswith(b"LOCUS  ")


def recognise_format(source: Path) -> str:
    """Format of a file of features or sequences: GFF3, GTF, GenBank or FASTA.

    The first line with nine columns and attributes decides; where there is none, the directive
    `##gff-version 3`.

    Raises
    ------
    InputError
        The file is none of these, or says that it is one and looks like another.
    """
    text = next(read_blocks(source, _FIRST_BYTES), b"").decode("utf-8", "replace")
    lines = text.splitlines()
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        raise InputError(f"{source}, line 1: the file is empty")
    if filled[0][1].startswith("LOCUS  "):
        return "GenBank"
    if filled[0][1].startswith(">"):
        return "FASTA"
    declared = re.match(r"##gff-version\s+([0-9])", filled[0][1])
    for number, line in filled:
        columns = line.split("\t")
        if line.startswith((">", "##FASTA")):
            break
        if line.startswith("#") or (len(columns) == 9 and columns[8] in ("", ".")):
            continue
        return _by_attributes(source, number, line, filled[0][1], declared[1] if declared else None)
    if declared or any(not line.startswith("#") for _, line in filled):
        return "GFF3"
    raise _unknown(source, *filled[0], filled[0][1])


def _by_attributes(source: Path, number: int, line: str, first: str, declared: str | None) -> str:
    columns = line.split("\t")
    if len(columns) != 9:
        if declared == "3" and "\t" in line:
            return "GFF3"
        raise _unknown(source, number, line, first)
    found = next((name for name, pair in _PAIRS.items() if pair.match(columns[8])), None)
    if found == "GTF" and declared == "3":
        raise InputError(
            f"{source}, line {number}: column 9 is GTF's, but the first line says ##gff-version 3; remove that line"
        )
    if found is None and declared != "3":
        raise InputError(
            f'{source}, line {number}: column 9 has neither key=value (GFF3) nor gene_id "value"; (GTF); '
            "its format is not clear"
        )
    return found or "GFF3"


def _unknown(source: Path, number: int, line: str, first: str) -> InputError:
    matches = (name for pattern, name in _OTHERS if re.match(pattern, first) or re.match(pattern, line))
    looks = "".join(f"; it looks like {name}" for name in list(matches)[:1])
    count = len(line.split("\t"))
    return InputError(
        f"{source}, line {number}: not GFF3, GTF or GenBank ({count} tab-separated columns, GFF3 and GTF have 9){looks}"
    )
