"""However many processes there are, a step has the same samples, and a validation each of its own once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.dataset.conftest import random_bases
from workflow.backends.embedded.batches import Stretch, validation_share
from workflow.config import StepPlan
from workflow.dataset.samples import TrainingSamples


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> TrainingSamples:
    files = [random_bases(tmp_path_factory.mktemp("tokens"), [700, 90, 5])]
    return TrainingSamples(files, [1.0], context_length=10, seed=1, reverse_complement=0.5)


def sequences(stretch: Stretch) -> list[list[list[tuple[int, ...]]]]:
    """Ids of each sample, by step and forward pass."""
    return [
        [[tuple(row[valid].tolist()) for row, valid in zip(ids, mask, strict=True)] for ids, mask in step]
        for step in stretch
    ]


@given(ranks=st.integers(1, 4), batch_size=st.integers(1, 3), times=st.integers(1, 4), share=st.floats(0, 1))
def test_processes_divide_the_samples_of_each_step(
    samples: TrainingSamples, ranks: int, batch_size: int, times: int, share: float
) -> None:
    together = ranks * batch_size
    plan = StepPlan.of(9, together * times, together, share)
    (alone,) = [sequences(Stretch(samples, plan, range(2, 7), together, 0, 1))]
    parts = [sequences(Stretch(samples, plan, range(2, 7), batch_size, rank, ranks)) for rank in range(ranks)]
    for step, whole in enumerate(alone):
        assert [len(part[step]) * together for part in parts] == [plan.samples_of(step + 2)] * ranks
        for number, batch in enumerate(whole):
            assert [sample for part in parts for sample in part[step][number]] == batch


def test_stretches_follow_one_another(samples: TrainingSamples) -> None:
    plan = StepPlan(steps=9, samples=6, first=2, ramp=5)
    whole = sequences(Stretch(samples, plan, range(9), 2, 0, 1))
    parts = [sequences(Stretch(samples, plan, steps, 2, 0, 1)) for steps in (range(4), range(4, 5), range(5, 9))]
    assert [step for part in parts for step in part] == whole


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=15), ranks=st.integers(1, 5), size=st.integers(1, 4))
def test_each_validation_sample_is_in_one_process_once(lengths: list[int], ranks: int, size: int) -> None:
    validation = [np.full(length, 65 + number, np.uint8) for number, length in enumerate(lengths)]
    shares = [validation_share(validation, size, rank, ranks) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert all(len(ids) <= size for share in shares for ids, _ in share)
    seen = Counter(int(value) for share in shares for ids, mask in share for value in ids[mask])
    assert seen == {65 + number: length for number, length in enumerate(lengths)}


def test_one_process_has_the_samples_in_their_order(tmp_path: Path) -> None:
    validation = [np.frombuffer(text, np.uint8) for text in (b"ACGT", b"AC", b"GGG")]
    (ids, mask), second = validation_share(validation, 2, 0, 1)
    assert [row[valid].tolist() for row, valid in zip(ids, mask, strict=True)] == [list(b"ACGT"), list(b"AC")]
    assert torch.equal(second[0], torch.tensor([list(b"GGG")]))
