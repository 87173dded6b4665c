"""Stage `prepare`: genome files in; clean sequences, annotation table, splits and windows out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from workflow.artifacts import write_json
from workflow.config import GenomeConfig
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.genome.accounting import account
from workflow.genome.annotation import ImportedAnnotation, import_annotation, write_empty_annotation
from workflow.genome.contigs import find_contigs
from workflow.genome.fasta import import_fasta
from workflow.genome.files import locate
from workflow.genome.kmers import sketch_contigs
from workflow.genome.names import homolog_groups, natural_key
from workflow.genome.regions import total_bases
from workflow.genome.sequences import Genome
from workflow.genome.similarity import shared_with_train
from workflow.genome.splits import shares_are_met, split_genome
from workflow.genome.windows import cut_windows
from workflow.stages.context import StageContext

#: Share of the k-mers of val or test that may also lie in train. What short repeats leave is 1 to 3 % between
#: blocks of E. coli and C. elegans, and 3 to 6 %, by the seed, between whole chromosomes of yeast.
_MOST_SHARED = 0.05


def prepare(context: StageContext) -> dict[str, object]:
    """Check the genome and divide it.

    Writes `genome.fa` (with `.fai`), `annotation.parquet`, `contigs.parquet`, `split.parquet`,
    `windows.parquet` and `accounting.json`. Tables are in natural order of the sequence names, so that
    nothing but `genome.fa` depends on the order of the input file.

    Raises
    ------
    InputError
        Something in the input cannot be used, or a split would be empty.
    GateError
        Too much of val or test is also in train.
    """
    config, out = context.config, context.out
    annotation = _import_files(config.genome, out)
    with Genome(out / "genome.fa") as genome:
        return {
            "sequences": len(genome.lengths),
            "bases": sum(genome.lengths.values()),
            "features": annotation.features,
            **_divide(genome, annotation.circular, context),
        }


def _import_files(config: GenomeConfig, out: Path) -> ImportedAnnotation:
    """Write the clean FASTA and the annotation table."""
    records = import_fasta(locate(config.fasta, config.source), out / "genome.fa")
    if config.annotation is None:
        return write_empty_annotation(out / "annotation.parquet")
    lengths = dict(zip(records["seqid"], records["length"].tolist(), strict=True))
    return import_annotation(locate(config.annotation, config.source), out / "annotation.parquet", lengths)


def _divide(genome: Genome, circular: frozenset[str], context: StageContext) -> dict[str, object]:
    names, split, windows = context.config.genome, context.config.split, context.config.windows
    seqids = sorted(genome.lengths, key=natural_key)
    groups, unplaced = homolog_groups(seqids, names.sequence_names, names.unplaced_names)
    if not groups:
        raise InputError(f"genome.unplaced_names={names.unplaced_names} leaves no sequence")
    stretches, n_bases = find_contigs(genome, list(groups), windows.min_length)
    if stretches.empty:
        raise InputError(f"{names.fasta}: the placed sequences hold nothing but N")
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
        seed=context.config.seed,
        circular={seqid: genome.lengths[seqid] for seqid in circular},
    )
    shared = shared_with_train(divided.regions, sketch)
    _check_split(context.gates, divided.shares(total_bases(contigs)), dict(split.fractions), shared)
    scored = cut_windows(genome, divided.regions, windows.length, windows.min_length)
    dropped = {
        "n_run": n_bases,
        "short": total_bases(stretches[~stretches["kept"]]),
        "purge": divided.purged,
        "unplaced": sum(genome.lengths[seqid] for seqid in unplaced),
    }
    accounting = account(sum(genome.lengths.values()), divided.regions, scored, dropped)
    _write(context.out, {"contigs": contigs, "split": divided.regions, "windows": scored})
    write_json(context.out / "accounting.json", accounting)
    return {
        "unplaced_sequences": len(unplaced),
        "contigs": len(contigs),
        "split_by": f"{divided.method}, {divided.groups} groups",
        "purge_gap": divided.purge,
        "bases_kept": accounting["kept"],
        "bases_dropped": accounting["dropped"],
        "windows": {name: counts["windows"] for name, counts in accounting["windows"].items()},
        "share_of_kmers_also_in_train": shared,
    }


def _check_split(gates: GateLog, got: dict[str, float], fractions: dict[str, float], shared: dict[str, float]) -> None:
    """The two gates of a split: how much of it is also in train, and whether each part is as large as was asked."""
    name = max(shared, key=shared.__getitem__)
    gates.check(
        "train_test_similarity",
        shared[name] <= _MOST_SHARED,
        saw=f"{shared[name]:.1%} of the {name} k-mers also in train",
        limit=f"at most {_MOST_SHARED:.0%}",
        why="A score on sequence that has a copy in train measures memory; split.method=block or another seed may "
        "keep copies together.",
    )
    gates.check(
        "split_fractions",
        shares_are_met(got, fractions),
        saw=", ".join(f"{name} {share:.1%}" for name, share in got.items()) + " of the bases",
        limit="half to twice " + ", ".join(f"{name} {fractions[name]:.1%}" for name in got),
        why="Too small a split trains or scores on too little of the genome.",
    )


def _write(out: Path, tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        table.to_parquet(out / f"{name}.parquet", index=False)
