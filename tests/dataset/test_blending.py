from itertools import islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from megatron.core.datasets import helpers

from workflow.dataset import blending
from workflow.dataset.blending import Blend

WEIGHTS = st.lists(st.floats(0.01, 10), min_size=1, max_size=6)


@given(weights=WEIGHTS, count=st.integers(1, 400))
def test_files_follow_as_in_megatron(weights: list[float], count: int) -> None:
    shares = np.array(weights) / np.sum(weights)
    files, numbers = np.zeros(count, np.int16), np.zeros(count, np.int64)
    helpers.build_blending_indices(files, numbers, shares, len(shares), count, False)
    assert list(islice(Blend(np.array(weights)).from_position(0), count)) == files.tolist()
    assert Blend(np.array(weights)).counts(count).tolist() == np.bincount(files, minlength=len(weights)).tolist()


@given(weights=WEIGHTS, position=st.integers(0, 9000))
def test_a_sequence_is_taken_up_anywhere_and_keeps_the_shares(weights: list[float], position: int) -> None:
    blend = Blend(np.array(weights))
    whole = list(islice(blend.from_position(0), position + 50))
    assert list(islice(blend.from_position(position), 50)) == whole[position:]
    shares = np.array(weights) / np.sum(weights)
    assert np.all(np.abs(blend.counts(position) - shares * position) <= len(weights))
    assert blend.counts(position).sum() == position


def test_blocks_do_not_show(monkeypatch) -> None:
    blend = Blend(np.array([0.7, 0.2, 0.1]))
    whole = list(islice(blend.from_position(0), 100))
    monkeypatch.setattr(blending, "_SAMPLES_AT_A_TIME", 7)
    assert list(islice(blend.from_position(0), 100)) == whole
