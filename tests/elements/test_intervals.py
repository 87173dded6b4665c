from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workflow.elements.intervals import Stretches

Pieces = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 8)), max_size=8)


def stretches(pieces: list[tuple[int, int]]) -> Stretches:
    start = np.array([first for first, _ in pieces], np.int64)
    return Stretches.of(start, start + np.array([size for _, size in pieces], np.int64))


def painted(pieces: list[tuple[int, int]]) -> np.ndarray:
    bases = np.zeros(60, bool)
    for first, size in pieces:
        bases[first : first + size] = True
    return bases


@given(Pieces, st.integers(0, 45), st.integers(1, 10))
def test_meeting_agrees_with_painting_every_base(pieces: list[tuple[int, int]], first: int, size: int) -> None:
    found = stretches(pieces).meet(np.array([first]), np.array([first + size]))
    assert found[0] == painted(pieces)[first : first + size].any()


@given(Pieces)
def test_overlaps_are_joined_and_no_base_is_lost(pieces: list[tuple[int, int]]) -> None:
    joined = stretches(pieces)
    again = painted(list(zip(joined.start.tolist(), (joined.end - joined.start).tolist(), strict=True)))
    assert (again == painted(pieces)).all()
    assert (joined.start[1:] >= joined.end[:-1]).all()


def test_stretches_that_only_touch_stay_apart() -> None:
    both = stretches([(0, 10), (10, 10)])
    inside = both.hold(np.array([0, 10, 9, 5, 19]), np.array([10, 20, 11, 21, 20]))
    assert inside.tolist() == [True, True, False, False, True]


def test_every_place_is_drawn_equally_often_and_no_other() -> None:
    starts = stretches([(0, 5), (10, 3), (20, 2)]).draw(3, 40_000, np.random.default_rng(1))
    places, counts = np.unique(starts, return_counts=True)
    assert places.tolist() == [0, 1, 2, 10]
    assert np.abs(counts - 10_000).max() < 400


def test_nothing_is_drawn_where_nothing_fits() -> None:
    generator = np.random.default_rng(1)
    assert not len(stretches([(0, 5)]).draw(6, 10, generator))
    assert not len(stretches([]).draw(1, 10, generator))
    assert not stretches([]).hold(np.array([0]), np.array([1])).any()
