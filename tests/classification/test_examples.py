from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from workflow.classification.examples import Examples, reading_batches, stretches, training_batches


def test_the_middle_of_a_long_sequence_is_read_and_all_of_it_per_base() -> None:
    assert stretches(10, 10, per_base=False) == [(0, 10)]
    assert stretches(11, 10, per_base=False) == [(0, 10)]
    assert stretches(14, 10, per_base=False) == [(2, 12)]
    assert stretches(21, 10, per_base=True) == [(0, 10), (10, 20), (20, 21)]
    assert stretches(20, 10, per_base=True) == [(0, 10), (10, 20)]


def test_examples_hold_the_bases_and_targets_of_their_place() -> None:
    targets = [np.array([0, 5]), np.array([1, -1])]
    examples = Examples.of([b"AACCGGTT", b"ACG"], targets, 4)
    assert examples.bases(0).tobytes() == b"CCGG" and examples.bases(1).tobytes() == b"ACG"
    assert examples.target([1, 0]).tolist() == [[1, -1], [0, 5]]
    assert examples.tokens.tolist() == [5, 4]
    chosen = examples.chosen(np.array([False, True]))
    assert len(chosen) == 1 and chosen.bases(0).tobytes() == b"ACG" and chosen.target([0]).tolist() == [[1, -1]]


def test_pieces_of_a_sequence_have_the_targets_of_their_bases() -> None:
    targets = [np.arange(5)[:, None], np.array([[7], [8]])]
    examples = Examples.of([b"ACGTA", b"GG"], targets, 3, per_base=True)
    assert [examples.bases(number).tobytes() for number in range(3)] == [b"ACG", b"TA", b"GG"]
    assert torch.equal(examples.target([2, 1]), torch.tensor([[7], [8], [3], [4]]))
    assert examples.tokens.tolist() == [8, 6, 6]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=300), st.integers(1, 9), st.integers(0, 3))
def test_every_example_is_in_one_batch_of_each_epoch(lengths: list[int], size: int, epoch: int) -> None:
    batches = training_batches(np.array(lengths), size, 5, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size) and max(map(len, batches)) <= size
    again = training_batches(np.array(lengths), size, 5, epoch)
    assert all(np.array_equal(one, other) for one, other in zip(batches, again, strict=True))


def test_epochs_differ_and_batches_hold_sequences_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(10, 1000, 4096)
    first, second = (training_batches(lengths, 16, 5, epoch) for epoch in (0, 1))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    longest = sum(lengths[batch].max() * len(batch) for batch in first)
    assert longest < 1.05 * lengths.sum()


def test_forward_passes_stay_within_their_positions() -> None:
    tokens = np.array([3, 100, 7, 50, 50, 2])
    found = list(reading_batches(tokens, 100))
    assert [batch.tolist() for batch in found] == [[1], [3, 4], [2, 0, 5]]
