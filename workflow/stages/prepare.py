"""Stage `prepare`: genome files in; clean sequences, annotation, an audited split and sets of windows out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from workflow.annotation.batches import read_gene_models
from workflow.annotation.classes import ClassTrack, write_classes
from workflow.annotation.diagnosis import count_orphans, diagnose
from workflow.annotation.formats import is_genbank
from workflow.annotation.genbank import import_genbank
from workflow.annotation.gff3 import import_annotation
from workflow.annotation.models import GeneModels
from workflow.annotation.sites import gene_sites
from workflow.annotation.table import ImportedAnnotation, write_empty_annotation
from workflow.artifacts import read_json, write_json
from workflow.config import SPLITS, Config
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.genome.density import composition
from workflow.genome.fasta import import_fasta, sequence_lengths
from workflow.genome.karyotype import karyotype_text, read_karyotype
from workflow.genome.parallel import release_memory
from workflow.genome.regions import total_bases
from workflow.genome.sequences import Genome
from workflow.genome.tables import locate_table
from workflow.splits.accounting import account
from workflow.splits.divide import shares_are_met
from workflow.splits.plan import Plan, plan_split
from workflow.stages.context import StageContext
from workflow.stages.download import source_files
from workflow.windows.sets import write_window_set

#: Share of the windows of val or test that may have a copy in train before these are left out. Between
#: homologous chromosomes nearly all have; in yeast, C. elegans and E. coli at most 6 % do.
_MOST_WITH_COPIES = 0.2
#: Findings of the comparison of sequences that a person should know of.
_TOLD_FINDINGS = {
    "joined": "pairs of sequences are copies of each other, which no name tells: they go to one split",
    "moved": "pairs show a sequence that is a copy of another homolog group than its name says: it moved there",
    "scaffold joined": "pairs show an unplaced scaffold that is a copy of a homolog group: it joined that",
}


def prepare(context: StageContext) -> dict[str, object]:
    """Check the genome, divide it, audit the division and cut windows.

    Writes `genome.fa` (with `.fai`), `annotation.parquet`, `classes.npy`, `sites.parquet`,
    `annotation.json`, `sequences.parquet`, `density.parquet`, `contigs.parquet`, `homology.parquet`, `split.parquet`,
    `leakage.parquet`, `naive.parquet`, `leakage.json`, `accounting.json`, `windows/SET.parquet` and `.fa`,
    `windows.json`, `summary.json` and `summary.html`. Tables are in natural order of the sequence names, so that
    only `genome.fa` and `classes.npy` depend on the order of the input file.

    Raises
    ------
    InputError
        Something in the input cannot be used, or a split would be empty.
    GateError
        Too much of val or test has a copy in train.
    """
    from evaluation.preparation.reading import write_summary  # brings matplotlib

    config, out = context.config, context.out
    annotation = _import_files(context.published("download"), out)
    with Genome(out / "genome.fa") as genome:
        circular = {seqid: genome.lengths[seqid] for seqid in sorted(annotation.circular)}
        plan = plan_split(genome, circular, config, out / ".kmers")
        _check(context.gates, plan, config)
        release_memory()
        models = read_gene_models(out / "annotation.parquet")
        release_memory()
        warnings = [*_told(plan), *_describe_annotation(models, genome, out)]
        sequences = _describe_sequences(genome, models, plan, circular, out)
        accounting = account(sum(genome.lengths.values()), plan.regions, plan.dropped)
        _write_plan(plan, accounting, out)
        sets = _write_windows(genome, models, sequences, plan, config, out)
    warnings += [f"windows.sets.{name} is empty" for name, told in sets.items() if not any(told["windows"].values())]
    shutil.rmtree(out / ".kmers", ignore_errors=True)
    write_json(out / "summary.json", {"warnings": warnings})
    write_summary(out, warnings, context.gates.as_records(), config.genome.name)
    return {
        "sequences": len(sequences),
        "bases": accounting["total_bases"],
        "features": annotation.features,
        "genes": len(models.genes),
        "unplaced_sequences": int((~sequences["placed"]).sum()),
        "contigs": len(plan.contigs),
        "split_by": f"{plan.split.method}, {plan.split.groups} groups",
        "purge_gap": plan.split.purge,
        "bases_kept": accounting["kept"],
        "bases_dropped": accounting["dropped"],
        "windows": {name: of_set["windows"] for name, of_set in sets.items()},
        "windows_with_a_copy_in_train": plan.audit.share_with_copies() if plan.audit else "not audited",
        "warnings": len(warnings),
    }


def forecast(config: Config) -> list[str]:
    """The karyotype as the names tell it."""
    names = config.genome
    fasta = next(file.path for file in source_files(names) if file.key == "genome.fasta")
    if not fasta.exists():
        return ["karyotype: known once the FASTA is downloaded"]
    if is_genbank(fasta):
        return ["karyotype: known once the GenBank file is read"]
    lengths = sequence_lengths(fasta)
    table = locate_table(names.sequence_table)
    karyotype = read_karyotype(lengths, names.sequence_names, names.unplaced_names, table)
    return karyotype_text(karyotype, lengths).split("\n")


def _import_files(downloaded: Path, out: Path) -> ImportedAnnotation:
    """Write the clean FASTA and the annotation table."""
    files = {role: Path(told["path"]) for role, told in read_json(downloaded / "files.json").items()}
    fasta, features = files["fasta"], files.get("annotation")
    if is_genbank(fasta):
        if features is not None:
            raise InputError(f"{fasta} is GenBank and brings its annotation: leave genome.annotation out")
        _, annotation = import_genbank(fasta, out / "genome.fa", out / "annotation.parquet")
        return annotation
    records = import_fasta(fasta, out / "genome.fa")
    if features is None:
        return write_empty_annotation(out / "annotation.parquet")
    lengths = dict(zip(records["seqid"], records["length"].tolist(), strict=True))
    return import_annotation(features, out / "annotation.parquet", lengths)


def _check(gates: GateLog, plan: Plan, config: Config) -> None:
    """The two gates of a split: how much of it has a copy in train, and whether each part is as large as was asked."""
    copies = plan.audit.share_with_copies() if plan.audit else {}
    name = max(copies, key=copies.__getitem__, default="")
    gates.check(
        "train_test_similarity",
        bool(copies) and copies[name] <= _MOST_WITH_COPIES,
        saw=f"{copies[name]:.1%} of the {name} windows with a copy in train" if copies else "no audit of the split",
        limit=f"at most {_MOST_WITH_COPIES:.0%}, which are then left out",
        why="A score on sequence that has a copy in train measures memory; split.method=sequence with homolog groups "
        "(genome.sequence_names), split.method=block or another seed may keep copies together.",
    )
    if apart := _homologs_apart(plan):
        gates.check(
            "train_test_similarity",
            False,
            subject="homologs",
            saw=f"sequences of homolog group {apart[0]} in several splits"
            + f" ({len(apart)} groups)" * (len(apart) > 1),
            limit="whole homolog groups",
            why="Homologous chromosomes are copies of each other, even where they differ too much for their windows to "
            "be found: mend split.table.",
        )
    got, fractions = plan.split.shares(total_bases(plan.contigs)), dict(config.split.fractions)
    gates.check(
        "split_fractions",
        shares_are_met(got, fractions),
        saw=", ".join(f"{name} {share:.1%}" for name, share in got.items()) + " of the bases",
        limit="half to twice " + ", ".join(f"{name} {fractions[name]:.1%}" for name in got),
        why="Too small a split trains or scores on too little of the genome.",
    )
    if empty := [name for name in SPLITS if name not in set(plan.regions["split"])]:
        raise InputError(
            f"every window of {' and '.join(empty)} has a copy in train; divide otherwise (split.method, seed), or "
            "raise split.max_containment"
        )


def _homologs_apart(plan: Plan) -> list[str]:
    """Homolog groups of which whole sequences are in different splits, as only a table can put them."""
    if plan.split.method != "table":
        return []
    by_group = plan.split.regions.groupby("group").agg({"split": "nunique", "seqid": "nunique"})
    return sorted(str(group) for group in by_group.index[(by_group["split"] > 1) & (by_group["seqid"] > 1)])


def _told(plan: Plan) -> list[str]:
    """Warnings about the division, one line each."""
    pairs = plan.homology.pairs
    told = []
    for finding, text in _TOLD_FINDINGS.items():
        found = pairs[pairs["finding"] == finding]
        if len(found):
            examples = [f"{a} and {b}" for a, b in found[["seqid_a", "seqid_b"]].head(3).itertuples(index=False)]
            told.append(f"{len(found):,} {text} ({'; '.join(examples)}{'; …' * (len(found) > len(examples))})")
    if plan.audit is None:
        return [*told, "split.audit=false: names are trusted and nothing is known of leakage"]
    if plan.audit.excluded_bases:
        excluded = plan.audit.summary["excluded"]
        told.append(
            f"{excluded['val']['windows']} val and {excluded['test']['windows']} test windows were left out, since "
            f"more than {plan.audit.summary['threshold']:.0%} of their k-mers lie in one stretch of train"
        )
    if unknown := int(plan.audit.windows["in_train"].isna().sum()):
        told.append(f"{unknown:,} windows hold no 31-mer of A, C, G, T and could not be compared with train")
    if plan.dropped["not_in_table"]:
        told.append(f"{plan.dropped['not_in_table']:,} bases are named in no row of split.table and are left out")
    return told


def _describe_annotation(models: GeneModels, genome: Genome, out: Path) -> list[str]:
    """Write the class track, the sites of genes and what the annotation holds; warnings."""
    findings = diagnose(models, genome)
    warnings: list[str] = findings.pop("warnings")
    orphans, gene_lines = count_orphans(out / "annotation.parquet")
    derived = max(len(models.genes) - gene_lines, 0)
    findings |= {"exons_without_parent": orphans, "genes_derived": derived}
    if derived and gene_lines:
        warnings.append(f"{derived:,} genes have no line of their own: a Parent names what is not there")
    if orphans:
        warnings.append(f"{orphans:,} exons or UTRs have no parent and are part of no gene model")
    classes = write_classes(genome, models, out / "classes.npy")
    gene_sites(models, genome.lengths).to_parquet(out / "sites.parquet", index=False)
    write_json(out / "annotation.json", findings | {"bases_by_class": classes})
    return warnings


def _describe_sequences(
    genome: Genome, models: GeneModels, plan: Plan, circular: dict[str, int], out: Path
) -> pd.DataFrame:
    """Write `sequences.parquet` and `density.parquet`: the karyotype, with its composition."""
    density = composition(genome, models.genes[["seqid", "start"]])
    totals = density.groupby("seqid")[["n", "soft_masked", "gc", "acgt", "genes"]].sum()
    karyotype = plan.homology.karyotype
    of_sequence = totals.loc[karyotype["seqid"]].reset_index(drop=True)
    sequences = karyotype.reset_index(drop=True).assign(
        length=karyotype["seqid"].map(genome.lengths).to_numpy(),
        gc=(of_sequence["gc"] / of_sequence["acgt"].where(of_sequence["acgt"] > 0)),
        n_bases=of_sequence["n"],
        soft_masked=of_sequence["soft_masked"],
        genes=of_sequence["genes"],
        circular=karyotype["seqid"].isin(circular).to_numpy(),
    )
    sequences.to_parquet(out / "sequences.parquet", index=False)
    density.drop(columns=["gc", "acgt"]).to_parquet(out / "density.parquet", index=False)
    return sequences


def _write_plan(plan: Plan, accounting: dict[str, Any], out: Path) -> None:
    write_json(out / "accounting.json", accounting)
    tables = {"contigs": plan.contigs, "split": plan.regions, "homology": plan.homology.pairs}
    if plan.audit:
        tables |= {"leakage": plan.audit.windows, "naive": plan.audit.naive}
        write_json(out / "leakage.json", plan.audit.summary)
    for name, table in tables.items():
        table.to_parquet(out / f"{name}.parquet", index=False)


def _write_windows(
    genome: Genome, models: GeneModels, sequences: pd.DataFrame, plan: Plan, config: Config, out: Path
) -> dict[str, dict[str, Any]]:
    folder = out / "windows"
    folder.mkdir()
    sets = {}
    with ClassTrack(out / "classes.npy", genome.lengths) as classes:
        for name, settings in config.windows.sets.items():
            sets[name] = {"kind": settings.kind} | write_window_set(
                name,
                settings,
                genome=genome,
                regions=plan.regions,
                sequences=sequences[["seqid", "group", "haplotype"]],
                models=models,
                classes=classes,
                length=config.windows.length,
                min_length=config.windows.min_length,
                copies=plan.copies.count,
                treatment=config.windows.copies,
                folder=folder,
            )
    write_json(out / "windows.json", sets)
    return sets
