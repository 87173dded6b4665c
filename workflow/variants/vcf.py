"""Reading a VCF as text, one row an alternative allele (VCF 4.3, https://samtools.github.io/hts-specs)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

from workflow.errors import InputError
from workflow.genome.files import read_blocks

#: The columns that `read_vcf` always gives, as it names them.
CHROMOSOME, POSITION, REF, ALT = "CHROM", "POS", "REF", "ALT"
_FIXED = (CHROMOSOME, POSITION, "ID", REF, ALT, "QUAL", "FILTER", "INFO")
_OF_ALLELES = re.compile(r"##INFO=<ID=([^,>]+),Number=A\b")
_MISSING = "."


def is_vcf(path: Path) -> bool:
    """Whether a file's name is that of a VCF, plain or compressed."""
    return re.search(r"\.vcf(\.b?gz)?$", path.name.lower()) is not None


def read_vcf(path: Path, keys: Sequence[str]) -> pd.DataFrame:
    """Read a VCF, plain or compressed by gzip or bgzip.

    Parameters
    ----------
    keys : sequence of str
        INFO keys to read. A key with one value for each allele (`Number=A` in the header) is divided among them;
        a flag reads `true`.

    Returns
    -------
    DataFrame
        CHROM, POS, REF, ALT and the keys, all text, NA where missing. Its index is the line in the file; the alleles
        of a record share it.

    Raises
    ------
    InputError
        The file is no VCF, holds no record or no record with one of the keys; the message names the line.
    """
    of_alleles: set[str] = set()
    rows: list[list[str | None]] = []
    lines: list[int] = []
    seen: dict[str, None] = {}
    has_header = False
    for number, line in enumerate(_lines(path), start=1):
        if line.startswith("#"):
            has_header = has_header or line.startswith("#CHROM\t")
            of_alleles.update(_OF_ALLELES.findall(line))
            continue
        if not line:
            continue
        fields = line.split("\t")
        if not has_header or len(fields) < len(_FIXED):
            raise InputError(
                f"{path}, line {number}: not VCF: a record has {len(_FIXED)} columns separated by tabs, below a line "
                f"#{' '.join(_FIXED)}; give other tables another ending than .vcf"
            )
        chromosome, position, _, ref, alts, _, _, info = fields[: len(_FIXED)]
        values = dict(_info(info))
        seen |= dict.fromkeys(values)
        alleles = alts.split(",")
        for place, alt in enumerate(alleles):
            chosen = [_of_allele(values.get(key), place, len(alleles), key in of_alleles) for key in keys]
            rows.append([chromosome, position, ref, alt, *chosen])
            lines.append(number)
    if not rows:
        raise InputError(f"{path} holds no records")
    if absent := [key for key in keys if key not in seen]:
        raise InputError(f"{path}: no record has the INFO key {absent[0]}; there are {', '.join(seen) or 'none'}")
    return pd.DataFrame(rows, columns=[CHROMOSOME, POSITION, REF, ALT, *keys], index=lines, dtype=object)


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends; a file is held a block at a time."""
    rest = b""
    for block in read_blocks(path):
        *whole, rest = (rest + block).split(b"\n")
        yield from (line.rstrip(b"\r").decode("utf-8", "replace") for line in whole)
    if rest:
        yield rest.rstrip(b"\r").decode("utf-8", "replace")


def _info(text: str) -> Iterator[tuple[str, str]]:
    for entry in text.split(";") if text != _MISSING else []:
        key, has_value, value = entry.partition("=")
        yield key, value if has_value else "true"


def _of_allele(value: str | None, place: int, alleles: int, is_divided: bool) -> str | None:
    if value is None:
        return None
    parts = value.split(",")
    if is_divided and len(parts) == alleles:
        value = parts[place]
    return None if value == _MISSING else unquote(value)
