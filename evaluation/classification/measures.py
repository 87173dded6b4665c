"""What is measured of predicted classes: functions of sums over rows, as `resampling` needs them.

Averages over classes are over those that are present in the truth, as in MicrobeRT and, with `labels`, in scikit-learn:
precision and F1 of a class that is never true are not defined. A class that is never predicted has precision 0.
"""

from __future__ import annotations

import numpy as np

from evaluation.classification.influence import macro_ranking
from evaluation.classification.resampling import Measured, Resampling
from evaluation.statistics.groups import ratio

#: Of the confusion matrix; F1 is the harmonic mean of precision and recall.
COUNTED = (
    "accuracy",
    "balanced_accuracy",
    *(f"{kind}_{average}" for average in ("macro", "micro", "weighted") for kind in ("precision", "recall", "f1")),
    "mcc",
)
#: Of the probabilities.
RANKED = ("auroc", "average_precision")
PROBABLE = ("mean_reciprocal_rank", "log_loss", "calibration_error")
MEASURES = (*COUNTED, *RANKED, *PROBABLE)
#: What each is called.
TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    **{
        f"{kind}_{average}": f"{title}, {average}"
        for average in ("macro", "micro", "weighted")
        for kind, title in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
    },
    "mcc": "MCC",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "mean_reciprocal_rank": "mean reciprocal rank",
    "log_loss": "log-loss (nats)",
    "calibration_error": "calibration error",
    "spearman": "Spearman",
    "pearson": "Pearson",
    "r2": "R²",
    "rmse": "RMSE",
}
#: Where less is better.
LOWER_IS_BETTER = frozenset({"log_loss", "calibration_error", "rmse"})
#: Bins of equal width of the confidence, for the calibration.
BINS = 15
_SMALLEST = float(np.finfo(np.float32).tiny)


def measure_classes(
    resampling: Resampling,
    true: np.ndarray,
    predicted: np.ndarray,
    classes: int,
    probabilities: np.ndarray | None,
    used: np.ndarray,
) -> dict[str, Measured]:
    """Every measure of one level and method.

    Parameters
    ----------
    resampling : Resampling
    true, predicted : ndarray, (n,) int64
        Class of each row; `classes` where none was predicted.
    classes : int
        Number of classes, those included that training has not seen.
    probabilities : ndarray, (n, K), optional
        Of the K classes that training has seen, which have the first numbers.
    used : ndarray, (n,) bool
        Rows whose label is known.

    Returns
    -------
    dict
        By `MEASURES`; without those of the probabilities where there are none.
    """
    size = classes + 1
    counts = [resampling.counts(codes, size, used) for codes in (true, predicted)]
    hits = resampling.counts(true, size, used & (true == predicted))
    found = resampling.measure(np.concatenate([hits, *counts], axis=1), used, counted)
    measured = dict(zip(COUNTED, found, strict=True))
    if probabilities is None or not used.any():
        return measured
    return measured | _measure_probabilities(resampling, true, predicted, probabilities, used)


def _measure_probabilities(
    resampling: Resampling, true: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, used: np.ndarray
) -> dict[str, Measured]:
    """`RANKED` and `PROBABLE`."""
    chosen = np.flatnonzero(used)
    given = probabilities if len(chosen) == len(used) else np.asarray(probabilities[chosen])
    estimates, of_rows = macro_ranking(true[chosen], given)
    influences = np.zeros((len(used), len(RANKED)))
    influences[chosen] = of_rows
    ones = np.ones((len(used), 1))
    sums = resampling.sums(np.hstack([influences, ones]), used)
    found = resampling.measure(sums, used, lambda totals: around(estimates, totals, 0.0))
    columns = np.zeros((len(used), 4))
    known = true[chosen] < given.shape[1]
    probable = np.maximum(_of_true(true[chosen], given).astype(np.float64), _SMALLEST)
    columns[chosen] = np.column_stack(
        [
            reciprocal_ranks(true[chosen], given),
            np.where(known, -np.log(probable), 0.0),
            known,
            confidences(predicted[chosen], given),
        ]
    )
    bins = bins_of(columns[:, 3])
    parts = [resampling.counts(bins, BINS, used, weights) for weights in (None, columns[:, 3], true == predicted)]
    sums = np.hstack([resampling.sums(columns[:, :3], used), *parts])
    found += resampling.measure(sums, used, _probable)
    return dict(zip((*RANKED, *PROBABLE), found, strict=True))


def counted(totals: np.ndarray) -> np.ndarray:
    """`COUNTED` from the hits, true and predicted rows of each class.

    The correlation is that of Gorodkin (2004, Comput. Biol. Chem. 28:367), for two classes Matthews'. One class
    predicted throughout has 0, its limit; one class true throughout has none.

    Parameters
    ----------
    totals : ndarray, (s, 3 · K)

    Returns
    -------
    ndarray, (s, 12)
    """
    hits, true, predicted = (part.astype(np.float64) for part in np.split(totals, 3, axis=1))
    present, rows = true > 0, true.sum(axis=1)
    precision = np.where(predicted > 0, ratio(hits, predicted), 0.0)
    recall, f1 = ratio(hits, true), ratio(2 * hits, true + predicted)
    per_class = [np.where(present, values, 0.0) for values in (precision, recall, f1)]
    macro = [ratio(values.sum(axis=1), present.sum(axis=1)) for values in per_class]
    weighted = [ratio((true * values).sum(axis=1), rows) for values in per_class]
    right, told = hits.sum(axis=1), np.where(present, predicted, 0.0).sum(axis=1)
    micro = [np.where(rows > 0, np.where(told > 0, ratio(right, told), 0.0), np.nan), ratio(right, rows)]
    micro.append(ratio(2 * right, rows + told))
    spread_true, spread_told = (rows**2 - (values**2).sum(axis=1) for values in (true, predicted))
    covariance = right * rows - (true * predicted).sum(axis=1)
    mcc = np.where(spread_told > 0, ratio(covariance, np.sqrt(spread_true * spread_told)), 0.0)
    mcc = np.where(spread_true > 0, mcc, np.nan)
    return np.column_stack([micro[1], macro[1], *macro, *micro, *weighted, mcc])


def around(estimates: np.ndarray, totals: np.ndarray, lowest: float) -> np.ndarray:
    """Values of resamplings from the sums of influences (s, q) and, last, the rows (s,): between `lowest` and 1."""
    values: np.ndarray = np.clip(estimates + ratio(totals[:, :-1], totals[:, -1:]), lowest, 1.0)
    return values


def reciprocal_ranks(true: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(n,) 1 / rank of the true class by its probability; 0 for one that has no probability.

    Classes with the same probability share their mean rank.
    """
    known = true < probabilities.shape[1]
    of_true = _of_true(true, probabilities)[:, None]
    above = (probabilities > of_true).sum(axis=1)
    ties = (probabilities == of_true).sum(axis=1) - 1
    ranks: np.ndarray = np.where(known, 1 / (1 + above + np.maximum(ties, 0) / 2), 0.0)
    return ranks


def _of_true(true: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(n,) probability of the true class, that of the last class where it has none."""
    at = np.minimum(true, probabilities.shape[1] - 1)
    chosen: np.ndarray = np.take_along_axis(probabilities, at[:, None], axis=1)[:, 0]
    return chosen


def bins_of(confidence: np.ndarray) -> np.ndarray:
    """(n,) bin of each confidence, 0 to `BINS` − 1."""
    bins: np.ndarray = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return bins


def confidences(predicted: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(n,) probability of the class that was predicted; 0 where none was, or one without a probability."""
    chosen: np.ndarray = np.where(predicted < probabilities.shape[1], _of_true(predicted, probabilities), 0.0)
    return chosen


def _probable(totals: np.ndarray) -> np.ndarray:
    """`PROBABLE` from sums of reciprocal ranks, losses, rows with a loss; and of each bin its rows, confidence, hits.

    The expected calibration error is Σ |hits − confidence| / rows over the bins (Naeini, Cooper & Hauskrecht 2015,
    AAAI).
    """
    bins = totals[:, 3:].reshape(len(totals), 3, BINS)
    rows = bins[:, 0].sum(axis=1)
    error = ratio(np.abs(bins[:, 2] - bins[:, 1]).sum(axis=1), rows)
    return np.column_stack([ratio(totals[:, 0], rows), ratio(totals[:, 1], totals[:, 2]), error])
