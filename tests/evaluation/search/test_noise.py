from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evaluation.search.noise import noise
from evaluation.search.reading import Repeat, Study, read_study

Make = Callable[..., Path]


def with_values(study: Study, values: list[float], repeats: list[float], objective: int = 0) -> Study:
    """A study with these values of its first trials and these repeats; trial 0 is the default."""
    found = np.full_like(study.values, np.nan)
    found[: len(values)] = np.array(values)[:, None]
    again = [Repeat(k, "", [value] * len(study.objectives)) for k, value in enumerate(repeats)]
    return replace(study, values=found, repeats=again)


@pytest.fixture
def study(make_study: Make) -> Study:
    return read_study(make_study(trials=6, objectives=3, states={}))


def test_the_mean_has_the_t_interval_and_the_gain_that_of_one_more_run(study: Study) -> None:
    again = [1.20, 1.22, 1.21, 1.25]
    found = noise(with_values(study, [1.30, 1.19, 1.24], again), 0, 0.95)
    assert found is not None
    low, high = stats.t.interval(0.95, 3, loc=np.mean(again), scale=stats.sem(again))
    assert (found.mean.low, found.mean.estimate, found.mean.high) == pytest.approx((low, 1.22, high))
    assert found.spread == pytest.approx(np.std(again, ddof=1))
    reach = stats.t.ppf(0.975, 3) * found.spread * np.sqrt(1.25)
    assert found.gain.estimate == pytest.approx(0.08)
    assert found.gain.high - found.gain.estimate == pytest.approx(reach)
    # 1.30 and 1.24 of the others; only what is below 1.22 plus the reach of 0.077 is alike.
    assert found.alike == 1


def test_where_higher_is_better_the_gain_turns(study: Study) -> None:
    found = noise(with_values(study, [0.5, 0.7], [0.6, 0.62]), 2, 0.95)
    assert found is not None and found.gain.estimate == pytest.approx(0.11)


def test_the_interval_of_the_gain_covers_what_two_trainings_differ(study: Study) -> None:
    """Best and default are equally good: the interval misses 0 in one of twenty studies."""
    generator = np.random.default_rng(1)
    missed = 0
    for _ in range(500):
        draws = generator.normal(1.2, 0.01, 5)
        # The value of the search itself, 0, is not used: it was chosen.
        found = noise(with_values(study, [draws[0], 0.0], list(draws[1:])), 0, 0.95)
        assert found is not None
        missed += found.gain.sign != 0
    assert missed / 500 == pytest.approx(0.05, abs=0.025)


def test_one_repeat_has_no_interval(study: Study) -> None:
    found = noise(with_values(study, [1.3, 1.2], [1.25]), 0, 0.95)
    assert found is not None
    assert found.mean.estimate == 1.25
    assert not found.mean.defined and not found.gain.defined
    assert np.isnan(found.spread)
    assert found.alike == 0


def test_repeats_that_failed_are_counted(study: Study) -> None:
    found = noise(with_values(study, [1.3, 1.2], [1.25, np.nan, 1.27]), 0, 0.95)
    assert found is not None
    assert (len(found.values), found.failed) == (2, 1)
    assert found.mean.estimate == pytest.approx(1.26)


def test_nothing_is_said_without_repeats_or_a_best(study: Study) -> None:
    assert noise(with_values(study, [1.3, 1.2], []), 0, 0.95) is None
    assert noise(with_values(study, [1.3, 1.2], [np.nan]), 0, 0.95) is None
    assert noise(with_values(study, [], [1.2, 1.3]), 0, 0.95) is None


def test_without_a_default_there_is_no_gain(study: Study) -> None:
    without = replace(study, trials=study.trials.assign(kind="sampled"))
    found = noise(with_values(without, [1.3, 1.2], [1.25, 1.26]), 0, 0.95)
    assert found is not None
    assert np.isnan(found.gain.estimate) and found.gain.sign == 0
    assert found.mean.defined
