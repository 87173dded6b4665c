from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from evaluation.generation.diversity import MOST_COMPARED, GroupDiversity, checks, measure_diversity
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import Samples
from tests.evaluation.generation.conftest import random_dna

Make = Callable[..., Samples]


def measure(
    make: Make, resampling: Resampling, prompts: list[list[str]], logprobs: list[list[float]] | None = None
) -> tuple[GroupDiversity, list[dict[str, object]]]:
    samples = make({"base": prompts}, {"base": logprobs} if logprobs else None)
    found = measure_diversity(samples, resampling)
    return found["base"], checks(found)


def test_the_same_whatever_the_prompt_fires(make_samples: Make, resampling: Resampling) -> None:
    same = [["ACGTTGCAGGTACC" * 10] * 3] * 4
    found, [gate] = measure(make_samples, resampling, same)
    assert found.between.estimate == found.within.estimate == 0
    assert found.p_value == 1 and found.duplicates == 1
    assert gate["name"] == "prompt_sensitivity" and gate["subject"] == "base"
    assert not gate["passed"]
    # Whatever the probabilities say.
    unlike = [[-0.1 * prompt] * 3 for prompt in range(4)]
    _, [gate] = measure(make_samples, resampling, same, unlike)
    assert not gate["passed"]
    # One sample of each prompt is enough to see that.
    _, [gate] = measure(make_samples, resampling, [["ACGTTGCAGG" * 9]] * 3)
    assert not gate["passed"] and gate["saw"] == "the sequences of all prompts are equal"
    # Two prompts of two samples are too few for a test.
    found, [gate] = measure(make_samples, resampling, [["ACGTTGCAGG" * 9] * 2] * 2)
    assert np.isnan(found.p_value) and not gate["passed"]


def test_seeds_that_differ_more_than_prompts_fire(make_samples: Make, resampling: Resampling) -> None:
    drawn = [[random_dna(200, 10 * prompt + sample) for sample in range(3)] for prompt in range(5)]
    found, [gate] = measure(make_samples, resampling, drawn)
    assert found.p_value > 0.05 and not gate["passed"]
    assert found.duplicates == 0


def test_an_effect_of_the_prompt_passes(make_samples: Make, resampling: Resampling) -> None:
    # The continuations of a prompt share a piece.
    drawn = [
        [random_dna(120, 50 + prompt) + random_dna(120, 1000 * prompt + sample) for sample in range(3)]
        for prompt in range(5)
    ]
    found, [gate] = measure(make_samples, resampling, drawn)
    assert gate["passed"] and found.p_value == pytest.approx(1 / 2000)
    assert found.difference.sign == 1
    assert "p = 0.0005" in str(gate["saw"])


def test_greedy_decoding_is_no_fault(make_samples: Make, resampling: Resampling) -> None:
    greedy = [[random_dna(200, prompt)] * 3 for prompt in range(4)]
    found, [gate] = measure(make_samples, resampling, greedy)
    assert found.within.estimate == 0 < found.between.estimate
    assert gate["passed"] and found.duplicates == 1
    few, [gate] = measure(make_samples, resampling, [row[:2] for row in greedy[:2]])
    assert np.isnan(few.p_value) and gate["passed"]


def test_the_probability_of_the_first_base_shows_a_hidden_effect(make_samples: Make, resampling: Resampling) -> None:
    drawn = [["A" + random_dna(200, 10 * prompt + sample) for sample in range(3)] for prompt in range(5)]
    heeded = [[-0.5 - 0.1 * prompt] * 3 for prompt in range(5)]
    found, [gate] = measure(make_samples, resampling, drawn, heeded)
    # Mean over prompts of the mean difference to the others: (25 + 17.5 + 15 + 17.5 + 25) / 5 / 100.
    assert found.first_base.estimate == pytest.approx(0.2)
    assert gate["passed"]
    ignored = [[-0.5 + 0.001 * prompt] * 3 for prompt in range(5)]
    assert not measure(make_samples, resampling, drawn, ignored)[1][0]["passed"]
    # It can be told of one sample a prompt.
    assert measure(make_samples, resampling, [row[:1] for row in drawn], [row[:1] for row in heeded])[1][0]["passed"]
    # Different bases are not compared.
    apart = [["A" + drawn[0][0]], ["C" + drawn[1][0]]]
    assert np.isnan(measure(make_samples, resampling, apart, [[-1.0], [-3.0]])[0].first_base.estimate)


def test_what_cannot_be_told_is_no_gate(make_samples: Make, resampling: Resampling) -> None:
    for drawn in ([[random_dna(100, 1)]], [[random_dna(100, 1), random_dna(100, 2)]], [[random_dna(90, 1)], ["ACG"]]):
        assert measure(make_samples, resampling, drawn)[1] == []
    # Only models have gates.
    samples = make_samples({"markov": [["ACGTACGT"] * 2] * 4})
    assert checks(measure_diversity(samples, resampling)) == []


def test_the_test_is_right_where_there_is_no_effect(make_samples: Make) -> None:
    """At 5 %, at most 7 of 60 simulated models are wrongly called sensitive (98 % of the time)."""
    resampling = Resampling(2, 0.95, 1)
    values = []
    for run in range(60):
        drawn = [[random_dna(60, 1000 * run + 10 * p + s) for s in range(2)] for p in range(5)]
        values.append(measure(make_samples, resampling, drawn)[0].p_value)
    assert np.mean(np.array(values) <= 0.05) <= 7 / 60
    assert 0.35 < np.mean(values) < 0.65


def test_many_sequences_are_compared_in_part(make_samples: Make, resampling: Resampling) -> None:
    many = [[random_dna(30, 3 * prompt + sample) for sample in range(3)] for prompt in range(700)]
    found, _ = measure(make_samples, resampling, many)
    assert found.compared == MOST_COMPARED
    assert np.isfinite(found.within.estimate)
    deep = [[random_dna(30, 5000 * prompt + sample) for sample in range(400)] for prompt in range(3)]
    found, _ = measure(make_samples, resampling, deep)
    assert found.compared == 3 * (MOST_COMPARED // 3)
