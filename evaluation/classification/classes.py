"""What is told class by class: precision and recall, what is taken for what, and which sequences methods share."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.classification.measures import BINS, bins_of, confidences
from evaluation.classification.reading import Classified, Method
from evaluation.statistics.bootstrap import Interval, correlation, fewest_rows
from evaluation.statistics.groups import FEW_SAMPLES, ratio

#: Classes that a rank correlation takes.
FEWEST_CLASSES = 3


def confusion(data: Classified, method: Method, level: str) -> np.ndarray:
    """(classes, classes + 1) rows by true class and predicted class; in the last column those without a prediction."""
    size, used = len(data.classes[level]), data.used(level)
    cells = data.true[level][used] * (size + 1) + method.predicted[level][used]
    return np.bincount(cells, minlength=size * (size + 1)).reshape(size, size + 1)


def class_table(matrix: np.ndarray) -> pd.DataFrame:
    """Precision, recall, f1 and support of each class of a confusion matrix.

    NaN for a class without a true row. Precision is 0 for one that is never predicted.
    """
    true, predicted, hits = matrix.sum(axis=1), matrix.sum(axis=0)[:-1], np.diagonal(matrix)
    precision = np.where(true > 0, np.where(predicted > 0, ratio(hits, predicted), 0.0), np.nan)
    f1 = np.where(true > 0, ratio(2 * hits, true + predicted), np.nan)
    return pd.DataFrame({"precision": precision, "recall": ratio(hits, true), "f1": f1, "support": true})


def f1_and_support(table: pd.DataFrame, confidence: float, seed: int) -> Interval:
    """Spearman's correlation of F1 and support over the classes; NaN with fewer than 3, or where one is constant."""
    known = table[table["support"] > 0]
    f1, support = known["f1"].to_numpy(float), known["support"].to_numpy(float)
    nothing = float("nan")
    if len(known) < FEWEST_CLASSES or np.ptp(f1) == 0 or np.ptp(support) == 0:
        return Interval(nothing, nothing, nothing)
    found = correlation(support, f1, "spearman", FEW_SAMPLES, confidence, seed)
    return found if len(known) >= fewest_rows(confidence) else Interval(found.estimate, nothing, nothing)


def order(data: Classified, level: str) -> np.ndarray:
    """Classes of a level as they stand along the tree: those with the same parent together."""
    place = data.levels.index(level)
    paths = [np.arange(len(data.classes[level]))]
    for above in data.parents[:place][::-1]:
        at = paths[-1]
        known = (at >= 0) & (at < len(above))
        paths.append(np.where(known, above[np.where(known, at, 0)] if len(above) else at, len(above)))
    return np.lexsort(paths)


def most_confused(matrix: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Pairs of true and predicted class that are confused most often, the most frequent first."""
    wrong = matrix[:, :-1].copy()
    np.fill_diagonal(wrong, 0)
    best = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(best, wrong.shape), strict=True)
    return [(int(true), int(told)) for true, told in pairs if wrong[true, told]]


def jaccard(data: Classified, level: str) -> np.ndarray:
    """(methods, methods) rows that both classify correctly, over those that at least one does; NaN without any."""
    used = data.used(level)
    right = np.array([(data.true[level] == method.predicted[level])[used] for method in data.methods], np.float64)
    both = right @ right.T
    alone = np.diagonal(both)
    return ratio(both, alone[:, None] + alone[None, :] - both)


def reliability(data: Classified, method: Method, level: str) -> pd.DataFrame | None:
    """Mean confidence, share of hits and rows of each bin of confidence that has rows; None without probabilities."""
    if level not in method.probabilities:
        return None
    used, predicted = data.used(level), method.predicted[level]
    confidence = confidences(predicted, method.probabilities[level])[used]
    bins = bins_of(confidence)
    rows = np.bincount(bins, minlength=BINS)
    hits = np.bincount(bins, (predicted == data.true[level])[used], BINS)
    table = pd.DataFrame(
        {"confidence": ratio(np.bincount(bins, confidence, BINS), rows), "hits": ratio(hits, rows), "rows": rows}
    )
    return table[table["rows"] > 0]
