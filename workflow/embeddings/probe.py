"""A linear probe: how much each layer's embeddings know of a label or a number, beside counts of k-mers.

Probes were proposed by Alain & Bengio 2016, arXiv:1610.01644; a layer that knows no more than the composition of the
sequence is not worth its computation.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow.console import say
from workflow.errors import InputError
from workflow.genome.alphabet import BASE_CODE
from workflow.labels.similarity import canonical
from workflow.tables import MISSING, numbers

FOLDS = 5
KMERS = (1, 2, 3, 4)
#: More sequences than these change little and take long: a sample of so many is learned from.
MOST = 5000
#: A column of numbers with fewer different values is one of labels.
_FEWEST_NUMBERS = 20
_LABELS, _NUMBERS = "balanced accuracy", "Spearman correlation"
#: One-sided, of what is called better.
_ERROR = 0.05


@dataclass(frozen=True)
class Target:
    """What is to be learned.

    Attributes
    ----------
    column : str
    rows : ndarray, (n,) int64
        Sequences that have it, by their number; rising.
    truth : ndarray, (n,)
        int64 codes of labels, or float64 numbers.
    classes : tuple of str
        The labels; empty for numbers.
    """

    column: str
    rows: np.ndarray
    truth: np.ndarray
    classes: tuple[str, ...]

    @property
    def metric(self) -> str:
        """How predictions are judged."""
        return _LABELS if self.classes else _NUMBERS


def read_target(table: pd.DataFrame, column: str, path: Path, seed: int, *, sequence_column: str) -> Target:
    """What the probe learns, of a column of a table.

    It is one of numbers where each cell is one and more than 20 differ, else one of labels. Rows without a value, rows
    whose sequence stands in an earlier one as it is or as reverse complement (it would be learned in one fold and
    asked in another), and labels of fewer than 5 sequences are left out; of more than 5,000 rows a sample is drawn.

    Raises
    ------
    InputError
        What is left is fewer than two labels of 5 sequences, or than 20 numbers.
    """
    cells = table[column].map(lambda cell: None if cell in MISSING else cell)
    rows = np.flatnonzero(cells.notna().to_numpy())
    if len(rows) < len(cells):
        say(f"  note: {len(cells) - len(rows):,} rows have no {column} and are left out of the probe")
    copies = table[sequence_column].iloc[rows].map(lambda text: canonical(text.upper().encode())).duplicated()
    if copies.any():
        say(f"  note: {copies.sum():,} rows repeat a sequence, on either strand, and are left out of the probe")
    rows = _sample(rows[~copies.to_numpy()], seed)
    known = cells.iloc[rows]
    if known.nunique() > _FEWEST_NUMBERS and pd.to_numeric(known, errors="coerce").notna().all():
        return Target(column, rows, numbers(table.iloc[rows], column, path), ())
    counts = known.value_counts()
    usual = sorted(counts.index[counts >= FOLDS])
    if len(usual) < len(counts):
        say(f"  note: {len(counts) - len(usual):,} labels of fewer than {FOLDS} sequences are left out of the probe")
    if len(usual) < 2:
        raise InputError(
            f"{path}, column {column}: a probe needs two labels of {FOLDS} sequences each, there are {len(usual)}; "
            "give another embed.probe, or none"
        )
    rows = rows[known.isin(usual).to_numpy()]
    codes = pd.Categorical(cells.iloc[rows], categories=usual).codes.astype(np.int64)
    return Target(column, rows, codes, tuple(usual))


def probe(
    target: Target, embeddings: np.ndarray, layers: Sequence[int], sequences: Iterable[np.ndarray], seed: int
) -> pd.DataFrame:
    """Judge each layer, and counts of k-mers, by cross-validation on the same five folds.

    Of labels a logistic regression is judged by its balanced accuracy (mean of the classes' recalls), of numbers a
    ridge regression by Spearman's correlation. Features are standardised by the training folds.

    Parameters
    ----------
    target : Target
    embeddings : ndarray, (sequences, layers, dimensions)
        May be memory-mapped.
    layers : sequence of int
    sequences : iterable of ndarray
        Bases of the target's rows.
    seed : int
        Of the folds.

    Returns
    -------
    DataFrame
        A row for each of `layer 0`, …, `k-mers 1-4` and, of labels, `majority`: source, layer (−1 where there is
        none), metric, mean, sd over the folds, n; gain_mean, gain_sd: the difference, fold by fold, to the k-mers or,
        where that is more, to chance (of labels the majority, of numbers 0); behind_mean, behind_sd: that of the best
        layer to this source.
    """
    folds = _folds(target, seed)
    sources: dict[str, tuple[int, np.ndarray]] = {
        f"k-mers {KMERS[0]}-{KMERS[-1]}": (-1, _by_fold(target, kmer_shares(sequences), folds))
    }
    chance = np.zeros(FOLDS)
    if target.classes:
        # Whoever always says the same has one recall of 1, all others of 0.
        chance += 1 / len(target.classes)
        sources["majority"] = (-1, chance)
    ((_, kmers), *_) = sources.values()
    reference = kmers if kmers.mean() > chance.mean() else chance
    for place, layer in enumerate(layers):
        features = np.asarray(embeddings[target.rows, place], np.float32)
        sources[f"layer {layer}"] = (layer, _by_fold(target, features, folds))
    best = max((scores for layer, scores in sources.values() if layer >= 0), key=lambda scores: _known(scores.mean()))
    records = [
        {
            "source": name,
            "layer": layer,
            "metric": target.metric,
            "mean": scores.mean(),
            "sd": scores.std(ddof=1),
            "n": len(target.rows),
            "gain_mean": (scores - reference).mean(),
            "gain_sd": (scores - reference).std(ddof=1),
            "behind_mean": (best - scores).mean(),
            "behind_sd": (best - scores).std(ddof=1),
        }
        for name, (layer, scores) in sources.items()
    ]
    return pd.DataFrame(records)


def advice(found: pd.DataFrame) -> str:
    """One sentence: which layer to use, which others may be as good, and whether it is better than k-mers and chance.

    What is better is told by the t test for repeated folds, whose training parts overlap (Nadeau & Bengio 2003,
    doi:10.1023/A:1024068626366), at 5 % one-sided. The best of many layers is flattered by having been chosen: for its
    gain the 5 % are divided by their number.
    """
    rows: list[Any] = found.to_dict("records")
    kmers = next(row for row in rows if row["source"].startswith("k-mers"))
    layers = [row for row in rows if row["layer"] >= 0]
    judged = [row for row in layers if not np.isnan(row["mean"])]
    if not judged:
        return "no layer says anything: its predictions are constant"
    best = max(judged, key=lambda row: row["mean"])
    of = f" of {layers[0]['layer']}..{layers[-1]['layer']}" if len(layers) > 1 else ""
    counted = "–" if np.isnan(kmers["mean"]) else f"{kmers['mean']:.2f}"
    told = f"layer {best['layer']}{of}: {best['metric']} {best['mean']:.2f} ± {best['sd']:.2f}"
    told += f"; k-mer counts give {counted}"
    if not _is_above(best["gain_mean"], best["gain_sd"], len(layers)):
        return f"{told}; no layer is shown to be better than k-mer counts and chance"
    alike = [
        str(row["layer"]) for row in judged if row is not best and not _is_above(row["behind_mean"], row["behind_sd"])
    ]
    return told + (f"; not shown to be worse: {', '.join(alike)}" if alike else "")


def _is_above(mean: float, sd: float, chosen_of: int = 1) -> bool:
    """Whether a difference, of so many the largest, is above 0 by its mean and standard deviation over the folds."""
    from scipy.stats import t

    error = sd * (1 / FOLDS + 1 / (FOLDS - 1)) ** 0.5
    return bool(mean > t.isf(_ERROR / chosen_of, FOLDS - 1) * error)


def kmer_shares(sequences: Iterable[np.ndarray], lengths: Sequence[int] = KMERS) -> np.ndarray:
    """Share of each k-mer of A, C, G, T among those of its length in a sequence: (n, Σ 4ᵏ) float32."""
    return np.stack([np.concatenate([_shares(BASE_CODE[bases], k) for k in lengths]) for bases in sequences])


def _shares(codes: np.ndarray, k: int) -> np.ndarray:
    """Of the codes of one sequence, of which those above 3 are no letters: (4ᵏ,) float32."""
    count = max(len(codes) - k + 1, 0)
    words, is_plain = np.zeros(count, np.int32), np.ones(count, bool)
    for start in range(k):
        letters = codes[start : start + count]
        words = 4 * words + letters
        is_plain &= letters < 4
    words = words[is_plain]
    return (np.bincount(words, minlength=4**k) / max(len(words), 1)).astype(np.float32)


def _known(mean: float) -> float:
    return -np.inf if np.isnan(mean) else mean


def _sample(rows: np.ndarray, seed: int) -> np.ndarray:
    if len(rows) <= MOST:
        return rows
    say(f"  note: the probe learns from a sample of {MOST:,} of {len(rows):,} sequences")
    return np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))


def _folds(target: Target, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import KFold, StratifiedKFold

    folds = (StratifiedKFold if target.classes else KFold)(FOLDS, shuffle=True, random_state=seed)
    return list(folds.split(target.truth[:, None], target.truth))


def _by_fold(target: Target, features: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Score of each fold, (5,) float64; NaN where it is undefined."""
    from scipy.stats import spearmanr
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = []
    for train, test in folds:
        learner = LogisticRegression(C=0.1, max_iter=300) if target.classes else RidgeCV(np.logspace(0, 6, 7))
        model = make_pipeline(StandardScaler(), learner)
        with warnings.catch_warnings():
            # What is not quite converged is judged like everything else.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features[train], target.truth[train])
        predicted, true = model.predict(features[test]), target.truth[test]
        if target.classes:
            scores.append(float(balanced_accuracy_score(true, predicted)))
        else:
            is_constant = np.ptp(predicted) == 0 or np.ptp(true) == 0
            scores.append(np.nan if is_constant else float(spearmanr(true, predicted).statistic))
    return np.array(scores)
