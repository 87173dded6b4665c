"""Where variants lie on the reference, and whether the reference has the bases that the table says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement
from workflow.genome.sequences import Genome

#: Shifts of the coordinates that are tried when the bases do not agree.
_FARTHEST_SHIFT = 5
# With fewer sites, some shift would fit by chance.
_FEWEST_SITES = 8


def place(
    variants: pd.DataFrame, genome: Genome, table: Path, first_position: int | None, sequence_name: str | None
) -> pd.DataFrame:
    """Find each variant on the reference.

    Names of chromosomes may differ from those of the reference by a leading `chr`.

    Parameters
    ----------
    variants : DataFrame
        As of `read_variants`.
    table : Path
        Where they were read; for the messages.
    first_position : int, optional
        The table's coordinate of the first base of each sequence; 1 by default.
    sequence_name : str, optional
        What the table calls the chromosome of which the reference, a single sequence, is a part.

    Returns
    -------
    DataFrame
        With seqid and start (0-based on the reference) of the variants that can be scored, and `reason` of others.

    Raises
    ------
    InputError
        No variant lies on the reference.
    """
    seqids = _names(variants, genome, sequence_name)
    placed = variants.assign(
        seqid=variants["chromosome"].map(seqids),
        start=variants["position"] - (1 if first_position is None else first_position),
    )
    ends = placed["start"] + placed["ref"].str.len()
    lengths = placed["seqid"].map(genome.lengths).fillna(0).astype(np.int64)
    is_outside = (placed["start"] < 0) | (ends > lengths)
    fine = placed["reason"].isna()
    placed.loc[fine & placed["seqid"].isna(), "reason"] = "sequence is not in the reference"
    placed.loc[fine & placed["seqid"].notna() & is_outside, "reason"] = "outside of the reference sequence"
    if fine.any() and not placed["reason"].isna().any():
        row = placed[fine].iloc[0]
        raise InputError(
            f"{table}: no variant lies on the reference; row {row['line']} is {row['variant_id']}, and the reference "
            f"has {_listed(f'{name} ({length:,} bases)' for name, length in genome.lengths.items())}. For a part of a "
            "chromosome set variants.sequence_name and variants.first_position"
        )
    return placed


def check_bases(placed: pd.DataFrame, genome: Genome, table: Path, first_position: int | None) -> int:
    """Compare the reference allele of every scorable variant with the reference.

    Returns
    -------
    int
        Number of sites (distinct positions and reference alleles), all of which agree.

    Raises
    ------
    InputError
        One does not agree. The message says how many do, which does not first, and whether other coordinates
        (`variants.first_position`) or the other strand would make all agree.
    """
    sites = placed[placed["reason"].isna()].drop_duplicates(["seqid", "start", "ref"])
    shifts = range(-_FARTHEST_SHIFT, _FARTHEST_SHIFT + 1)
    agree = dict.fromkeys(shifts, 0)
    turned = 0
    wrong: tuple[int, str, str] | None = None
    for line, name, seqid, start, ref in sites[["line", "variant_id", "seqid", "start", "ref"]].itertuples(index=False):
        low = max(start - _FARTHEST_SHIFT, 0)
        high = min(start + len(ref) + _FARTHEST_SHIFT, genome.lengths[seqid])
        around = genome.fetch(seqid, low, high).tobytes().decode("ascii").upper()
        for shift in shifts:
            begin = start + shift - low
            agree[shift] += begin >= 0 and around[begin : begin + len(ref)] == ref
        here = around[start - low : start - low + len(ref)]
        turned += here == reverse_complement(np.frombuffer(ref.encode(), np.uint8)).tobytes().decode()
        if wrong is None and here != ref:
            wrong = line, name, here
    if wrong is not None:
        line, name, here = wrong
        mend = _mend(agree, turned, len(sites), 1 if first_position is None else first_position)
        raise InputError(
            f"{table}, row {line}: {name}, but the reference has {here} there; {agree[0]:,} of {len(sites):,} "
            f"reference alleles agree. {mend}"
        )
    return len(sites)


def _mend(agree: dict[int, int], turned: int, sites: int, first_position: int) -> str:
    fitting = [shift for shift in sorted(agree, key=abs) if agree[shift] == sites]
    if fitting and sites >= _FEWEST_SITES:
        return f"All {sites:,} would with other coordinates: set variants.first_position={first_position - fitting[0]}"
    if turned == sites and sites >= _FEWEST_SITES:
        return "All are bases of the other strand: give the alleles of the forward strand"
    return (
        f"No shift by up to {_FARTHEST_SHIFT} bases makes all agree: give the sequence that the table was made on with "
        "variants.fasta, and for a part of a chromosome variants.first_position"
    )


def _names(variants: pd.DataFrame, genome: Genome, sequence_name: str | None) -> dict[str, str]:
    """The reference's sequence by the name of a chromosome in the table."""
    known = {seqid: seqid for seqid in genome.lengths}
    if sequence_name is not None:
        if len(known) > 1:
            raise InputError(
                f"variants.sequence_name={sequence_name} is for a reference of one sequence, this has {len(known):,}: "
                "leave it away, or give that one sequence with variants.fasta"
            )
        known = {sequence_name: next(iter(known))}
    plain: dict[str, list[str]] = {}
    for name, seqid in known.items():
        plain.setdefault(_plain(name), []).append(seqid)
    alike = {name: plain.get(_plain(name), []) for name in variants["chromosome"].unique()}
    return {name: seqids[0] for name, seqids in alike.items() if len(seqids) == 1} | known


def _plain(name: str) -> str:
    return re.sub("^chr(?=.)", "", name, flags=re.IGNORECASE)


def _listed(items: Iterable[str], most: int = 3) -> str:
    texts = list(items)
    return ", ".join(texts[:most]) + (", …" if len(texts) > most else "")
