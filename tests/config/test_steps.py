"""The budget and the ramp against their definitions, and against numbers of OmniBioTE's own code."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.config import BackendConfig, Config, ParallelConfig, StepPlan, TrainConfig
from workflow.errors import InputError

SHARES = st.floats(0, 1)


def trained(**changes: Any) -> TrainConfig:
    values: dict[str, Any] = {"method": "lora", "context_length": 1000, "steps": 10, "learning_rate": 1e-3}
    return TrainConfig(**(values | changes))


def test_the_ramp_of_omnibiote() -> None:
    """1,000 steps, a ramp over 5 % of them, 256 samples, 8 at a time: its sizes at every fifth step."""
    plan = StepPlan.of(1000, samples=256, first=8, ramp_share=0.05)
    sizes = [plan.samples_of(step) for step in range(0, 60, 5)]
    assert sizes == [8, 32, 56, 80, 104, 136, 160, 184, 208, 232, 256, 256]


def test_the_budget_of_omnibiote() -> None:
    """20e9 tokens by 16 · 64 samples of 2,048."""
    config = trained(tokens=20_000_000_000, context_length=2048, batch_size=64, accumulate=16)
    assert config.plan(copies=1).steps == 9536
    assert trained(tokens=20_000_000_000, context_length=2048, batch_size=8, accumulate=4).plan(copies=32).steps == 9536


@given(steps=st.integers(1, 300), first=st.integers(1, 20), times=st.integers(1, 20), share=SHARES)
def test_a_ramp_grows_to_its_full_size_in_whole_passes(steps: int, first: int, times: int, share: float) -> None:
    plan = StepPlan.of(steps, first * times, first, share)
    sizes = [plan.samples_of(step) for step in range(steps)]
    assert sizes == sorted(sizes)
    assert all(size % first == 0 and first <= size <= plan.samples for size in sizes)
    assert set(sizes[plan.ramp :]) <= {plan.samples}
    for step in range(plan.ramp):  # the next multiple above the straight line
        line = plan.samples * step / plan.ramp
        assert line <= sizes[step] <= line + first + 1e-9
    begins = [plan.samples_before(step) for step in range(steps + 1)]
    assert begins == [0, *accumulate(sizes)]
    assert plan.all_samples == sum(sizes)


@given(budget=st.integers(0, 20_000), first=st.integers(1, 20), times=st.integers(1, 20), share=SHARES)
def test_a_budget_is_spent_but_for_less_than_a_step(budget: int, first: int, times: int, share: float) -> None:
    plan = StepPlan.within(budget, first * times, first, share)
    assert plan.all_samples <= budget
    assert StepPlan.of(plan.steps + 1, plan.samples, first, share).all_samples > budget


def test_without_a_ramp_all_steps_are_full() -> None:
    plan = trained(batch_size=4, accumulate=3).plan(copies=2)
    assert plan == StepPlan(steps=10, samples=24, first=8, ramp=0)
    assert [plan.samples_of(step) for step in (0, 9)] == [24, 24]
    assert plan.samples_before(7) == 7 * 24


def test_a_ramp_of_less_than_half_a_step_is_none() -> None:
    assert trained(batch_ramp=0.04).plan(1).ramp == 0
    assert trained(batch_ramp=0.06).plan(1).ramp == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"tokens": 15_999, "batch_size": 4, "accumulate": 2},
            r"^train\.tokens=15999 is less than one step of 16 samples × 1000 bases = 16000: give more, or a smaller",
        ),
        ({"tokens": 0}, r"^train\.tokens=0 must be positive$"),
        ({"batch_ramp": 1.5}, r"^train\.batch_ramp=1\.5 must lie between 0 and 1$"),
        ({"batch_ramp_start": -16}, r"^train\.batch_ramp_start=-16 must be positive$"),
        (
            {"batch_ramp_start": 24, "accumulate": 4},
            r"^train\.batch_ramp_start=24 must be a multiple of the 16 samples of one forward pass of all processes",
        ),
        ({"batch_ramp_start": 32}, r"^train\.batch_ramp_start=32 .* no more than the 16 of a full step$"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        trained(**changes).plan(copies=2)
    assert "\n" not in str(caught.value)


def test_a_budget_takes_the_place_of_the_steps_everywhere() -> None:
    train = trained(tokens=100_000, batch_size=4)
    config = Config(train=train, backend=BackendConfig(name="local"), parallel=ParallelConfig(devices=2))
    assert config.train.steps == config.step_plan.steps == 12
    assert train.steps == 10  # what was given is left as it is
    tools = Config(
        train=train, backend=BackendConfig(name="nemo2"), parallel=ParallelConfig(devices=8, tensor=4, nodes=1)
    )
    assert tools.train.steps == 12
