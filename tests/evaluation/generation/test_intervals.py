from __future__ import annotations

import numpy as np
import pytest

from evaluation.generation.intervals import Resampling, by_prompt


def test_sums_by_prompt_in_order_of_appearance() -> None:
    sums, sizes = by_prompt(np.array([[1.0, 10], [2, 20], [4, 40]]), np.array(["b", "a", "b"]))
    assert sums.tolist() == [[5, 50], [2, 20]]
    assert sizes.tolist() == [2, 1]


def test_the_interval_is_over_prompts_and_not_over_sequences(resampling: Resampling) -> None:
    generator = np.random.default_rng(0)
    prompts = np.repeat(np.arange(10), 50)
    values = generator.normal(0, 1, 10)[prompts] + generator.normal(0, 0.01, 500)
    over_prompts = resampling.mean(values, prompts)
    over_sequences = resampling.mean(values, np.arange(500))
    assert over_prompts.estimate == pytest.approx(values.mean())
    assert over_prompts.high - over_prompts.low > 4 * (over_sequences.high - over_sequences.low)


def test_undefined_values_are_left_out(resampling: Resampling) -> None:
    found = resampling.mean(np.array([1.0, np.nan, 3.0]), np.array([0, 1, 2]))
    assert found.estimate == 2
    for values in (np.array([np.nan]), np.empty(0)):
        empty = resampling.mean(values, np.zeros(len(values)))
        assert np.isnan(empty.estimate) and not empty.defined
    assert not resampling.mean(np.array([1.0, 2.0]), np.array([0, 0])).defined  # one prompt


def test_median(resampling: Resampling) -> None:
    values = np.array([5.0, 1, 9, 3, 7])
    found = resampling.median(values, np.arange(5))
    assert found.estimate == 5
    assert 1 <= found.low <= 5 <= found.high <= 9
    one = resampling.median(np.array([4.0]), np.array([0]))
    assert one.estimate == 4 and not one.defined
    assert np.isnan(resampling.median(np.empty(0), np.empty(0)).estimate)


def test_a_distance_has_its_estimate_within_its_interval(resampling: Resampling) -> None:
    draws = np.random.default_rng(1).normal(0.30, 0.02, 1000)
    found = resampling.centred(0.20, draws, 20)
    assert found.low < 0.20 < found.high < 0.27
    assert resampling.centred(0.01, draws, 20).low == 0
