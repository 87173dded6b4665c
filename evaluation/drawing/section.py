"""Sections of a report with pictures along the genome."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.artefacts.genes import GeneModel, read_genes
from evaluation.drawing import heatmap, logos, ranked, tracks
from evaluation.drawing.region import Region, neighbours, read_region
from evaluation.page.layout import Picture, Section
from evaluation.per_base.scores import WindowScores
from evaluation.per_base.stream import Baseline
from workflow.artifacts import InputError, PerBaseScores, read_table

#: Bases of the longest region drawn.
_LONGEST_REGION = 200_000
_READING_GENES = (
    "Genes: coding parts are high boxes, other exons low ones, introns lines; a triangle stands at the end of "
    "transcription."
)


def window_section(
    prepared: Path,
    predictions: Mapping[str, PerBaseScores],
    baselines: Mapping[str, Baseline],
    scores: WindowScores,
    labels: dict[str, str],
    wanted: str | None,
    bases: int,
) -> Section:
    """One window base by base, and the region around it.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.
    predictions : mapping
        Per-base predictions by model.
    baselines : mapping
        What is drawn beside them: `markov`.
    scores : WindowScores
        By which the window with the largest change is found.
    labels : dict
        What each model is called.
    wanted : str or None
        sequence_id of the window; None for the one with the largest change.
    bases : int
        Bases of the window that are drawn base by base: those in its middle.

    Raises
    ------
    InputError
        There is no such window, or no annotation table.
    """
    store = next(iter(predictions.values()))
    row, chosen = _choose(store.index, scores, labels, wanted)
    window = store.index.iloc[row]
    name, is_reverse = str(window["sequence_id"]), str(window["strand"]) == "-"
    observed = np.asarray(store.window(row)[1])
    size = min(bases, len(observed))
    first = (len(observed) - size) // 2
    part = slice(first, first + size)
    shown = {model: np.asarray(scores.window(row)[0][part]) for model, scores in predictions.items()}
    start, rows = np.zeros(1, np.int64), slice(row, row + 1)
    computed = {name: model.logprobs(observed, start, rows)[part] for name, model in baselines.items()}
    middle = f"the middle {size:,} bases of {name} ({chosen})"
    pictures = [
        Picture(
            "heatmap",
            heatmap.window_heatmap(shown, observed[part], labels, first),
            f"Log-probabilities of each base in {middle}.",
            "Each column is a position and each row a base, brighter where the model finds it more probable; a dot "
            "marks the base that is there, so that dots on bright cells are good predictions.",
        ),
        Picture(
            "predictive_logo",
            logos.predictive_logo(shown | computed, observed[part], labels, first),
            "What the models and the baseline expect at each of the same positions, above what is there.",
            "The height of a letter is its probability × the information of the position (2 bits − entropy): a tall "
            "letter is a firm expectation, right where it stands above the same letter below, and a flat position is "
            "no expectation. Each has read only what lies to the left.",
        ),
    ]
    if int(window["end"]) - int(window["start"]) != int(window["length"]):
        remark = f"{name} joins exons: it lies at no one stretch of the genome, and its surroundings are not drawn."
        return Section("One window, base by base", pictures=pictures, remarks=[remark])
    reach = (first, first + size) if not is_reverse else (len(observed) - first - size, len(observed) - first)
    shaded = (int(window["start"]) + reach[0], int(window["start"]) + reach[1])
    alone = read_region(predictions, baselines, np.array([row]))
    around = read_region(predictions, baselines, neighbours(store.index, row, _LONGEST_REGION))
    genes = _genes(prepared, around)
    pictures += [
        Picture(
            "entropy",
            tracks.entropy_track(alone, labels, genes, shaded),
            f"Entropy of the next base along {name}.",
            f"Low values are stretches where the model is sure, rightly or not; 2 bits is no idea at all. "
            f"{tracks.reading(alone)} The grey band is the part shown above. {_READING_GENES}",
        ),
        Picture(
            "region",
            heatmap.region_heatmap(around, labels, genes),
            f"The {len(around):,} bases of neighbouring windows around it.",
            f"{heatmap.reading(around)} From the top: log-probability of A, C, G and T, whichever of them is there; "
            "NLL of the observed bases (lower is better) beside the baselines; and the gain, NLL of the base model − "
            f"NLL of the adapted model, where a run has both. {_READING_GENES}",
        ),
    ]
    return Section("One window, base by base", pictures=pictures)


def ranking_section(store: PerBaseScores, scores: WindowScores, labels: dict[str, str]) -> Section:
    """The windows in order of their gain, and what GC and length have to do with it.

    Parameters
    ----------
    store : PerBaseScores
        Predictions of any model: their observed bases are read.
    scores : WindowScores
    labels : dict
        What each model is called.
    """
    rows = pd.Index(store.index["sequence_id"]).get_indexer(pd.Index(scores.table["sequence_id"]))
    pictures = [
        Picture(
            "ranking",
            ranked.ranked_list(scores, labels),
            "Gain of every window, the largest first.",
            "What lies above 0 has improved. Of many windows, neighbours in the ranking are drawn as their mean, and "
            "so is the Markov baseline, in the same order. tables/windows.csv has all windows.",
        ),
        Picture(
            "composition",
            ranked.composition(scores, ranked.window_gc(store)[rows], labels),
            "a, NLL and GC of the windows; b, gain and GC; c, gain and length.",
            "Lines and bands are medians and quartiles of groups of equally many windows; a dot is a window, where "
            "there are few. A gain that depends on GC as the Markov baseline's does may be one of composition.",
        ),
    ]
    return Section("Ranked windows", pictures=pictures)


def _choose(
    index: pd.DataFrame, scores: WindowScores, labels: Mapping[str, str], wanted: str | None
) -> tuple[int, str]:
    """Row of the window that is drawn, and why it was chosen."""
    identifiers = index["sequence_id"].astype(str)
    if wanted is not None:
        rows = np.flatnonzero(identifiers == wanted)
        if not len(rows):
            raise InputError(
                f"evaluation.heatmap_window={wanted} is no scored window; they are named like {identifiers.iloc[0]}"
            )
        return int(rows[0]), "chosen by the user"
    model, reference = scores.main_pair
    extreme = str(scores.table["sequence_id"].iloc[int(np.abs(scores.gain(model, reference)).argmax())])
    reason = f"the window in which {labels[model]} and {labels[reference]} differ most"
    return int(np.flatnonzero(identifiers == extreme)[0]), reason


def _genes(prepared: Path, region: Region) -> list[GeneModel]:
    """Gene models of a region; none where the genome came without annotation."""
    sequences = read_table(prepared / "sequences.parquet", ["seqid", "length"])
    lengths = dict(zip(sequences["seqid"], sequences["length"], strict=True))
    if region.seqid not in lengths:
        raise InputError(
            f"{prepared / 'sequences.parquet'} has no sequence {region.seqid}, which was scored: "
            "run stage=predict again with force=true"
        )
    annotation = prepared / "annotation.parquet"
    return read_genes(annotation, region.seqid, region.start, region.end, int(lengths[region.seqid]))
