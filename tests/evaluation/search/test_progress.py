from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluation.search.progress import late_gain, pareto_front, running_best
from evaluation.search.reading import Study, read_study

Make = Callable[..., Path]
NAN = float("nan")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, write: Make) -> Study:
    """Two objectives to be minimised and one to be maximised."""
    return read_study(write(tmp_path_factory.mktemp("study") / "made", trials=4, objectives=3))


def of(study: Study, *columns: list[float]) -> Study:
    """The study with these values of its first objectives; the others are NaN."""
    values = np.full((len(columns[0]), 3), NAN)
    values[:, : len(columns)] = np.transpose(columns)
    return replace(study, values=values)


def test_the_best_so_far_passes_over_what_is_not_complete(study: Study) -> None:
    values = [NAN, 3.0, NAN, 4.0, 1.0, 2.0]
    np.testing.assert_array_equal(running_best(of(study, values), 0), [NAN, 3, 3, 3, 1, 1])
    np.testing.assert_array_equal(running_best(of(study, values, values, values), 2), [NAN, 3, 3, 4, 4, 4])


def test_the_last_fifth_is_compared_with_what_was_before(study: Study) -> None:
    # Of ten complete trials the last two are late, wherever the others lie.
    values = [5.0, 4, 6, 7, NAN, 5, 5, 5, 5, 3.5, NAN, 3.0]
    assert late_gain(of(study, values), 0) == pytest.approx(1.0)
    assert late_gain(of(study, [*values[:-1], 9.0]), 0) == pytest.approx(0.5)
    assert late_gain(of(study, [2.0, *values[1:]]), 0) == 0
    assert np.isnan(late_gain(of(study, values[:-1]), 0))
    upwards = [float(value) for value in range(10)]
    assert late_gain(of(study, upwards, upwards, upwards), 2) == 2
    assert late_gain(of(study, upwards), 0) == 0


@given(arrays(float, st.tuples(st.integers(0, 12), st.just(3)), elements=st.integers(0, 3).map(float)))
def test_no_trial_of_the_front_is_beaten_and_every_other_one_is(study: Study, values: np.ndarray) -> None:
    front = pareto_front(replace(study, values=values))
    costs = values * [1, 1, -1]

    def beaten(row: int) -> bool:
        return any(
            all(a <= b for a, b in zip(other, costs[row], strict=True)) and tuple(other) != tuple(costs[row])
            for other in costs
        )

    assert front.tolist() == [not beaten(row) for row in range(len(values))]


def test_what_lacks_an_objective_is_not_on_the_front(study: Study) -> None:
    assert pareto_front(of(study, [1.0, 2], [1.0, NAN], [1.0, 9])).tolist() == [True, False]
