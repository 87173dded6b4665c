"""From sequences to an audited split: contigs, k-mers, homologs, division, audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow.config import SPLITS, Config
from workflow.errors import InputError
from workflow.genome.contigs import find_contigs
from workflow.genome.karyotype import read_karyotype
from workflow.genome.regions import total_bases
from workflow.genome.sequences import Genome
from workflow.genome.tables import locate_table
from workflow.splits.audit import Audit, audit_split
from workflow.splits.copies import Copies, find_copies, no_copies
from workflow.splits.divide import Split, split_genome
from workflow.splits.homology import Homology, confirm_groups, trust_names
from workflow.splits.kmers import KmerFile, Sketch, sample_kmers, scaled_for
from workflow.splits.user_table import split_by_table


@dataclass(frozen=True)
class Plan:
    """A divided genome with all that is known of the division.

    Attributes
    ----------
    contigs : DataFrame
        Stretches without N that were divided: seqid, start, end.
    homology : Homology
    split : Split
        As it was divided.
    audit : Audit or None
        Without an audit nothing is known of leakage.
    regions : DataFrame
        seqid, start, end, split, group: what is left of the split after the audit.
    copies : Copies
    dropped : dict
        Bases left out by reason.
    """

    contigs: pd.DataFrame
    homology: Homology
    split: Split
    audit: Audit | None
    regions: pd.DataFrame
    copies: Copies
    dropped: dict[str, int]


def plan_split(genome: Genome, circular: Mapping[str, int], config: Config, folder: Path) -> Plan:
    """Divide a genome.

    Parameters
    ----------
    genome : Genome
    circular : mapping
        Length of each circular sequence by seqid.
    config : Config
        Its sections genome, split and windows, and the seed.
    folder : Path
        For k-mers; needed as long as `Plan.copies` is.

    Raises
    ------
    InputError
        Nothing is left to divide, or it cannot be divided as asked.
    """
    names, split, windows = config.genome, config.split, config.windows
    karyotype = read_karyotype(
        genome.lengths, names.sequence_names, names.unplaced_names, locate_table(names.sequence_table)
    )
    if not karyotype["placed"].any():
        raise InputError("all sequences are unplaced: mend genome.unplaced_names or genome.sequence_table")
    everything, n_bases = find_contigs(genome, karyotype["seqid"].tolist(), windows.min_length)
    long_enough = everything[everything["kept"]].drop(columns="kept").reset_index(drop=True)
    kmers = _sample(genome, long_enough, config, folder) if split.audit else None
    sketch = kmers.sketch() if kmers else None
    if sketch is None:
        homology = trust_names(karyotype)
    else:
        homology = confirm_groups(karyotype, long_enough, sketch, split.unplaced)
    groups = homology.groups
    placed = everything["seqid"].isin(groups)
    contigs = everything[placed & everything["kept"]].drop(columns="kept").reset_index(drop=True)
    _check_contigs(everything[placed], contigs, config)
    divided, unnamed = _divide(contigs, homology, sketch, circular, genome.lengths, config)
    audit = _audit(kmers, divided, contigs, config) if kmers else None
    # Unplaced sequences are left out whole, with their N.
    unplaced = sum(genome.lengths[seqid] for seqid in karyotype["seqid"] if seqid not in groups)
    dropped = {
        "n_run": n_bases - _n_bases(everything[~placed], unplaced),
        "short": total_bases(everything[placed & ~everything["kept"]]),
        "purge": divided.purged,
        "unplaced": unplaced,
        "not_in_table": unnamed,
        "similar_to_train": audit.excluded_bases if audit else 0,
    }
    copies = find_copies(kmers, groups, genome.lengths, windows.copy_containment) if kmers else no_copies()
    return Plan(contigs, homology, divided, audit, audit.regions if audit else divided.regions, copies, dropped)


def _audit(kmers: KmerFile, divided: Split, contigs: pd.DataFrame, config: Config) -> Audit:
    return audit_split(
        kmers,
        divided.regions,
        contigs,
        length=config.windows.length,
        min_length=config.windows.min_length,
        max_containment=config.split.max_containment,
        fractions=dict(config.split.fractions),
        seed=config.seed,
    )


def _n_bases(stretches: pd.DataFrame, bases: int) -> int:
    """N of sequences of so many bases whose stretches without N are these."""
    return bases - total_bases(stretches)


def _sample(genome: Genome, contigs: pd.DataFrame, config: Config, folder: Path) -> KmerFile:
    return sample_kmers(genome, contigs, folder, scaled_for(total_bases(contigs), config.windows.length))


def _check_contigs(stretches: pd.DataFrame, contigs: pd.DataFrame, config: Config) -> None:
    if stretches.empty:
        raise InputError(f"{config.genome.fasta}: the placed sequences hold nothing but N")
    if contigs.empty:
        raise InputError(f"no stretch without N has {config.windows.min_length} bases; lower windows.min_length")


def _divide(
    contigs: pd.DataFrame,
    homology: Homology,
    sketch: Sketch | None,
    circular: Mapping[str, int],
    lengths: Mapping[str, int],
    config: Config,
) -> tuple[Split, int]:
    """The split, and the bases that a user's table does not name."""
    split, min_length = config.split, config.windows.min_length
    if split.method == "table":
        table = locate_table(split.table)
        assert table is not None
        return split_by_table(contigs, homology.groups, lengths, table, min_length)
    divided = split_genome(
        contigs,
        homology,
        sketch,
        method=split.method,
        fractions=dict(split.fractions),
        block_length=split.block_length,
        purge=split.purge,
        max_shared=split.max_shared,
        min_length=min_length,
        seed=config.seed,
        forced={name: part for part in SPLITS for name in getattr(split, part)},
        circular=circular,
    )
    return divided, 0
