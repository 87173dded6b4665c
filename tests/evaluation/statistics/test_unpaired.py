from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linear_sum_assignment

from evaluation.statistics.ranking import auroc
from evaluation.statistics.unpaired import matched, unpaired

GALAXY = Path(__file__).parents[2] / "data" / "galaxy.json"


def test_the_older_tutorials_distances() -> None:
    """Two groups of 100 embedding distances: its paired p, and the one of the test that fits."""
    told = json.loads(GALAXY.read_text())
    one, other = map(np.array, told["l2_max"])
    is_first = np.arange(200) < 100
    (found,) = unpaired({"l2": np.concatenate([one, other])}, is_first, 200, 0.95, 0).values()
    assert found.p_value == pytest.approx(told["tests"]["mannwhitney_rank_sum_p"], rel=1e-6)
    assert stats.wilcoxon(one, other).pvalue == pytest.approx(
        told["tests"]["wilcoxon_signed_rank_as_coded_p"], rel=1e-6
    )
    wins = np.sign(one[:, None] - other).mean()
    assert found.effect.estimate == pytest.approx(wins)
    assert found.effect.low < wins < found.effect.high
    assert found.sizes == (100, 100) and found.medians == (np.median(one), np.median(other))
    # The order of the rows is nothing to the unpaired test.
    turned = np.concatenate([one, other[::-1]])
    assert unpaired({"l2": turned}, is_first, 2, 0.95, 0)["l2"].p_value == pytest.approx(found.p_value)


def test_the_effect_is_that_of_the_auroc_and_missing_values_leave_all_measures() -> None:
    generator = np.random.default_rng(3)
    is_first = generator.random(80) < 0.4
    values = {"a": generator.normal(size=80) + is_first, "b": generator.integers(0, 3, 80).astype(float)}
    values["a"][:5] = np.nan
    found = unpaired(values, is_first, 50, 0.95, 1)
    keep = np.arange(80) >= 5
    for name, column in values.items():
        assert found[name].effect.estimate == pytest.approx(2 * auroc(column[keep], is_first[keep]) - 1)
        expected = stats.mannwhitneyu(column[keep & is_first], column[keep & ~is_first]).pvalue
        assert found[name].p_value == pytest.approx(expected)


def test_rows_of_a_group_count_once() -> None:
    """Copies of a row make no result surer."""
    generator = np.random.default_rng(5)
    values, is_first = generator.normal(size=30), np.arange(30) < 15
    alone = unpaired({"a": values}, is_first, 2000, 0.95, 1)["a"].effect
    copies = unpaired(
        {"a": np.repeat(values, 10)}, np.repeat(is_first, 10), 2000, 0.95, 1, np.repeat(np.arange(30), 10)
    )
    effect = copies["a"].effect
    assert effect.high - effect.low == pytest.approx(alone.high - alone.low, rel=0.02)


def test_an_empty_group_is_undefined() -> None:
    found = unpaired({"a": np.arange(4.0)}, np.ones(4, bool), 10, 0.95, 0)["a"]
    assert found.sizes == (4, 0)
    assert np.isnan([found.p_value, found.effect.estimate, found.medians[1]]).all()


def test_matching_is_the_largest_there_is() -> None:
    generator = np.random.default_rng(0)
    for seed in range(20):
        one, other = generator.random(12), generator.random(9)
        rows, others = matched(one, other, 0.05, seed)
        assert (np.abs(one[rows] - other[others]) <= 0.05).all()
        assert len(set(rows)) == len(rows) == len(set(others))
        within = np.abs(one[:, None] - other) <= 0.05
        best = within[linear_sum_assignment(within, maximize=True)].sum()
        assert len(rows) == best


def test_matching_draws_equal_rows_at_random_and_leaves_out_what_has_no_value() -> None:
    one, other = np.array([0.5, np.nan]), np.full(50, 0.5)
    chosen = {int(matched(one, other, 0.0, seed)[1][0]) for seed in range(20)}
    assert len(chosen) > 5
    assert [rows.tolist() for rows in matched(one, np.array([0.9, np.nan]), 0.1, 0)] == [[], []]
