from __future__ import annotations

import numpy as np
import pytest

from evaluation.classification.hierarchy import contradictory, distances, measure_paths
from evaluation.classification.regression import measure_numbers
from evaluation.classification.resampling import Resampling

PARENTS = [np.array([0, 0, 1]), np.array([0, 1, 2, 2])]


@pytest.mark.parametrize(
    ("true", "predicted", "edges"),
    [
        ((0, 1, 1), (0, 1, 1), 0),
        ((0, 1, 1), (0, 1, 0), 2),
        ((0, 0, 0), (0, 1, 1), 4),
        ((0, 0, 0), (1, 2, 3), 6),
        # Right again below what is wrong: the path contradicts itself.
        ((0, 1, 1), (0, 0, 1), 4),
        ((0, 1, -1), (0, 1, 3), 0),
        ((0, -1, 1), (1, 1, 1), 4),
        ((-1, -1, -1), (0, 0, 0), 0),
    ],
)
def test_distance_is_the_number_of_edges(true: tuple[int, ...], predicted: tuple[int, ...], edges: int) -> None:
    assert distances(np.array([true]), np.array([predicted])).tolist() == [edges]


def test_a_path_contradicts_itself_where_a_label_has_another_parent() -> None:
    paths = np.array([[0, 0, 0], [0, 2, 2], [1, 2, 0], [0, 3, 0], [0, 1, 4]])
    assert contradictory(paths, PARENTS).tolist() == [False, True, True, True, False]
    assert not contradictory(np.array([[0, 1]]), [np.array([0, -1])]).any()


def test_precision_and_recall_are_those_of_the_labels_along_the_paths() -> None:
    true = np.array([[0, 0], [0, 1], [1, -1], [-1, -1]])
    predicted = np.array([[0, 1], [0, 3], [1, 2], [0, 0]])
    is_told = predicted < 3
    found = measure_paths(Resampling(np.arange(4), 50, 0.95, 0), true, predicted, is_told, np.zeros(4, bool))
    # Right: 0, 0 and 1. Told where the truth is known: 2 + 1 + 1. True: 2 + 2 + 1.
    expected = {"precision": 3 / 4, "recall": 3 / 5, "f1": 6 / 9, "distance": 4 / 3, "whole_path": 1 / 3}
    assert {name: found[name].estimate for name in expected} == pytest.approx(expected)


def test_numbers() -> None:
    generator = np.random.default_rng(0)
    true = 1e4 + generator.normal(size=300)
    predicted = true + generator.normal(size=300)
    used = np.ones(300, bool)
    used[:20] = False
    found = measure_numbers(Resampling(np.arange(300), 500, 0.95, 0), true, predicted, used)
    y, told = true[used], predicted[used]
    assert found["pearson"].estimate == pytest.approx(np.corrcoef(y, told)[0, 1])
    assert found["r2"].estimate == pytest.approx(1 - ((y - told) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert found["rmse"].estimate == pytest.approx(np.sqrt(((y - told) ** 2).mean()))
    assert all(f.interval.low < f.estimate < f.interval.high for f in found.values())


def test_a_constant_has_no_correlation_and_no_number_has_nothing() -> None:
    resampling, used = Resampling(np.arange(30), 50, 0.95, 0), np.ones(30, bool)
    constant = measure_numbers(resampling, np.full(30, 0.1), np.arange(30.0), used)
    assert all(np.isnan(constant[name].estimate) for name in ("spearman", "pearson", "r2"))
    assert constant["rmse"].estimate > 0
    nothing = measure_numbers(resampling, np.full(30, np.nan), np.arange(30.0), ~used)
    assert all(np.isnan(found.estimate) for found in nothing.values())
