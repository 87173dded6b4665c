"""What a user's table says of each variant, and which of them can be scored.

Nothing is dropped in silence: every row stays, with the reason why it cannot be scored in its column `reason`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from pandas.arrays import BooleanArray

from workflow.config import VariantsConfig
from workflow.errors import InputError
from workflow.tables import MISSING, numbers, read_user_table, require_columns
from workflow.variants import vcf

_BASES = frozenset("ACGT")
_MOST_DIGITS = 12


def read_variants(path: Path, config: VariantsConfig) -> pd.DataFrame:
    """Read a VCF or a table, one row an alternative allele.

    Returns
    -------
    DataFrame
        line (row in the file), variant_id (`chromosome:position:ref:alt` as they are given), chromosome, position
        (as it is given, from 1), ref, alt (upper case), kind (snv, mnv, insertion, deletion, complex), label,
        positive (True, False, or NA where the label is neither), measured (float), consequence, and reason: why the
        row cannot be scored, NA where it can.

    Raises
    ------
    InputError
        A column is missing, a position is no whole number, no row has one of the labels compared, or a variant is
        there twice with other labels or values.
    """
    table, columns = _read(path, config)
    alleles = table[columns["alt"]].fillna("").str.split(",")
    table = table.assign(**{columns["alt"]: alleles}).explode(columns["alt"])
    read = pd.DataFrame({"line": table.index})
    read["chromosome"] = table[columns["chromosome"]].fillna("").to_numpy()
    read["position"] = _positions(table, columns["position"], path)
    for name in ("ref", "alt"):
        read[name] = table[columns[name]].fillna("").str.strip().str.upper().to_numpy()
    given = read["chromosome"] + ":" + read["position"].astype(str)
    read.insert(1, "variant_id", given + ":" + read["ref"] + ":" + read["alt"])
    read["label"] = _optional(table, config.label_column)
    read["positive"] = _positive(read["label"], path, config)
    read["measured"] = numbers(table, config.score_column, path) if config.score_column else np.nan
    read["consequence"] = _optional(table, config.consequence_column)
    pairs = list(zip(read["ref"], read["alt"], strict=True))
    read["reason"] = pd.array([_fault(ref, alt, config.window) for ref, alt in pairs], dtype=object)
    read["kind"] = [_kind(ref, alt) for ref, alt in pairs]
    _mark_repeats(read, path)
    return read


def _read(path: Path, config: VariantsConfig) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table as text, and which of its columns is which."""
    extra = {
        f"variants.{key}": column
        for key in ("label_column", "score_column", "consequence_column")
        if (column := getattr(config, key)) is not None
    }
    if vcf.is_vcf(path):
        names = {"chromosome": vcf.CHROMOSOME, "position": vcf.POSITION, "ref": vcf.REF, "alt": vcf.ALT}
        return vcf.read_vcf(path, list(dict.fromkeys(extra.values()))), names
    table = read_user_table(path, "variants.table", config.header_row)
    columns = {name: str(getattr(config, f"{name}_column")) for name in ("chromosome", "position", "ref", "alt")}
    named = {f"variants.{name}_column": column for name, column in columns.items()} | extra
    require_columns(table, path, named, "variants.header_row")
    return table, columns


def _positions(table: pd.DataFrame, column: str, path: Path) -> np.ndarray:
    for line, cell in table[column].items():
        if not (isinstance(cell, str) and cell.isascii() and cell.isdecimal() and len(cell) <= _MOST_DIGITS):
            raise InputError(f"{path}, row {line}, column {column}: {cell!r} is not a position, a whole number from 1")
    positions: np.ndarray = table[column].astype(np.int64).to_numpy()
    return positions


def _optional(table: pd.DataFrame, column: str | None) -> np.ndarray:
    """A column of text, None where it or its cell is missing."""
    if column is None:
        return np.full(len(table), None, object)
    return np.array([cell if isinstance(cell, str) and cell not in MISSING else None for cell in table[column]], object)


def _positive(labels: pd.Series[str], path: Path, config: VariantsConfig) -> BooleanArray:
    sides = dict.fromkeys(config.positive, True) | dict.fromkeys(config.negative, False)
    if both := sorted(set(config.positive) & set(config.negative)):
        raise InputError(f"variants.positive and variants.negative both name {both[0]}: take it out of one")
    positive = [sides.get(label) for label in labels]
    for key, side in (("positive", True), ("negative", False)):
        if config.label_column and side not in positive:
            there = ", ".join(sorted({str(label) for label in labels.dropna()})[:10])
            raise InputError(
                f"{path}, column {config.label_column}: no row has a label of variants.{key}="
                f"[{', '.join(getattr(config, key))}]; there are {there or 'none'}"
            )
    return pd.array(positive, dtype="boolean")


def _fault(ref: str, alt: str, window: int) -> str | None:
    """Why a pair of alleles cannot be scored."""
    if alt in ("", ".", "<NON_REF>", "<*>"):
        return "no alternative allele"
    if alt == "*":
        return "allele of an overlapping deletion (*)"
    if "<" in alt or "[" in alt or "]" in alt:
        return "symbolic allele or breakend"
    if "-" in (ref, alt):
        return "indel without its anchor base (-)"
    if not ref or not _BASES.issuperset(ref + alt):
        return "letters other than A, C, G, T"
    if ref == alt:
        return "alternative equals reference"
    if max(len(ref), len(alt)) > window // 2:
        return "longer than half the window"
    return None


def _kind(ref: str, alt: str) -> str:
    if len(ref) == len(alt):
        return "snv" if len(ref) == 1 else "mnv"
    if alt.startswith(ref):
        return "insertion"
    return "deletion" if ref.startswith(alt) else "complex"


def _mark_repeats(read: pd.DataFrame, path: Path) -> None:
    """A variant that comes again has nothing to add; what it says must be the same."""
    first: dict[str, tuple[int, str | None, float | None]] = {}
    usable = read[read["reason"].isna()]
    columns = ["variant_id", "line", "label", "measured"]
    for row, name, line, label, value in usable[columns].itertuples(name=None):
        said = (None if pd.isna(label) else label, None if pd.isna(value) else value)
        if name not in first:
            first[name] = (line, *said)
            continue
        before, *facts = first[name]
        if tuple(facts) != said:
            raise InputError(
                f"{path}, row {line}: {name} is there already in row {before}, with another label or value; keep one "
                "of the two, or their mean"
            )
        read.loc[row, "reason"] = "the same variant again"
