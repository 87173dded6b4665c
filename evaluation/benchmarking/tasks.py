"""The tasks of a benchmark beside the likelihood of its windows: inputs and labels, without any model's scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from evaluation.baselines.kmers import cross_validated_scores
from evaluation.benchmarking.folder import TASKS
from evaluation.statistics.bootstrap import Interval, correlation
from evaluation.statistics.ranking import ranking
from workflow.artifacts import InputError

#: What a model's own score is called in the tables of the stages.
_SCORES = ("score_", "delta_")
_KMER = "kmer"
_MEASURES = {"label": "AUROC", "value": "Spearman"}


@dataclass(frozen=True)
class Question:
    """One comparison that a task asks for.

    Attributes
    ----------
    name : str
    rows : ndarray of bool, (rows of the task,)
        Those that it is about.
    target : ndarray, (rows,)
        Label (bool) or measured value (float) of each row; of no meaning elsewhere.
    """

    name: str
    rows: np.ndarray
    target: np.ndarray

    @property
    def kind(self) -> Literal["label", "value"]:
        """Whether labels are ranked (AUROC), or values correlated (Spearman)."""
        return "label" if self.target.dtype == bool else "value"


def pack_tasks(run: Path, out: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Write the tables of the stages that a run has, with a k-mer baseline, and tell what they are.

    Parameters
    ----------
    run : Path
    out : Path
        Folder of the benchmark.
    seed : int
        Of the division in folds of the baseline: k-mer counts with ridge or logistic regression, cross-validated.

    Returns
    -------
    dict
        By task: about (a sentence), rows.

    Raises
    ------
    InputError
        Two rows of a task have the same id.
    """
    packed = {}
    for name, task in _TASKS.items():
        path = run / name / f"{name}.parquet"
        if not path.exists():
            continue
        table = pd.read_parquet(path)
        table = table[[column for column in table.columns if not str(column).startswith(_SCORES)]]
        # Ids of the user's own, where a table has them, need not be unique.
        table = table.drop(columns="id", errors="ignore")
        table.insert(0, "id", task.identify(table))
        if table["id"].duplicated().any():
            raise InputError(f"{path} has two rows with the id {table['id'][table['id'].duplicated()].iloc[0]}")
        sequences = task.sequences(table)
        for question in task.questions(table):
            chosen = [sequence for sequence, is_in in zip(sequences, question.rows, strict=True) if is_in]
            column = np.full(len(table), np.nan)
            column[question.rows] = cross_validated_scores(
                chosen, question.target[question.rows], question.kind, seed=seed
            )
            table[f"{_KMER}:{question.name}"] = column
        (out / TASKS).mkdir(exist_ok=True)
        table.to_parquet(out / TASKS / f"{name}.parquet", index=False)
        packed[name] = {"about": task.about, "rows": len(table)}
    return packed


def measure(
    benchmark: Path, name: str, scores: pd.Series, *, samples: int, confidence: float, seed: int
) -> pd.DataFrame:
    """Score a model on a task, beside the k-mer baseline.

    Parameters
    ----------
    benchmark : Path
        Folder of the benchmark.
    name : str
        Of the task.
    scores : Series
        By id.
    samples, confidence, seed : int, float, int
        Of the intervals over rows.

    Returns
    -------
    DataFrame
        One row a question: question, measure (AUROC or Spearman), rows, and value and baseline with their ends.

    Raises
    ------
    InputError
        There is no such task; ids are missing or unknown.
    """
    path = benchmark / TASKS / f"{name}.parquet"
    if name not in _TASKS or not path.exists():
        there = ", ".join(sorted(found.stem for found in (benchmark / TASKS).glob("*.parquet"))) or "none"
        raise InputError(f"{benchmark} has no task {name}; it has: {there}")
    task, table = _TASKS[name], pd.read_parquet(path)
    identifiers = table["id"].astype(str)
    given = scores.reindex(identifiers).to_numpy(float)
    if np.isnan(given).any():
        missing = identifiers[np.isnan(given)]
        raise InputError(
            f"{len(missing):,} of {len(table):,} rows of the task {name} have no score, such as {missing.iloc[0]}"
        )
    unknown = scores.index.difference(pd.Index(identifiers))
    if len(unknown):
        raise InputError(f"{len(unknown):,} scores are of no row of the task {name}, such as {unknown[0]}")
    rows = []
    for question in task.questions(table):
        compared = {"value": task.sign * given, "baseline": table[f"{_KMER}:{question.name}"].to_numpy(float)}
        chosen = {model: values[question.rows] for model, values in compared.items()}
        measured = _measured(chosen, question.target[question.rows], samples, confidence, seed)
        row: dict[str, object] = {
            "task": name,
            "question": question.name,
            "measure": _MEASURES[question.kind],
            "rows": int(question.rows.sum()),
        }
        for model, value in measured.items():
            row |= {model: value.estimate, f"{model}_low": value.low, f"{model}_high": value.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _measured(
    scores: dict[str, np.ndarray], target: np.ndarray, samples: int, confidence: float, seed: int
) -> dict[str, Interval]:
    nothing = Interval(np.nan, np.nan, np.nan)
    known = {model: values for model, values in scores.items() if np.isfinite(values).all() and len(values) > 1}
    if target.dtype == bool:
        found = ranking(known, target, samples, confidence, seed).auroc if known else {}
    else:
        found = {
            model: correlation(values, target, "spearman", samples, confidence, seed) for model, values in known.items()
        }
    return {model: found.get(model, nothing) for model in scores}


# ---------------------------------------------------------------- the tasks


@dataclass(frozen=True)
class _Task:
    """How the table of a stage becomes a task; `sign` turns a score so that higher is more likely positive."""

    about: str
    sign: int
    identify: Callable[[pd.DataFrame], pd.Series]
    sequences: Callable[[pd.DataFrame], list[str]]
    questions: Callable[[pd.DataFrame], list[Question]]


def _variant_questions(table: pd.DataFrame) -> list[Question]:
    questions = []
    labelled = table["positive"].notna().to_numpy()
    if labelled.any():
        questions.append(Question("label", labelled, table["positive"].astype("boolean").fillna(False).to_numpy(bool)))
    measured = table["measured"].notna().to_numpy()
    if measured.any():
        # A lower measured value is the more damaged one, as a lower score is; `sign` has turned the score.
        questions.append(Question("measured", measured, -table["measured"].to_numpy(float)))
    return questions


def _element_questions(table: pd.DataFrame) -> list[Question]:
    kinds = table["set"].astype(str).to_numpy()
    return [
        Question(f"element against {other}", np.isin(kinds, ["element", other]), kinds == "element")
        for other in ("background", "shuffled")
        if (kinds == other).any()
    ]


def _experiment_questions(table: pd.DataFrame) -> list[Question]:
    values = table["value"].to_numpy(float)
    return [Question("value", np.isfinite(values), values)]


_TASKS = {
    "variants": _Task(
        "score each variant by ln P(alternative) − ln P(reference) of a window around it; lower counts as damaging",
        -1,
        lambda table: table["variant_id"].astype(str),
        lambda table: [
            f"{left}{alt}{right}"
            for left, alt, right in zip(table["left_flank"], table["alt"], table["right_flank"], strict=True)
        ],
        _variant_questions,
    ),
    "elements": _Task(
        "score each sequence by its mean log-likelihood per base; higher counts as an element",
        1,
        lambda table: table["set"].astype(str) + ":" + table["element_id"].astype(str),
        lambda table: table["sequence"].astype(str).tolist(),
        _element_questions,
    ),
    "experiment": _Task(
        "score each sequence by its mean log-likelihood per base; higher counts as a higher measured value",
        1,
        lambda table: table["row"].astype(str),
        lambda table: table["sequence"].astype(str).tolist(),
        _experiment_questions,
    ),
}
