"""The whole per-base analysis of a run, in one pass over its predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from evaluation.per_base.calibration import Calibration, CalibrationTally, calibrate
from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.comparison import Comparison, compare
from evaluation.per_base.scores import WindowScores
from evaluation.per_base.strata import ClassTally, Strata, stratify
from evaluation.per_base.stream import Baseline, Tally, stream
from evaluation.per_base.windows import WindowTally
from evaluation.statistics.blocks import blocks
from workflow.artifacts import PerBaseScores


@dataclass(frozen=True)
class PerBaseResult:
    """What the predictions say: scores of each window, models compared, by stratum, and their calibration."""

    scores: WindowScores
    comparison: Comparison
    strata: Strata
    calibration: Calibration


def analyse(
    predictions: Mapping[str, PerBaseScores],
    baselines: Mapping[str, Baseline],
    classes: ClassTrack | None,
    sequences: pd.DataFrame,
    samples: int,
    confidence: float,
    seed: int,
    extra_tallies: Sequence[Tally] = (),
) -> PerBaseResult:
    """Read all predictions once and estimate everything.

    Parameters
    ----------
    predictions : mapping
        Published per-base predictions by model name.
    baselines : mapping
        Models that are computed on the fly; `markov` must be among them.
    classes : ClassTrack or None
        The class of each base.
    sequences : DataFrame
        prepare/sequences.parquet: seqid, length, group, haplotype, subgenome.
    samples, confidence, seed : int, float, int
        Resamplings of the blocks, coverage of the intervals, seed of the generator.
    extra_tallies : sequence of Tally
        Further analyses that see the same pass.

    Raises
    ------
    InputError
        As `evaluation.per_base.stream.stream`; or nothing could be scored.
    """
    index = next(iter(predictions.values())).index
    models = (*predictions, *baselines)
    of_window = blocks(index, sequences)
    count = int(of_window.max(initial=0)) + 1
    windows, by_class = WindowTally(index, models), ClassTally(models, count)
    calibration = CalibrationTally(models, count)
    tallies: tuple[Tally, ...] = (windows, by_class, calibration, *extra_tallies)
    for chunk in stream(predictions, baselines, classes):
        for tally in tallies:
            tally.add(chunk, of_window[chunk.rows])
    scores = windows.result()
    return PerBaseResult(
        scores,
        compare(scores, samples, confidence, seed),
        stratify(scores, by_class, sequences, samples, confidence, seed),
        calibrate(calibration, samples, confidence, seed),
    )
