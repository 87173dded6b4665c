import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.splits.assignment import SPLITS, assign_groups, assign_runs

FRACTIONS = {"train": 0.8, "val": 0.1, "test": 0.1}
sizes = st.lists(st.integers(1, 1_000), min_size=3, max_size=30)


@given(sizes, st.integers(0, 5), st.randoms())
def test_groups_fill_every_split_whatever_their_order(size, seed, random) -> None:
    items = [(f"g{i}", bases) for i, bases in enumerate(size)]
    chosen = assign_groups(dict(items), FRACTIONS, seed)
    assert set(chosen.values()) == set(SPLITS)
    random.shuffle(items)
    assert assign_groups(dict(items), FRACTIONS, seed) == chosen


def test_groups_get_their_share_and_the_seed_matters() -> None:
    bases = {f"chr{i}": 1_000 + 37 * i for i in range(30)}
    chosen = [assign_groups(bases, FRACTIONS, seed) for seed in range(4)]
    assert len({tuple(sorted(one.items())) for one in chosen}) > 1
    for one in chosen:
        for split, fraction in FRACTIONS.items():
            got = sum(bases[group] for group in bases if one[group] == split) / sum(bases.values())
            assert got == pytest.approx(fraction, rel=0.151)


@given(sizes, st.data(), st.integers(0, 100), st.integers(0, 5))
def test_runs_keep_groups_whole_and_fill_every_split(size, data, shortest_run, seed) -> None:
    n = len(size)
    group = np.array([0, 1, 2, *data.draw(st.lists(st.integers(0, n - 1), min_size=n - 3, max_size=n - 3))])
    split = assign_runs(np.array(size), group, FRACTIONS, shortest_run, seed)
    assert set(split) == set(SPLITS)
    for number in range(n):
        assert len(set(split[group == number])) <= 1
    assert split.tolist() == assign_runs(np.array(size), group, FRACTIONS, shortest_run, seed).tolist()


@pytest.mark.parametrize(("shortest_run", "runs"), [(400, 1), (200, 2), (100, 4)])
def test_as_many_runs_as_the_share_allows(shortest_run: int, runs: int) -> None:
    for seed in range(20):
        split = assign_runs(np.full(40, 100), np.arange(40), FRACTIONS, shortest_run, seed)
        for name in ("val", "test"):
            where = np.flatnonzero(split == name)
            assert len(where) == 4
            assert np.count_nonzero(np.diff(where) > 1) < runs
