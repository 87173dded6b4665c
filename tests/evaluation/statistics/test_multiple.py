from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.statistics.bootstrap import interval
from evaluation.statistics.multiple import bootstrap_p_value, holm


def test_holm_on_the_textbook_case() -> None:
    corrected = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_is_undefined() -> None:
    np.testing.assert_allclose(holm(np.array([np.nan, 0.02, 0.5])), [np.nan, 0.04, 0.5])
    assert len(holm(np.array([]))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_lies_between_the_p_values_and_bonferroni(values: list[float]) -> None:
    p_values = np.array(values)
    corrected = holm(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(p_values * len(values), 1) + 1e-12).all()
    # The order of the tests is kept.
    assert (np.diff(corrected[np.argsort(p_values, kind="stable")]) >= 0).all()


@pytest.mark.parametrize("observations", [5, 40, 4000])
@pytest.mark.parametrize("shift", [1.0, 1.96, 2.5])
def test_the_interval_excludes_zero_just_where_p_is_below_the_level(observations: int, shift: float) -> None:
    draws = np.random.default_rng(3).normal(shift, 1, 20_000)
    p_value = bootstrap_p_value(draws, observations)
    wide, narrow = (interval(shift, draws, observations, 1 - p_value * factor) for factor in (0.98, 1.02))
    assert wide.sign == 0
    assert narrow.sign == 1


def test_p_values_of_a_simulated_null_are_uniform() -> None:
    generator = np.random.default_rng(4)
    p_values = []
    for _ in range(400):
        sample = generator.normal(0, 1, 30)
        means = generator.choice(sample, (400, 30)).mean(axis=1)
        p_values.append(bootstrap_p_value(means, 30))
    share = np.mean(np.array(p_values) < 0.05)
    assert 0.02 < share < 0.085
    assert abs(np.mean(p_values) - 0.5) < 0.05


def test_p_values_at_the_ends() -> None:
    assert bootstrap_p_value(np.zeros(100), 10) == pytest.approx(1)
    assert 0 < bootstrap_p_value(np.ones(100), 10) < 0.05
    assert np.isnan(bootstrap_p_value(np.ones(100), 1))
    assert np.isnan(bootstrap_p_value(np.array([np.nan]), 10))
