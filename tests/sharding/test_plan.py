"""Shards tile the work, end at borders, and hold the batches that one process forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.sharding import Shard, divide
from workflow.striped_hyena.batching import batches

LENGTHS = st.lists(st.integers(1, 3000), min_size=1, max_size=80)


def cut(lengths: list[int], batch_tokens: int, shards: int) -> list[Shard]:
    borders = np.cumsum([0, *(len(batch) for batch in batches(lengths, batch_tokens, int))])
    return divide("base", np.array(lengths, np.int64), borders, shards)


@given(LENGTHS, st.integers(1, 20_000), st.integers(1, 100))
def test_shards_tile_and_hold_the_batches_of_one_process(lengths: list[int], batch_tokens: int, shards: int) -> None:
    made = cut(lengths, batch_tokens, shards)
    assert [shard.number for shard in made] == list(range(shards)) and {shard.of for shard in made} == {shards}
    assert [item for shard in made for item in range(shard.start, shard.stop)] == list(range(len(lengths)))
    grouped = [batch for shard in made for batch in batches(lengths[shard.start : shard.stop], batch_tokens, int)]
    assert grouped == list(batches(lengths, batch_tokens, int))


@given(LENGTHS, st.integers(1, 20_000), st.integers(1, 30))
def test_no_shard_is_larger_than_its_share_by_more_than_a_batch(
    lengths: list[int], batch_tokens: int, shards: int
) -> None:
    largest = max(sum(batch) for batch in batches(lengths, batch_tokens, int))
    for shard in cut(lengths, batch_tokens, shards):
        assert abs(sum(lengths[shard.start : shard.stop]) - sum(lengths) / shards) <= largest + 1


@given(LENGTHS, st.integers(1, 20_000))
def test_batches_keep_the_limit_and_are_as_large_as_can_be(lengths: list[int], batch_tokens: int) -> None:
    made = list(batches(lengths, batch_tokens, int))
    assert [length for batch in made for length in batch] == lengths
    assert all(len(batch) == 1 or max(batch) * len(batch) <= batch_tokens for batch in made)
    for batch, after in itertools.pairwise(made):
        assert max(*batch, after[0]) * (len(batch) + 1) > batch_tokens


@pytest.mark.parametrize(
    ("shards", "cuts"),
    [(1, [0, 6]), (2, [0, 3, 6]), (3, [0, 2, 4, 6]), (6, [0, 1, 2, 3, 4, 5, 6]), (4, [0, 1, 3, 4, 6])],
)
def test_equal_items(shards: int, cuts: list[int]) -> None:
    made = divide("base", np.full(6, 10), np.arange(7), shards)
    assert [0, *(shard.stop for shard in made)] == cuts


def test_more_shards_than_batches_leave_some_empty() -> None:
    made = cut([100, 100, 100], 200, 5)
    assert [len(shard) for shard in made] == [0, 2, 0, 0, 1]
    assert made[2] == Shard("base", 2, 5, 2, 2) and made[2].label == "base-2-of-5"


def test_a_long_item_is_not_cut() -> None:
    made = divide("base", np.array([1, 1, 98]), np.arange(4), 3)
    assert [(shard.start, shard.stop) for shard in made] == [(0, 2), (2, 3), (3, 3)]
