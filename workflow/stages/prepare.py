"""Stage `prepare`: genome files in; clean sequences, annotation table, splits and windows out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from workflow.artifacts import write_json
from workflow.config import GenomeConfig, SplitConfig, WindowsConfig
from workflow.errors import InputError
from workflow.genome.accounting import account
from workflow.genome.annotation import import_annotation, write_empty_annotation
from workflow.genome.contigs import find_contigs
from workflow.genome.fasta import import_fasta
from workflow.genome.files import locate
from workflow.genome.kmers import sketch_contigs
from workflow.genome.names import homolog_groups, natural_key
from workflow.genome.regions import total_bases
from workflow.genome.sequences import Genome
from workflow.genome.similarity import shared_with_train
from workflow.genome.splits import split_genome
from workflow.genome.windows import cut_windows
from workflow.stages.context import StageContext


def prepare(context: StageContext) -> dict[str, object]:
    """Check the genome and divide it.

    Writes `genome.fa` (with `.fai`), `annotation.parquet`, `contigs.parquet`, `split.parquet`,
    `windows.parquet` and `accounting.json`. Tables are in natural order of the sequence names, so that
    nothing but `genome.fa` depends on the order of the input file.

    Raises
    ------
    InputError
        Something in the input cannot be used, or a split would be empty.
    """
    config, out = context.config, context.out
    features = _import_files(config.genome, out)
    with Genome(out / "genome.fa") as genome:
        return {
            "sequences": len(genome.lengths),
            "bases": sum(genome.lengths.values()),
            "features": features,
            **_divide(genome, out, config.genome, config.split, config.windows, config.seed),
        }


def _import_files(config: GenomeConfig, out: Path) -> int:
    """Write the clean FASTA and the annotation table; number of features."""
    records = import_fasta(locate(config.fasta, config.source), out / "genome.fa")
    if config.annotation is None:
        write_empty_annotation(out / "annotation.parquet")
        return 0
    lengths = dict(zip(records["seqid"], records["length"].tolist(), strict=True))
    return import_annotation(locate(config.annotation, config.source), out / "annotation.parquet", lengths)


def _divide(
    genome: Genome, out: Path, config: GenomeConfig, split: SplitConfig, windows: WindowsConfig, seed: int
) -> dict[str, object]:
    seqids = sorted(genome.lengths, key=natural_key)
    groups, unplaced = homolog_groups(seqids, config.sequence_names, config.unplaced_names)
    if not groups:
        raise InputError(f"genome.unplaced_names={config.unplaced_names} leaves no sequence")
    stretches, n_bases = find_contigs(genome, list(groups), windows.min_length)
    contigs = stretches[stretches["kept"]].drop(columns="kept").reset_index(drop=True)
    if contigs.empty:
        raise InputError(f"no stretch without N has {windows.min_length} bases; lower windows.min_length")
    sketch = sketch_contigs(genome, contigs)
    divided = split_genome(
        contigs,
        groups,
        sketch,
        method=split.method,
        fractions=dict(split.fractions),
        block_length=split.block_length,
        purge=split.purge,
        max_shared=split.max_shared,
        min_length=windows.min_length,
        seed=seed,
    )
    scored = cut_windows(genome, divided.regions, windows.length, windows.min_length)
    dropped = {
        "n_run": n_bases,
        "short": total_bases(stretches[~stretches["kept"]]),
        "purge": divided.purged,
        "unplaced": sum(genome.lengths[seqid] for seqid in unplaced),
    }
    accounting = account(sum(genome.lengths.values()), divided.regions, scored, dropped)
    _write(out, {"contigs": contigs, "split": divided.regions, "windows": scored})
    write_json(out / "accounting.json", accounting)
    return {
        "unplaced_sequences": len(unplaced),
        "contigs": len(contigs),
        "split_by": f"{divided.method}, {divided.groups} groups",
        "bases_kept": accounting["kept"],
        "bases_dropped": accounting["dropped"],
        "windows": {name: counts["windows"] for name, counts in accounting["windows"].items()},
        "share_of_kmers_also_in_train": shared_with_train(divided.regions, sketch),
    }


def _write(out: Path, tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        table.to_parquet(out / f"{name}.parquet", index=False)
