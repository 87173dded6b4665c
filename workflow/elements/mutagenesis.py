"""In-silico mutagenesis: every base in the middle of a region, put in place of each other one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.artifacts import BASES
from workflow.errors import InputError
from workflow.genome.alphabet import BASE_CODE
from workflow.genome.names import suggest_name

#: Name of the region as it is among its mutants.
REFERENCE = "reference"
_NO_BASE = 255
_UPPER = ~np.uint8(0x20)


@dataclass(frozen=True)
class Region:
    """A stretch of one sequence, 0-based half-open on the forward strand."""

    seqid: str
    start: int
    end: int


def parse_region(text: str, lengths: Mapping[str, int]) -> Region:
    """Read `seqid:start-end`, 0-based half-open; thousands may have commas.

    Raises
    ------
    InputError
        It is not of this form, or not on the genome.
    """
    form = re.fullmatch(r"(.+):([0-9,]+)-([0-9,]+)", text)
    if form is None:
        raise InputError(f"elements.region={text} must be seqid:start-end, counted from 0, such as chr1:1000-2000")
    seqid, start, end = form[1], *(int(number.replace(",", "") or -1) for number in form.groups()[1:])
    if seqid not in lengths:
        raise InputError(f"elements.region={text}: the genome has no sequence {seqid}; {suggest_name(seqid, lengths)}")
    if not 0 <= start < end <= lengths[seqid]:
        raise InputError(f"elements.region={text} is not within the sequence's {lengths[seqid]} bases, or has none")
    return Region(seqid, start, end)


def mutated_part(length: int, mutated: int) -> slice:
    """The middle `mutated` bases of a region, all of it when it is shorter."""
    size = min(mutated, length)
    first = (length - size) // 2
    return slice(first, first + size)


def mutations(bases: np.ndarray, part: slice) -> pd.DataFrame:
    """The three other bases at each base of a part; letters other than A, C, G, T are passed over.

    Parameters
    ----------
    bases : ndarray, (length,) uint8
        ASCII bases of the region, in either case.
    part : slice

    Returns
    -------
    DataFrame
        name, offset (in the region), ref, alt (upper case).
    """
    places = np.arange(part.start, part.stop)
    places = places[BASE_CODE[bases[places]] != _NO_BASE]
    rows = [
        (f"{offset}{ref}>{alt}", offset, ref, alt)
        for offset in places.tolist()
        for ref in (chr(bases[offset] & _UPPER),)
        for alt in BASES
        if alt != ref
    ]
    return pd.DataFrame(rows, columns=["name", "offset", "ref", "alt"])


def mutants(bases: np.ndarray, wanted: pd.DataFrame) -> dict[str, np.ndarray]:
    """The region, as `reference`, and each of its mutants by name, (length,) uint8 in upper case."""
    reference = bases & _UPPER
    sequences = {REFERENCE: reference}
    for name, offset, alt in wanted[["name", "offset", "alt"]].itertuples(index=False):
        sequences[name] = reference.copy()
        sequences[name][offset] = ord(alt)
    return sequences


def differences(totals: Mapping[str, float], wanted: pd.DataFrame) -> np.ndarray:
    """Log-likelihood of each mutant − that of the region, (n,) nats; positive where the model prefers the mutant.

    Parameters
    ----------
    totals : mapping
        Log-likelihood of whole sequences by name, nats.
    wanted : DataFrame
        As from `mutations`.
    """
    of_mutants: np.ndarray = np.array([totals[name] for name in wanted["name"]], float)
    return of_mutants - totals[REFERENCE]
