from collections.abc import Callable
from typing import Any

from workflow.sweeping.feasibility import Footprint, refusal
from workflow.sweeping.plan import Plan
from workflow.sweeping.settings import resolved

Planned = Callable[..., Plan]


def footprint(plan: Plan, **changes: Any) -> Footprint:
    return Footprint.of(resolved(plan.settings, {key.replace("_of_", "."): value for key, value in changes.items()}))


def test_as_large_in_everything_needs_as_much(planned: Planned) -> None:
    plan = planned()
    known = footprint(plan, train_of_batch_size=8, train_of_context_length=512)
    assert known.needs_at_least(known)
    assert footprint(plan, train_of_batch_size=9, train_of_context_length=512).needs_at_least(known)
    assert not footprint(plan, train_of_batch_size=7, train_of_context_length=1024).needs_at_least(known)
    assert not footprint(plan, train_of_batch_size=16, train_of_context_length=511).needs_at_least(known)


def test_another_kind_of_training_is_not_compared(planned: Planned) -> None:
    plan = planned()
    known = footprint(plan)
    for changes in (
        {"train_of_method": "full"},
        {"train_of_precision": "bf16"},
        {"train_of_activation_checkpointing": True},
        {"train_of_lora_of_targets": ["l1"]},
        {"model_of_architecture": "evo2_7b"},
    ):
        assert not footprint(plan, train_of_batch_size=1000, **changes).needs_at_least(known), changes


def test_record_survives(planned: Planned) -> None:
    known = footprint(planned())
    assert Footprint.from_record(known.record) == known
    assert "batch_size 8" in str(known)


def test_refusals(planned: Planned) -> None:
    plan = planned(constraints=["train.learning_rate * train.batch_size < 0.1"])
    config = resolved(plan.settings, {})

    def told(rate: float, *too_large: Footprint) -> str | None:
        return refusal({"train.learning_rate": rate}, config, plan.space, plan.constraints, too_large)

    assert told(0.01) is None
    assert told(0.02) == "it breaks the constraint train.learning_rate * train.batch_size < 0.1"
    assert "ran out of memory (batch_size 8" in str(told(0.01, Footprint.of(config)))
