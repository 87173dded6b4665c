"""A model's scores on a benchmark, beside its baselines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.benchmarking.folder import Benchmark
from evaluation.benchmarking.results import Identity, keep_task, keep_windows
from evaluation.benchmarking.submission import hash_submission, read_submission, read_user_scores
from evaluation.benchmarking.tasks import measure
from evaluation.per_base.scores import REPEATS, UNIFORM_NLL
from evaluation.per_base.shared import WindowSums
from evaluation.per_base.strata import CLASSES
from evaluation.statistics.blocks import BlockMeans, block_sums

UNIFORM = "uniform"


def score_windows(benchmark: Benchmark, scores: Path, model: str, date: str) -> None:
    """Score a model on the windows and keep the result in the benchmark's tables.

    Parameters
    ----------
    benchmark : Benchmark
        From `evaluation.benchmarking.folder.open_benchmark`.
    scores : Path
        See `evaluation.benchmarking.submission.read_submission`.
    model, date : str
        What the model is called, and when it was scored (YYYY-MM-DD).

    Raises
    ------
    InputError
        The scores do not fit the benchmark; a baseline or other scores have the same name.
    """
    sums = read_submission(scores, benchmark, model)
    identity = Identity(model, date, hash_submission(scores), benchmark.fingerprint)
    keep_windows(benchmark.folder, _measured(benchmark, sums, benchmark.baselines), identity)


def score_baselines(benchmark: Benchmark) -> None:
    """Keep the results of the baselines, which are the first in the tables."""
    baselines = benchmark.baselines
    nll = baselines.nll | {UNIFORM: UNIFORM_NLL * baselines.bases}
    correct = baselines.correct | {UNIFORM: baselines.bases / 4}
    for name in nll:
        alone = replace(baselines, nll={name: nll[name]}, correct={name: correct[name]})
        measured = _measured(benchmark, alone, baselines)
        # What a baseline gains over itself is no result.
        measured[[f"gain_over_{name}{end}" for end in ("", "_low", "_high")]] = np.nan
        keep_windows(benchmark.folder, measured, Identity(name))


def score_task(benchmark: Benchmark, scores: Path, model: str, date: str, task: str) -> None:
    """Score a model on a task, from a table with id and score, and keep the result. See `score_windows`."""
    given = read_user_scores(scores, ["id", "score"]).set_index("id")["score"]
    rows = measure(benchmark.folder, task, given, **benchmark.intervals)
    keep_task(benchmark.folder, rows, Identity(model, date, hash_submission(scores), benchmark.fingerprint))


def _measured(benchmark: Benchmark, sums: WindowSums, baselines: WindowSums) -> pd.DataFrame:
    return by_stratum(sums, baselines, benchmark.index["block"].to_numpy(), **benchmark.intervals)


def by_stratum(
    sums: WindowSums, baselines: WindowSums, blocks: np.ndarray, samples: int, confidence: float, seed: int
) -> pd.DataFrame:
    """A model's NLL, accuracy and gain over each baseline, outside and in repeats and by class of base.

    Parameters
    ----------
    sums : WindowSums
        Of one model.
    baselines : WindowSums
        Of the baselines, over the same windows and bases.
    blocks : ndarray, (windows,) int64
        What is resampled.
    samples, confidence, seed : int, float, int
        Of the intervals.

    Returns
    -------
    DataFrame
        A row a stratum that has bases and is known of the model: stratum, bases; nll, accuracy, gain_over_<baseline>
        (nats per base), each with `_low` and `_high`.
    """
    [(model, nll)] = sums.nll.items()
    bases = _strata(sums.bases)
    known = np.flatnonzero((bases.sum(axis=0) > 0) & np.isfinite(_strata(nll)).all(axis=0))
    of_models = [nll, *baselines.nll.values(), UNIFORM_NLL * sums.bases, sums.correct[model]]
    columns = np.stack([_strata(values)[:, known] for values in of_models], axis=2)
    count = int(blocks.max()) + 1
    grouped = block_sums(columns.reshape(len(columns), -1), blocks, count).reshape(count, *columns.shape[1:])
    means = BlockMeans(grouped, block_sums(bases[:, known], blocks, count), samples, confidence, seed)
    references = [*baselines.nll, UNIFORM]
    measured = {"nll": means.means(0), "accuracy": means.means(len(references) + 1)}
    measured |= {f"gain_over_{name}": means.differences(0, place + 1) for place, name in enumerate(references)}
    table = {"stratum": np.array([*REPEATS, *CLASSES], dtype=object)[known], "bases": bases[:, known].sum(axis=0)}
    for name, of_strata in measured.items():
        table |= {name: of_strata.estimate, f"{name}_low": of_strata.low, f"{name}_high": of_strata.high}
    return pd.DataFrame(table)


def _strata(values: np.ndarray) -> np.ndarray:
    """From the strata of `WindowSums` to those that are shown: repeats and other bases, and named classes."""
    whole, repeat, classes = values[:, 0], values[:, 1], values[:, 2:]
    named = [classes[:, list(codes)].sum(axis=1) for codes in CLASSES.values()]
    return np.column_stack([whole, whole - repeat, repeat, *named])
