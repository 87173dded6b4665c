"""Model scores against measured values: does the model find likely what the experiment finds active?

Beside the models stand what they must beat: the run's Markov model, and a regression of the measured value on k-mers.
The regression has learned from measured values of other rows, as a model that was never shown any has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.artefacts.records import stage_record
from evaluation.baselines.kmers import cross_validated_scores
from evaluation.baselines.markov import MarkovModel
from evaluation.statistics.bootstrap import Interval
from evaluation.statistics.correlations import Correlations, correlate
from workflow.artifacts import InputError, read_table

#: In this order everywhere; those of the run's models that it has, then the baselines.
MODELS, BASELINES = ("base", "adapted"), ("markov", "kmer")


@dataclass(frozen=True)
class Experiment:
    """Scores beside measurements.

    Attributes
    ----------
    table : DataFrame
        row, id, sequence, value, group, gc, length, and for each of `scores` a column `score_<name>`: mean
        log-likelihood in nats per base; of `kmer` the value that is predicted out of fold.
    value_name : str
        Name of the measured column.
    scores : tuple of str
        Models and baselines.
    correlations : dict
        By score.
    differences : dict
        Spearman of one − Spearman of the other, by (one, other), for every ordered pair.
    groups : int or None
        Groups of rows that were resampled as wholes; None where rows were.
    without_score : int
        Rows left out because a model has no score for them: their sequence has no A, C, G, T.
    repeated : int
        Rows whose sequence another row has as well.
    both_strands : bool
        Whether log-likelihoods are the means of both strands.
    """

    table: pd.DataFrame
    value_name: str
    scores: tuple[str, ...]
    correlations: dict[str, Correlations]
    differences: dict[tuple[str, str], Interval]
    groups: int | None
    without_score: int
    repeated: int
    both_strands: bool

    def score(self, name: str) -> np.ndarray:
        """(n,) scores of a model or baseline."""
        values: np.ndarray = self.table[f"score_{name}"].to_numpy(np.float64)
        return values

    def pairs(self) -> list[tuple[str, str]]:
        """Differences that are shown: adapted over base, and each model over each baseline."""
        models = [name for name in MODELS if name in self.scores]
        pairs = [("adapted", "base")] if len(models) == len(MODELS) else []
        return pairs + [(model, name) for model in reversed(models) for name in BASELINES if name in self.scores]


def read(run: Path, markov: MarkovModel | None, samples: int, confidence: float, seed: int) -> Experiment:
    """Read what the stage `experiment` published in a run folder, and analyse it.

    Raises
    ------
    InputError
        The stage has not run, or was run by another version.
    """
    settings = stage_record(run / "experiment")
    return analyse(
        read_table(run / "experiment" / "experiment.parquet"),
        str(settings.value("config", "experiment", "value_column")),
        markov,
        both_strands=bool(settings.value("config", "experiment", "reverse_complement")),
        samples=samples,
        confidence=confidence,
        seed=seed,
    )


def analyse(
    table: pd.DataFrame,
    value_name: str,
    markov: MarkovModel | None,
    *,
    both_strands: bool = True,
    samples: int,
    confidence: float,
    seed: int,
) -> Experiment:
    """Correlate the scores of every model and baseline with the measured values.

    Parameters
    ----------
    table : DataFrame
        row, id, sequence, value, group (NA where there are none), gc, length, and `score_<model>`.
    value_name : str
    markov : MarkovModel, optional
        The run's baseline.
    both_strands : bool
        Whether the models' scores are means of both strands: then the Markov model's are, too.
    samples, confidence, seed : int, float, int
        Number of resamplings, coverage of the intervals, seed of resampling and of the folds.

    Raises
    ------
    InputError
        The table has no model's scores.
    """
    models = tuple(name for name in MODELS if f"score_{name}" in table)
    if not models:
        raise InputError(
            "experiment/experiment.parquet has no column score_base or score_adapted: run stage=experiment"
        )
    sequences = table["sequence"].astype(str)
    if markov is not None:
        score = markov.strand_average if both_strands else markov.average
        table = table.assign(score_markov=[score(sequence) for sequence in sequences])
    scored = [f"score_{name}" for name in (*models, "markov") if f"score_{name}" in table]
    has_scores = np.isfinite(table[scored].to_numpy(np.float64)).all(axis=1)
    table = table[has_scores].reset_index(drop=True)
    sequences = table["sequence"].astype(str)
    value, is_grouped = table["value"].to_numpy(np.float64), bool(table["group"].notna().any())
    groups = table["group"].astype(str).to_numpy(str) if is_grouped else None
    table = table.assign(score_kmer=cross_validated_scores(sequences.tolist(), value, "value", groups, seed))
    names = tuple(name for name in (*MODELS, *BASELINES) if f"score_{name}" in table)
    correlations, differences = correlate(
        value,
        {name: table[f"score_{name}"].to_numpy(np.float64) for name in names},
        table[["gc", "length"]].to_numpy(np.float64),
        np.arange(len(table)) if groups is None else groups,
        samples,
        confidence,
        seed,
    )
    return Experiment(
        table,
        value_name,
        names,
        correlations,
        differences,
        None if groups is None else len(np.unique(groups)),
        int((~has_scores).sum()),
        int(sequences.str.upper().duplicated(keep=False).sum()),
        both_strands,
    )


def metrics(experiment: Experiment) -> dict[str, Any]:
    """What metrics.json says of the experiment."""
    return {
        "value": experiment.value_name,
        "rows": len(experiment.table),
        "groups": experiment.groups,
        "rows_without_score": experiment.without_score,
        "rows_with_a_repeated_sequence": experiment.repeated,
        "scores": {
            name: {measure: vars(value) for measure, value in vars(experiment.correlations[name]).items()}
            for name in experiment.scores
        },
        "spearman_differences": [
            {"score": one, "reference": other} | vars(experiment.differences[one, other])
            for one, other in experiment.pairs()
        ],
    }
