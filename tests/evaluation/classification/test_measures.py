from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn

from evaluation.classification.measures import BINS, COUNTED, bins_of, counted, measure_classes, reciprocal_ranks
from evaluation.classification.resampling import MOST_UNITS, Resampling

#: Confusion matrices, and what MicrobeRT (microbert.json) and the Galaxy tutorial (galaxy.json) computed of them.
MICROBERT = [
    ([[115, 26, 32], [38, 103, 33], [21, 28, 104]], {"accuracy": 0.644, "f1_macro": 0.643714478626776}),
    (
        [
            [10, 0, 7, 1, 0, 3, 2, 3, 0, 3, 2],
            [3, 13, 5, 3, 2, 5, 2, 2, 6, 7, 2],
            [2, 6, 21, 4, 3, 2, 4, 4, 2, 7, 2],
            [5, 0, 4, 24, 4, 5, 2, 4, 1, 0, 4],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [12, 5, 6, 4, 9, 27, 10, 5, 3, 3, 5],
            [2, 2, 1, 3, 5, 2, 13, 1, 4, 3, 4],
            [2, 2, 2, 2, 3, 2, 3, 12, 4, 3, 4],
            [1, 6, 1, 3, 4, 1, 3, 1, 21, 6, 6],
            [2, 3, 4, 1, 3, 1, 3, 4, 3, 16, 3],
            [1, 3, 3, 1, 2, 3, 5, 1, 6, 3, 17],
        ],
        {
            "accuracy": 0.348,
            "balanced_accuracy": 0.3485992196809207,
            "precision_macro": 0.36966241187410115,
            "recall_macro": 0.3485992196809207,
            "f1_macro": 0.3544054876937693,
            "precision_micro": 0.3741935483870968,
            "recall_micro": 0.348,
            "f1_micro": 0.3606217616580311,
            "precision_weighted": 0.3920228141016138,
            "recall_weighted": 0.348,
            "f1_weighted": 0.3631326081367969,
        },
    ),
    (
        [[415, 95], [94, 385]],
        {"f1_macro": 0.8087218756043925, "mcc": 0.6174454075206296, "precision_macro": 0.8087037491814015},
    ),
    (
        [[221, 56, 46], [47, 232, 64], [49, 52, 222]],
        {"f1_macro": 0.6826144595762594, "mcc": 0.5236609998966193, "recall_macro": 0.6826339558379743},
    ),
]


def of_matrix(matrix: np.ndarray) -> dict[str, float]:
    totals = np.concatenate([np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)])[None].astype(float)
    with np.errstate(invalid="ignore"):
        return dict(zip(COUNTED, counted(totals)[0].tolist(), strict=True))


@pytest.mark.parametrize(("matrix", "expected"), MICROBERT)
def test_what_earlier_systems_computed(matrix: list[list[int]], expected: dict[str, float]) -> None:
    found = of_matrix(np.array(matrix))
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_scores_are_those_of_scikit_learn_with_a_class_that_training_lacks() -> None:
    generator = np.random.default_rng(0)
    rows, trained = 300, 4
    true = generator.choice([0, 1, 3, 4], rows, p=[0.5, 0.3, 0.15, 0.05])
    probabilities = generator.dirichlet(np.ones(trained), rows) + 0.4 * (true[:, None] == np.arange(trained))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    predicted[:7] = 5
    used = np.ones(rows, bool)
    used[50:60] = False
    found = measure_classes(Resampling(np.arange(rows), 200, 0.95, 0), true, predicted, 5, probabilities, used)
    y, told, given = true[used], predicted[used], probabilities[used]
    present = np.unique(y)
    assert found["mcc"].estimate == pytest.approx(sklearn.matthews_corrcoef(y, told))
    assert found["accuracy"].estimate == pytest.approx(sklearn.accuracy_score(y, told))
    for average in ("macro", "micro", "weighted"):
        scores = sklearn.precision_recall_fscore_support(y, told, labels=present, average=average, zero_division=0)
        for kind, score in zip(("precision", "recall", "f1"), scores, strict=False):
            assert found[f"{kind}_{average}"].estimate == pytest.approx(score)
    known = y < trained
    loss = -np.log(given[known, y[known]]).mean()
    assert found["log_loss"].estimate == pytest.approx(loss)
    areas = [sklearn.roc_auc_score(y == k, given[:, k]) for k in present if k < trained]
    assert found["auroc"].estimate == pytest.approx(np.mean(areas))
    assert all(f.interval.low < f.estimate < f.interval.high for f in found.values())


def test_units_are_resampled_whole() -> None:
    true = np.repeat([0, 1], 200)
    predicted = np.where(np.random.default_rng(0).random(400) < 0.8, true, 1 - true)
    # A fifth of the groups is wrong throughout: rows of a group say the same.
    groups = np.arange(400) // 10
    in_groups = np.where(groups % 5 == 0, 1 - true, true)
    used = np.ones(400, bool)
    alone = measure_classes(Resampling(np.arange(400), 2000, 0.95, 0), true, predicted, 2, None, used)["accuracy"]
    whole = measure_classes(Resampling(groups, 2000, 0.95, 0), true, in_groups, 2, None, used)["accuracy"]
    assert alone.interval.high - alone.interval.low == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 400), rel=0.15)
    assert whole.interval.high - whole.interval.low == pytest.approx(2 * 2.02 * np.sqrt(0.16 / 40), rel=0.15)
    assert whole.observations == 40


def test_many_units_are_dealt_together_with_the_same_width() -> None:
    rows = 8 * MOST_UNITS
    true = np.random.default_rng(0).integers(0, 2, rows)
    predicted = np.where(np.random.default_rng(1).random(rows) < 0.7, true, 1 - true)
    measured = measure_classes(Resampling(np.arange(rows), 1000, 0.95, 0), true, predicted, 2, None, true >= 0)
    accuracy = measured["accuracy"].interval
    assert accuracy.high - accuracy.low == pytest.approx(2 * 1.96 * np.sqrt(0.21 / rows), rel=0.12)


def test_what_is_not_defined_is_nan_and_what_does_not_vary_has_no_interval() -> None:
    constant = of_matrix(np.array([[5, 5], [0, 0]]))
    assert np.isnan(constant["mcc"])
    assert of_matrix(np.array([[5, 0], [5, 0]]))["mcc"] == 0
    assert np.isnan(list(of_matrix(np.zeros((2, 2), int)).values())).all()
    true, used = np.arange(20) % 2, np.ones(20, bool)
    found = measure_classes(Resampling(np.arange(20), 100, 0.95, 0), true, true, 2, None, used)["accuracy"]
    assert found.estimate == 1
    assert not found.interval.defined
    few = measure_classes(Resampling(np.arange(5), 100, 0.95, 0), true[:5], 1 - true[:5], 2, None, used[:5])
    assert not few["mcc"].interval.defined


def test_differences_are_paired() -> None:
    generator = np.random.default_rng(0)
    true, used = generator.integers(0, 2, 500), np.ones(500, bool)
    one = np.where(generator.random(500) < 0.6, true, 1 - true)
    # Right wherever the other is, and in some rows more.
    other = np.where(generator.random(500) < 0.1, true, one)
    resampling = Resampling(np.arange(500), 2000, 0.95, 0)
    low, high = (measure_classes(resampling, true, told, 2, None, used)["accuracy"] for told in (one, other))
    difference = resampling.difference(high, low)
    assert difference.interval.low > 0
    assert difference.p_value < 0.01
    assert high.interval.low < low.interval.high
    same = resampling.difference(low, low)
    assert same.interval.estimate == 0
    assert not same.interval.defined
    assert np.isnan(same.p_value)


def test_ranks_share_ties_and_unseen_labels_have_none() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.2, 0.2, 0.6]])
    assert reciprocal_ranks(np.array([0, 2, 1, 3]), probabilities) == pytest.approx([1, 1 / 3, 1 / 1.5, 0])


def test_bins_are_closed_above() -> None:
    assert bins_of(np.array([0.0, 1 / BINS, 1 / BINS + 1e-9, 1.0])).tolist() == [0, 0, 1, BINS - 1]


def test_calibration_error_of_what_is_too_sure() -> None:
    true = np.tile([0, 0, 0, 1], 25)
    sure = np.tile([0.95, 0.05], (100, 1))
    found = measure_classes(
        Resampling(np.arange(100), 100, 0.95, 0), true, np.zeros(100, int), 2, sure, np.ones(100, bool)
    )
    assert found["calibration_error"].estimate == pytest.approx(0.95 - 0.75)
