"""Making one named set of windows: which windows there are, their copies and weights, and its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from workflow.annotation.classes import ClassTrack
from workflow.config import SPLITS, WindowSetConfig
from workflow.errors import InputError
from workflow.genome.layout import Layout
from workflow.genome.names import natural_key
from workflow.genome.sequences import Genome
from workflow.windows.genic import compatible_windows, flanked, genic_windows, place_genes, promoter_windows
from workflow.windows.pieces import Regions, Windows
from workflow.windows.spliced import cds_windows, transcript_windows
from workflow.windows.tables import WindowWriter, usable_names
from workflow.windows.tiling import background_windows, tiling_windows

if TYPE_CHECKING:
    from workflow.annotation.models import GeneModels


def write_window_set(
    name: str,
    settings: WindowSetConfig,
    *,
    genome: Genome,
    regions: pd.DataFrame,
    sequences: pd.DataFrame,
    models: GeneModels,
    classes: ClassTrack,
    length: int,
    min_length: int,
    copies: Callable[[pd.DataFrame], pd.DataFrame],
    treatment: str,
    folder: Path,
) -> dict[str, Any]:
    """Write a set of windows as `<folder>/<name>.fa`, `.fa.fai` and `.parquet`.

    Every window lies inside one region. One row a window, sorted by the natural order of seqid, then start:
    sequence_id (of the FASTA record; `seqid:start-end(strand)`, after `transcript_id:` where exons are
    joined), seqid, start, end (0-based half-open, forward strand; from the first to the last base that is
    read), strand, split, group, haplotype, kind, parent (gene ids joined by commas, or null), length (bases
    of the record, fewer than end − start where exons are joined), copies, weight, gc (share of G and C among
    A, C, G and T; NaN when there are none), n_share, soft_masked, and share_<class> of each class of
    `BaseClass`.

    Parameters
    ----------
    name : str
    settings : WindowSetConfig
    genome : Genome
    regions : DataFrame
        seqid, start, end, split; disjoint.
    sequences : DataFrame
        seqid, group, haplotype (or null).
    models : GeneModels
    classes : ClassTrack
    length : int
        Bases of tiling and background windows where the settings give none.
    min_length : int
        Windows with fewer bases are left out.
    copies : callable
        Of a table with seqid, start, end and split: how many windows are near-identical to each, itself
        included (`copies`), and whether it is the first of them (`is_first`).
    treatment : str
        `weight`: each window weighs 1/copies. `remove`: only the first is written. `keep`: all weigh 1.
    folder : Path
        An existing folder.

    Returns
    -------
    dict
        `windows`, `bases` and `mean_weight` by split (the last is null for a split without windows), and
        `dropped`: numbers of windows, genes or transcripts left out, by reason.

    Raises
    ------
    InputError
        The set needs gene models and there are none.
    """
    if settings.kind != "tiling" and models.genes.empty:
        raise InputError(
            f"windows.sets.{name}: kind {settings.kind} needs gene models and the annotation has none; give "
            f"genome.annotation, or take the set out (~windows.sets.{name})"
        )
    layout = Layout(genome.lengths, sorted(genome.lengths, key=natural_key))
    placed = Regions(regions, layout)
    windows = _lay_out(settings, models, layout, placed, length, min_length)
    windows = _in_order(windows, placed, settings.splits)
    counted = copies(_places(windows, layout, placed))
    if treatment == "remove":
        is_first = counted["is_first"].to_numpy(bool)
        windows, counted = windows.keep(is_first, "removed_copies"), counted[is_first]
    number = counted["copies"].to_numpy(np.int32)
    weight = 1 / number if treatment == "weight" else np.ones(len(number))
    WindowWriter(genome, classes, layout, placed, sequences).write(
        folder / name, settings.kind, windows, number, weight
    )
    return _summary(windows, placed, weight, settings.splits)


def _lay_out(
    settings: WindowSetConfig, models: GeneModels, layout: Layout, regions: Regions, length: int, min_length: int
) -> Windows:
    """The windows of a kind, in any order, none shorter than `min_length` bases."""
    before, after = settings.upstream, settings.downstream
    if settings.kind in ("tiling", "background"):
        length = settings.length or length
        tiling = tiling_windows(regions, length, settings.stride or length, min(min_length, length))
        if settings.kind == "tiling":
            return tiling
        return background_windows(tiling, *_gene_surroundings(models.genes, layout, before, after))
    if settings.kind == "transcript":
        windows = transcript_windows(models, layout, regions, before, settings.intron_flank)
    elif settings.kind == "cds":
        windows = cds_windows(models, layout, regions)
    else:
        genes = place_genes(models.genes, layout, regions)
        if settings.kind == "promoter":
            windows = promoter_windows(genes, regions, before, after)
        else:
            lay_out = compatible_windows if settings.compatible else genic_windows
            windows = lay_out(genes, regions, before, after, settings.max_length, settings.merge_distance)
    if windows.names is not None:
        windows = replace(windows, names=usable_names(windows.names))
    return windows.keep(windows.lengths() >= min_length, "short")


def _gene_surroundings(
    genes: pd.DataFrame, layout: Layout, upstream: int, downstream: int
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of all genes with their flanks; one that reaches past the origin also lies at the start."""
    sequence = layout.numbers(genes["seqid"])
    first, after = layout.offsets[sequence], layout.offsets[sequence + 1]
    start, end = (genes[name].to_numpy(np.int64) for name in ("start", "end"))
    start, end = flanked(start, end, (genes["strand"] == "-").to_numpy(bool), upstream, downstream)
    crosses = genes["end"].to_numpy(np.int64) > after - first
    turned = np.minimum(first + end - (after - first), after)
    return (
        np.concatenate([np.maximum(first + start, first), first[crosses]]),
        np.concatenate([np.minimum(first + end, after), turned[crosses]]),
    )


def _in_order(windows: Windows, regions: Regions, splits: list[str]) -> Windows:
    """The windows of some splits by place: layouts have the sequences in natural order."""
    asked = np.isin(regions.split.astype(str), splits)
    if asked.all() and (np.diff(windows.start) > 0).all():
        return windows  # a large tiling is not copied
    rows = np.flatnonzero(asked[windows.region])
    order = np.lexsort((windows.reverse[rows], windows.end[rows], windows.start[rows]))
    return windows.take(rows[order])


def _places(windows: Windows, layout: Layout, regions: Regions) -> pd.DataFrame:
    """seqid, start, end and split of the windows."""
    sequence, start = layout.local(windows.start)
    split = pd.Categorical(regions.split, categories=list(SPLITS))
    return pd.DataFrame(
        {
            "seqid": pd.Categorical.from_codes(sequence, categories=layout.seqids),
            "start": start,
            "end": windows.end - layout.offsets[sequence],
            "split": split[windows.region],
        }
    )


def _summary(windows: Windows, regions: Regions, weight: np.ndarray, splits: list[str]) -> dict[str, Any]:
    code = np.array([SPLITS.index(split) for split in regions.split], np.int8)[windows.region]
    lengths = windows.lengths()
    summary: dict[str, Any] = {"windows": {}, "bases": {}, "mean_weight": {}}
    for name in SPLITS:
        if name in splits:
            of_split = code == SPLITS.index(name)
            number = int(np.count_nonzero(of_split))
            summary["windows"][name] = number
            summary["bases"][name] = int(lengths[of_split].sum())
            summary["mean_weight"][name] = float(weight[of_split].mean()) if number else None
    return summary | {"dropped": {reason: number for reason, number in sorted(windows.dropped.items()) if number}}
