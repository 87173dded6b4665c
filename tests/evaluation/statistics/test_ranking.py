from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from evaluation.statistics import ranking as module
from evaluation.statistics.ranking import (
    auroc,
    average_precision,
    precision_recall_curve,
    ranking,
    ranking_by_stratum,
    roc_curve,
)


def data(rows: int, seed: int = 0, effect: float = 1.0, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    positive = generator.random(rows) < 0.3
    return np.round(generator.normal(size=rows) + effect * positive, decimals), positive


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=60).filter(
        lambda rows: 0 < sum(positive for _, positive in rows) < len(rows)
    )
)
def test_agrees_with_scikit_learn_whatever_the_ties(rows: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([score / 3 for score, _ in rows]), np.array([label for _, label in rows])
    assert auroc(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
    expected = metrics.average_precision_score(positive, scores)
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-12)


def test_curves_agree_with_scikit_learn() -> None:
    scores, positive = data(300)
    false, true, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(scores, positive), (false, true), atol=1e-12)
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    np.testing.assert_allclose(
        precision_recall_curve(scores, positive), (recall[-2::-1], precision[-2::-1]), atol=1e-12
    )


def test_closed_forms() -> None:
    positive = np.array([True, True, False, False])
    assert auroc(np.array([4.0, 3.0, 2.0, 1.0]), positive) == 1
    assert auroc(np.array([1.0, 2.0, 3.0, 4.0]), positive) == 0
    assert auroc(np.ones(4), positive) == 0.5
    assert average_precision(np.ones(4), positive) == 0.5
    assert auroc(np.array([3.0, 1.0, 2.0, 0.0]), positive) == 0.75
    assert average_precision(np.array([3.0, 1.0, 2.0, 0.0]), positive) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert np.isnan(auroc(np.ones(4), np.ones(4, bool)))
    assert np.isnan(average_precision(np.ones(4), np.zeros(4, bool)))


def test_enrichment_closed_form_and_ties_share_the_top() -> None:
    positive = np.arange(100) < 20
    found = ranking(
        {"best": -np.arange(100.0), "worst": np.arange(100.0), "blind": np.ones(100)}, positive, 20, 0.95, 0
    )
    assert found.enrichment["best"].estimate == pytest.approx(5)
    assert found.enrichment["worst"].estimate == pytest.approx(0)
    assert found.enrichment["blind"].estimate == pytest.approx(1)
    assert found.prevalence == 0.2


def test_draws_are_those_of_scikit_learn_with_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_CELLS", 200)
    scores, positive = data(40)
    (weights,) = [np.concatenate(list(module._resampled_weights(np.arange(40), 40, 30, seed=1)))]
    assert weights.shape == (30, 40)
    assert np.all(weights.sum(axis=1) == 40)
    measured = module._measure(scores, positive, weights)
    for row, weight in zip(measured, weights, strict=True):
        assert row[0] == pytest.approx(metrics.roc_auc_score(positive, scores, sample_weight=weight), abs=1e-12)
        assert row[1] == pytest.approx(
            metrics.average_precision_score(positive, scores, sample_weight=weight), abs=1e-12
        )


def test_interval_width_is_that_of_hanley_and_mcneil() -> None:
    scores, positive = data(600, decimals=6)
    found = ranking({"model": scores}, positive, 2000, 0.95, 0).auroc["model"]
    area, m, n = found.estimate, int(positive.sum()), int((~positive).sum())
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (first - area**2) + (n - 1) * (second - area**2)) / (m * n)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.12)
    assert found.low < area < found.high


def test_differences_are_paired() -> None:
    scores, positive = data(200, decimals=6)
    noisy = scores + np.random.default_rng(3).normal(size=200) * 0.05
    found = ranking({"base": scores, "adapted": noisy}, positive, 500, 0.95, 0)
    difference = found.differences["adapted", "base"]
    assert difference.estimate == pytest.approx(found.auroc["adapted"].estimate - found.auroc["base"].estimate)
    assert difference.high - difference.low < 0.3 * (found.auroc["base"].high - found.auroc["base"].low)
    opposite = found.differences["base", "adapted"]
    assert (opposite.low, opposite.high) == pytest.approx((-difference.high, -difference.low), abs=2e-3)


def test_groups_are_drawn_together() -> None:
    scores, positive = data(60, decimals=6)
    alone = ranking({"model": scores}, positive, 2000, 0.95, 0).auroc["model"]
    copies = np.repeat(np.arange(60), 5)
    tripled = ranking({"model": scores[copies]}, positive[copies], 2000, 0.95, 0, groups=copies).auroc["model"]
    assert tripled.estimate == pytest.approx(alone.estimate)
    assert tripled.high - tripled.low == pytest.approx(alone.high - alone.low, rel=0.1)
    blind = ranking({"model": scores[copies]}, positive[copies], 2000, 0.95, 0).auroc["model"]
    assert blind.high - blind.low < 0.6 * (alone.high - alone.low)


def test_same_seed_same_numbers() -> None:
    scores, positive = data(80)
    first, second, third = (ranking({"m": scores}, positive, 100, 0.95, seed).auroc["m"] for seed in (0, 0, 1))
    assert first == second
    assert first != third


def test_a_perfect_ranking_has_a_cautious_bound() -> None:
    positive = np.arange(20) < 8
    found = ranking({"right": -np.arange(20.0), "wrong": np.arange(20.0)}, positive, 200, 0.95, 0)
    assert found.auroc["right"].low == pytest.approx(0.025 ** (1 / 8))
    assert (found.auroc["right"].estimate, found.auroc["right"].high) == (1, 1)
    assert (found.auroc["wrong"].low, found.auroc["wrong"].high) == pytest.approx((0, 1 - 0.025 ** (1 / 8)))
    assert not found.auprc["right"].defined


def test_rows_without_a_score_are_left_out_for_all() -> None:
    scores, positive = data(50)
    gaps = np.where(np.arange(50) < 5, np.nan, scores)
    found = ranking({"whole": scores, "gaps": gaps}, positive, 50, 0.95, 0)
    assert found.left_out == 5
    assert found.n_positive + found.n_negative == 45
    assert found.auroc["whole"] == found.auroc["gaps"]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_one_class_is_undefined(rows: int) -> None:
    found = ranking({"a": np.arange(float(rows)), "b": np.ones(rows)}, np.ones(rows, bool), 20, 0.95, 0)
    assert np.isnan(found.auroc["a"].estimate)
    assert not found.auprc["b"].defined
    assert np.isnan(found.differences["a", "b"].estimate)


def test_strata() -> None:
    scores, positive = data(90)
    strata = np.repeat(np.array(["large", "large", "small"]), 30)
    positive[60:] = False
    positive[60:63] = True
    measured, too_small = ranking_by_stratum({"m": scores}, positive, strata, 5, 50, 0.95, 0)
    assert list(measured) == ["large"]
    assert too_small == {"small": (3, 27)}
    assert measured["large"].auroc["m"].estimate == auroc(scores[:60], positive[:60])


def test_strata_keep_their_groups() -> None:
    scores, positive = data(40, decimals=6)
    groups, strata = np.repeat(np.arange(20), 2), np.full(40, "all")
    measured, _ = ranking_by_stratum({"m": scores}, positive, strata, 1, 100, 0.95, 0, groups)
    assert measured["all"] == ranking({"m": scores}, positive, 100, 0.95, 0, groups)
