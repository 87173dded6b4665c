"""The genome and its split, as the prepare stage left them: its own page, and a part of the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.artefacts.records import Record, read_record
from evaluation.drawing import style
from evaluation.page import layout
from evaluation.page.layout import Picture, Section
from evaluation.page.tables import gates_table
from evaluation.page.text import count, percent, plural
from evaluation.preparation import tables as tables_genome
from evaluation.preparation.karyotype import karyotype, shown_sequences
from evaluation.preparation.leakage import leakage, near_copy, share_at_least
from workflow.artifacts import read_json, read_table, write_text

_MOST_NAMES = 12
_SPLITS = ("train", "val", "test")
_GATE = ("stage", "name", "passed", "saw", "limit", "why")


@dataclass(frozen=True)
class Leakage:
    """The audit of a split.

    Attributes
    ----------
    windows : DataFrame
        split, in_train, containment of every window of val and test as it was divided.
    naive : DataFrame
        The same of windows that were divided at random.
    excluded : DataFrame
        Windows left out for a copy in train, with its place.
    summary : Record
        k, scaled, window, threshold, and counts.
    """

    windows: pd.DataFrame
    naive: pd.DataFrame
    excluded: pd.DataFrame
    summary: Record

    @property
    def threshold(self) -> float:
        """Containment above which windows are left out."""
        return float(self.summary.value("threshold"))


@dataclass(frozen=True)
class Preparation:
    """What the prepare stage wrote about a genome.

    Attributes
    ----------
    sequences, density, split : DataFrame
        See `evaluation.preparation.karyotype`.
    homology, leakage : DataFrame, Leakage, or None
        None where nothing was compared.
    accounting : Record
    window_sets, mixture, annotation : dict
        Empty where there is none.
    warnings : list of str
    """

    sequences: pd.DataFrame
    density: pd.DataFrame
    split: pd.DataFrame
    homology: pd.DataFrame | None
    leakage: Leakage | None
    accounting: Record
    window_sets: dict[str, Any]
    mixture: dict[str, float]
    annotation: dict[str, Any]
    warnings: list[str]


def write_summary(folder: Path, warnings: list[str], gates: list[dict[str, Any]], name: str) -> None:
    """Write `summary.html`, which needs no other file, and `figures/*.png` into the folder of a preparation.

    Parameters
    ----------
    folder : Path
        With the tables of the stage.
    warnings : list of str
        One line each.
    gates : list of dict
        name, passed, saw, limit, why.
    name : str
        Of the genome.
    """
    mixture = folder / "mixture.json"
    preparation = _read(folder, warnings, dict(read_json(mixture)) if mixture.exists() else {})
    checked = pd.DataFrame([{"stage": "prepare"} | gate for gate in gates], columns=list(_GATE))
    checked = checked.sort_values("passed", kind="stable", ignore_index=True)
    figures = folder / "figures"
    figures.mkdir()
    with style.applied():
        parts = [Section("Gates", [gates_table(checked)]), *sections(preparation)]
        layout.save_figures(parts, figures)
    content = {
        "genome": name,
        "warnings": warnings,
        "fired": checked[~checked["passed"].astype(bool)].to_dict("records"),
        "sections": parts,
    }
    write_text(folder / "summary.html", layout.render("summary.html.j2", figures, **content))


def read_preparation(folder: Path, mixture: dict[str, float]) -> Preparation:
    """Read the published folder of the stage.

    Parameters
    ----------
    folder : Path
    mixture : dict
        Weight of each set of windows that was trained on.

    Raises
    ------
    InputError
        A file is missing or was written by another version.
    """
    return _read(folder, list(read_record(folder / "summary.json").value("warnings")), mixture)


def _read(folder: Path, warnings: list[str], mixture: dict[str, float]) -> Preparation:
    annotation = folder / "annotation.json"
    sequences = read_table(folder / "sequences.parquet")
    names = ["own_group", "named_group", "group", "haplotype", "subgenome"]
    is_audited = (folder / "leakage.json").exists()
    return Preparation(
        sequences=sequences.assign(**{name: sequences[name].fillna("").astype(str) for name in names}),
        density=read_table(folder / "density.parquet", ["seqid", "start", "end", "n", "soft_masked", "genes"]),
        split=read_table(folder / "split.parquet", ["seqid", "start", "end", "split"]),
        homology=read_table(folder / "homology.parquet") if is_audited else None,
        leakage=_read_leakage(folder) if is_audited else None,
        accounting=read_record(folder / "accounting.json"),
        window_sets=read_json(folder / "windows.json"),
        mixture=mixture,
        annotation=dict(read_json(annotation)) if annotation.exists() else {},
        warnings=warnings,
    )


def _read_leakage(folder: Path) -> Leakage:
    columns = ["split", "in_train", "containment"]
    windows = read_table(folder / "leakage.parquet", [*columns, "excluded"])
    # The places of all windows of a large genome would take more memory than they are worth here.
    places = ["seqid", "start", "end", "train_seqid", "train_start", "train_end", "train_strand"]
    excluded = pd.read_parquet(
        folder / "leakage.parquet", columns=["split", "containment", *places], filters=[("excluded", "==", True)]
    )
    naive = read_table(folder / "naive.parquet", columns)
    return Leakage(windows[columns], naive, excluded, read_record(folder / "leakage.json"))


def sections(preparation: Preparation) -> list[Section]:
    """The parts of a page about a preparation; drawn with the settings of `evaluation.drawing.style.applied`."""
    return [_genome(preparation), _copies(preparation), _windows(preparation)]


def _genome(preparation: Preparation) -> Section:
    shown = shown_sequences(preparation.sequences)
    picture = Picture(
        "karyotype",
        karyotype(shown, preparation.density, preparation.split),
        "Sequences of the genome, coloured by split.",
        _karyotype_reading(preparation.sequences, shown),
    )
    accounting = preparation.accounting
    tables = [
        tables_genome.accounting_table(
            accounting.value("kept"), accounting.value("dropped"), accounting.value("total_bases")
        )
    ]
    if preparation.homology is not None and len(preparation.sequences) > 1:
        tables.append(tables_genome.homology_table(preparation.homology))
    if preparation.annotation:
        tables.append(tables_genome.annotation_table(preparation.annotation))
    return Section("The genome and its split", tables, [picture], lines=_lines(preparation))


def _karyotype_reading(sequences: pd.DataFrame, shown: pd.DataFrame) -> str:
    reading = "Below each bar are its genes and repeats, where the genome has any."
    if shown["group"].duplicated().any():
        reading += (
            " Groups of homologs are in bold, their haplotypes beside the bars: a group must have one colour, or the "
            "model is tested on what it read."
        )
    hidden = sequences[~sequences["seqid"].isin(shown["seqid"])]
    if len(hidden):
        reading += (
            f" The longest sequences are shown; {plural(len(hidden), 'sequence')} of together "
            f"{plural(int(hidden['length'].sum()), 'base')} {'is' if len(hidden) == 1 else 'are'} not."
        )
    return reading


def _lines(preparation: Preparation) -> list[tuple[str, str]]:
    """The genome in about ten lines."""
    sequences = preparation.sequences
    placed = sequences[sequences["placed"]]
    bases = int(sequences["length"].sum())
    known = max(bases - int(sequences["n_bases"].sum()), 1)
    # A sequence of nothing but N has no GC share; the sum leaves it out.
    gc = float((sequences["gc"] * (sequences["length"] - sequences["n_bases"])).sum()) / known
    unplaced = len(sequences) - len(placed)
    lines = [
        ("Sequences", plural(len(sequences), "sequence") + (f", {unplaced:,} of them unplaced" if unplaced else "")),
        ("Bases", f"{count(bases)}, {percent(int(sequences['n_bases'].sum()) / bases)} of them N"),
        ("Composition", f"GC {percent(gc)}, soft-masked {percent(int(sequences['soft_masked'].sum()) / known)}"),
        ("Genes", count(int(sequences["genes"].sum()))),
        ("Groups", _groups_line(placed)),
        ("Haplotypes", _listed(placed["haplotype"])),
        ("Subgenomes", _listed(placed["subgenome"])),
        ("Circular", _listed(sequences.loc[sequences["circular"], "seqid"])),
        *_split_lines(preparation.split, placed),
        ("k-mers", _kmer_line(preparation.leakage)),
    ]
    return [(label, text) for label, text in lines if text]


def _groups_line(placed: pd.DataFrame) -> str:
    sizes = placed["group"].value_counts()
    if sizes.max() == 1:
        return f"{plural(len(sizes), 'sequence')} without homologs"
    span = f"{sizes.min():,}" if sizes.min() == sizes.max() else f"{sizes.min():,} to {sizes.max():,}"
    moved = int((placed["group"] != placed["named_group"]).sum())
    changed = f"; {plural(moved, 'sequence')} regrouped by k-mers" if moved else ""
    return f"{plural(len(sizes), 'homolog group')} of {span} sequences{changed}"


def _split_lines(split: pd.DataFrame, placed: pd.DataFrame) -> list[tuple[str, str]]:
    """What was kept together, as the regions show it, and what each split has."""
    told = split.merge(placed[["seqid", "group"]], on="seqid")
    of_sequences, of_groups = (told.drop_duplicates([name, "split"])[name] for name in ("seqid", "group"))
    if of_sequences.duplicated().any():
        sizes = told["split"].value_counts()
        return [
            ("Split by", "blocks"),
            *((name, plural(int(sizes.get(name, 0)), "stretch", "stretches")) for name in _SPLITS),
        ]
    if of_groups.duplicated().any():
        kept_together, named = "whole sequences, with homologs in different splits", "seqid"
    else:
        kept_together, named = (
            "whole homolog groups" if placed["group"].duplicated().any() else "whole sequences",
            "group",
        )
    return [("Split by", kept_together), *((name, _listed(told.loc[told["split"] == name, named])) for name in _SPLITS)]


def _kmer_line(audit: Leakage | None) -> str:
    if audit is None:
        return "not compared: nothing is known of copies"
    k, scaled, window = (audit.summary.value(key) for key in ("k", "scaled", "window"))
    sampled = "all of them" if scaled == 1 else f"one in {count(scaled)} of them sampled"
    return f"{k}-mers, {sampled}; audited in windows of {count(window)} bases"


def _listed(names: pd.Series) -> str:
    """The different names in their order, the first dozen of them."""
    different = [str(name) for name in pd.unique(names) if name]
    rest = len(different) - _MOST_NAMES
    return ", ".join(different[:_MOST_NAMES]) + (f" and {rest:,} more" if rest > 0 else "")


def _copies(preparation: Preparation) -> Section:
    title, audit = "Copies between train and test", preparation.leakage
    if audit is None:
        return Section(title, remarks=["The split was not audited (split.audit=false): nothing is known of leakage."])
    if not audit.windows["containment"].notna().any():
        return Section(title, remarks=["No window of val or test could be compared with train."])
    picture = Picture(
        "leakage",
        leakage(audit.windows, audit.naive, audit.threshold),
        "How much of val and test is in train, as they were divided.",
        "a, share of the windows of which at least so much (of their sampled 31-mers) lies in one stretch of train, "
        "on either strand; the lower, the better. b, share of the k-mers of each window that are anywhere in train: "
        "much of it is dispersed repeats, which no split keeps apart.",
    )
    tables = [tables_genome.excluded_table(audit.excluded)] if len(audit.excluded) else []
    return Section(title, tables, [picture], [_interpretation(audit)])


def _interpretation(audit: Leakage) -> str:
    """What the audit found, in sentences."""
    limit = near_copy(audit.threshold)
    shares = [
        f"{_near_copies(of_split, limit)} of {name} windows"
        for name in ("test", "val")
        if (of_split := audit.windows.loc[audit.windows["split"] == name, "containment"].dropna()).size
    ]
    stretch = f"≥ {100 * limit:.0f} % of their {audit.summary.value('k')}-mers in one stretch of train"
    sentence = f"{' and '.join(shares)} have a near copy ({stretch})"
    random = audit.naive["containment"].dropna()
    if random.size:
        sentence += f"; a random split of the same genome would have {_near_copies(random, limit)}"
    excluded = audit.summary.value("excluded")
    windows, bases = (sum(int(of_split[key]) for of_split in excluded.values()) for key in ("windows", "bases"))
    if windows:
        sentence += f". {plural(windows, 'window')} ({plural(bases, 'base')}) above the threshold were left out"
    missing = int(audit.windows["containment"].isna().sum())
    if missing:
        sentence += f". {plural(missing, 'window')} had no k-mer to compare"
    return f"{sentence}."


def _near_copies(containment: pd.Series, limit: float) -> str:
    return percent(float(share_at_least(containment, np.array([limit]))[0]))


def _windows(preparation: Preparation) -> Section:
    table = tables_genome.windows_table(preparation.window_sets, preparation.mixture)
    return Section("Windows and mixture" if preparation.mixture else "Windows", [table])
