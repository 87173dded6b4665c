import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from workflow.artifacts import write_json
from workflow.pipeline.outcome import Failure
from workflow.sweeping.judging import Outcome, judge, meaningless
from workflow.sweeping.plan import Plan
from workflow.sweeping.settings import resolved


@pytest.fixture
def judged(planned: Callable[..., Plan], tmp_path: Path) -> Callable[..., Outcome]:
    plan = planned()

    def make(exit_code: int, **failure: Any) -> Outcome:
        if failure:
            told = {"stage": "train", "kind": "gate", "gate": None, "message": "why", "time": "now"} | failure
            write_json(tmp_path / "failed.json", asdict(Failure(**told)))
        return judge(plan, resolved(plan.settings, {}), tmp_path, exit_code, 0.0)

    return make


def test_gates_are_a_failure_of_the_trial(judged: Callable[..., Outcome]) -> None:
    outcome = judged(2, kind="gate", gate="finite_loss")
    assert outcome == Outcome(reason="train: why")


@pytest.mark.parametrize("kind", ["input", "tool", "bug"])
def test_faults_of_the_settings_are_common(judged: Callable[..., Outcome], kind: str) -> None:
    assert judged(2, kind=kind).is_common


@pytest.mark.parametrize("failure", [{"kind": "out_of_memory"}, {"kind": "gate", "gate": "gpu_memory"}])
def test_too_little_memory_is_remembered(judged: Callable[..., Outcome], failure: dict[str, Any]) -> None:
    outcome = judged(2, **failure)
    assert outcome.infeasible is not None and outcome.infeasible.sizes["batch_size"] == 8


def test_memory_of_scoring_says_nothing_of_training(judged: Callable[..., Outcome]) -> None:
    outcome = judged(2, kind="out_of_memory", stage="predict")
    assert (outcome.infeasible, outcome.reason) == (None, "predict: why")


def test_killed_by_the_system(judged: Callable[..., Outcome]) -> None:
    outcome = judged(-signal.SIGKILL)
    assert outcome.infeasible is not None and "for want of memory" in outcome.reason


@pytest.mark.parametrize(("code", "was_asked"), [(-15, True), (143, True), (130, True), (-11, False), (1, False)])
def test_asked_to_end_or_not(judged: Callable[..., Outcome], code: int, was_asked: bool) -> None:
    outcome = judged(code)
    assert (outcome.was_asked, outcome.is_common) == (was_asked, not was_asked)


@pytest.mark.parametrize("kind", ["preempted", "interrupted"])
def test_preemption_is_no_failure(judged: Callable[..., Outcome], kind: str) -> None:
    assert judged(2, kind=kind).was_asked


def test_a_run_without_its_results(judged: Callable[..., Outcome]) -> None:
    assert judged(0).is_common and "no finished stage" in judged(0).reason


def test_losses_that_end_a_trial() -> None:
    assert meaningless({1: 1.0, 2: 7.0}) is None
    assert meaningless({1: 1.0, 2: float("nan")}) == "a loss of nan at step 2"
