"""The baseline for labels and measured values: k-mer counts with logistic or ridge regression.

A sequence is described by log(1 + count) of each word of 1 to 6 bases on the strand given, and by the logarithm of its
length; logarithms keep low-complexity sequences from ruling the fit. The strength of the L2 penalty is chosen on a
fifth of what the model is fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numba import njit
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from evaluation.per_base.scores import BASE_COLUMN

Kind = Literal["value", "label"]

#: Words of 1 to so many bases are counted.
LONGEST_WORD = 6
FOLDS = 5
# L2 penalties for each row of the fit, tried from the strongest until it gets worse: weak ones are slow to fit.
_PENALTIES: dict[Kind, tuple[float, ...]] = {
    "value": (1.0, 0.3, 0.1, 0.03, 0.01, 0.003),
    "label": (0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001),
}
_MOST_STEPS = 1000


def kmer_features(sequences: Sequence[str]) -> sparse.csr_array:
    """log(1 + count) of all words of 1 … 6 bases, shortest first, and log(1 + length); natural logarithms.

    Words with other letters than A, C, G, T, in either case, are left out.

    Returns
    -------
    csr_array, (n, 5461) float32
    """
    sizes = np.array([len(sequence) for sequence in sequences], np.int64)
    text = np.frombuffer("".join(sequences).encode("ascii", "replace"), np.uint8)
    borders = np.concatenate([[0], np.cumsum(sizes)])
    width = (4 ** (LONGEST_WORD + 1) - 4) // 3 + 1
    room = int(np.minimum(sizes * LONGEST_WORD, width).sum()) + len(sequences)
    values, columns = np.empty(room, np.float32), np.empty(room, np.int32)
    rows = _fill(BASE_COLUMN[text], borders, width, values, columns)
    features = sparse.csr_array((values[: rows[-1]], columns[: rows[-1]], rows), shape=(len(sequences), width))
    return features


def cross_validated_scores(
    sequences: Sequence[str], target: np.ndarray, kind: Kind, groups: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Out-of-fold predictions: each sequence is predicted by a model that has seen none of its group.

    Parameters
    ----------
    sequences : sequence of str
    target : ndarray, (n,)
        Measured values, or labels (bool, or 0 and 1).
    kind : {"value", "label"}
        Ridge or logistic regression.
    groups : ndarray, (n,), optional
        Rows of a group, such as a gene family, stay in one fold; by default those of equal sequence do.
    seed : int
        Of the division in 5 folds, to which groups are dealt at random, for labels in the same share from either.

    Returns
    -------
    ndarray, (n,) float64
        Predicted value, or log-odds of label 1. NaN where nothing could be learned: fewer than 5 groups, or one label
        alone in what a model is fitted on.
    """
    features = kmer_features(sequences)
    if groups is None:
        groups = np.array([sequence.upper() for sequence in sequences], dtype=object)
    fold = _folds(np.asarray(groups), np.asarray(target), kind, FOLDS, seed)
    scores = np.full(len(fold), np.nan)
    for number in range(FOLDS):
        held = fold == number
        scores[held] = _fit_predict(features[~held], target[~held], groups[~held], features[held], kind, seed)
    return scores


def fit_predict(train: Sequence[str], target: np.ndarray, test: Sequence[str], kind: Kind, seed: int = 0) -> np.ndarray:
    """Fit on some sequences and predict others; parameters and result as of `cross_validated_scores`."""
    groups = np.array([sequence.upper() for sequence in train], dtype=object)
    return _fit_predict(kmer_features(train), np.asarray(target), groups, kmer_features(test), kind, seed)


def _folds(groups: np.ndarray, target: np.ndarray, kind: Kind, number: int, seed: int) -> np.ndarray:
    """Fold of each row, (n,): groups are shuffled, for labels within each, and dealt; −1 when there are too few."""
    _, first, group = np.unique(groups.astype(str), return_index=True, return_inverse=True)
    if len(first) < number:
        return np.full(len(group), -1)
    stratum = np.asarray(target)[first] if kind == "label" else np.zeros(len(first))
    dealt = np.empty(len(first), np.int64)
    dealt[np.lexsort((np.random.default_rng(seed).random(len(first)), stratum))] = np.arange(len(first)) % number
    fold: np.ndarray = dealt[group]
    return fold


def _fit_predict(
    train: sparse.csr_array, target: np.ndarray, groups: np.ndarray, test: sparse.csr_array, kind: Kind, seed: int
) -> np.ndarray:
    """Choose the penalty on a fold of train, fit on all of it, predict test."""
    held = _folds(groups, target, kind, FOLDS, seed) == 0
    if not held.any() or len(np.unique(target[~held])) < 2:
        return np.full(test.shape[0], np.nan)
    best, least = 0.0, np.inf
    for penalty in _PENALTIES[kind]:
        loss = _loss(_fit(train[~held], target[~held], kind, penalty), train[held], target[held], kind)
        if loss > least:
            break
        best, least = penalty, loss
    return _predict(_fit(train, target, kind, best), test, kind)


def _fit(features: sparse.csr_array, target: np.ndarray, kind: Kind, penalty: float) -> LogisticRegression | Ridge:
    rows = len(target)
    model = (
        LogisticRegression(C=1 / (penalty * rows), max_iter=_MOST_STEPS, tol=1e-3)
        if kind == "label"
        else Ridge(alpha=penalty * rows, solver="sparse_cg", tol=1e-4)
    )
    return model.fit(features, target)


def _predict(model: LogisticRegression | Ridge, features: sparse.csr_array, kind: Kind) -> np.ndarray:
    predicted: np.ndarray = model.decision_function(features) if kind == "label" else model.predict(features)
    return predicted


def _loss(model: LogisticRegression | Ridge, features: sparse.csr_array, target: np.ndarray, kind: Kind) -> float:
    """Mean squared error of values, mean negative log-likelihood of labels."""
    predicted = _predict(model, features, kind)
    if kind == "value":
        return float(np.mean((predicted - target) ** 2))
    return float(np.mean(np.logaddexp(0, np.where(target == 1, -predicted, predicted))))


@njit(nogil=True, cache=True)
def _fill(codes, borders, width, values, columns):  # type: ignore[no-untyped-def]
    """Fill the features row by row; where each row begins."""
    rows = np.zeros(borders.shape[0], np.int64)
    counts = np.zeros(width, np.int64)
    filled = 0
    for row in range(borders.shape[0] - 1):
        counts[:] = 0
        word, seen = 0, 0
        for place in range(borders[row], borders[row + 1]):
            if codes[place] > 3:
                seen = 0
                continue
            word = ((word << 2) | codes[place]) & ((1 << (2 * LONGEST_WORD)) - 1)
            seen += 1
            first = 0
            for length in range(1, min(seen, LONGEST_WORD) + 1):
                counts[first + (word & ((1 << (2 * length)) - 1))] += 1
                first += 1 << (2 * length)
        for column in range(width - 1):
            if counts[column] > 0:
                values[filled] = np.log(1 + counts[column])
                columns[filled] = column
                filled += 1
        values[filled] = np.log(1 + borders[row + 1] - borders[row])
        columns[filled] = width - 1
        filled += 1
        rows[row + 1] = filled
    return rows
