"""What came of a trial: values, or the reason why it has none."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workflow.config import Config
from workflow.errors import InputError
from workflow.pipeline.outcome import Failure, read_failure
from workflow.sweeping.feasibility import Footprint
from workflow.sweeping.objectives import measure
from workflow.sweeping.plan import Plan

#: Faults of the settings, the data or the program, which all trials have in common; not of what a trial searches.
_COMMON = ("input", "tool", "bug")
_OUT_OF_MEMORY = ("out_of_memory", "gpu_memory")


@dataclass(frozen=True)
class Outcome:
    """What came of a trial that was let run.

    Attributes
    ----------
    values : tuple of float, optional
        Of the objectives; None where it failed.
    reason : str
        Why it failed.
    infeasible : Footprint, optional
        Of a training that had too little memory.
    is_common : bool
        Whether other trials have to fail alike.
    was_asked : bool
        Whether a scheduler or a person asked its process to end.
    """

    values: tuple[float, ...] | None = None
    reason: str = ""
    infeasible: Footprint | None = None
    is_common: bool = False
    was_asked: bool = False


def judge(plan: Plan, config: Config, run: Path, exit_code: int, seconds_before: float) -> Outcome:
    """What came of a trial whose process has ended.

    Parameters
    ----------
    plan : Plan
    config : Config
        Of the trial.
    run : Path
        Its run folder.
    exit_code : int
        Of its process; negative for a signal.
    seconds_before : float
        What interrupted attempts at it took.
    """
    if exit_code != 0:
        return _failure(config, read_failure(run), exit_code)
    try:
        values = tuple(measure(objective, run, config, seconds_before) for objective in plan.objectives)
    except InputError as error:
        return Outcome(reason=str(error), is_common=True)
    faults = [objective.fault(value) for objective, value in zip(plan.objectives, values, strict=True)]
    reason = "; ".join(fault for fault in faults if fault)
    return Outcome(reason=reason) if reason else Outcome(values)


def meaningless(losses: Mapping[int, float]) -> str | None:
    """Why a training need not go on: a loss of it is not finite."""
    for step, loss in losses.items():
        if not math.isfinite(loss):
            return f"a loss of {loss} at step {step}"
    return None


def _failure(config: Config, failure: Failure | None, exit_code: int) -> Outcome:
    if failure is None and exit_code == -signal.SIGKILL:
        # Nobody here did it: the system does where memory runs out.
        return Outcome(reason="it was killed, most likely for want of memory", infeasible=Footprint.of(config))
    if failure is None:
        how = f"by signal {-exit_code}" if exit_code < 0 else f"with exit code {exit_code}"
        was_asked = exit_code in (-signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGINT)
        return Outcome(reason=f"its process ended {how}, see its log", is_common=not was_asked, was_asked=was_asked)
    reason = f"{failure.stage}: {failure.message}"
    if failure.kind in ("preempted", "interrupted"):
        return Outcome(reason=reason, was_asked=True)
    if failure.kind in _OUT_OF_MEMORY or failure.gate in _OUT_OF_MEMORY:
        # What scores takes its own batches, which trials have in common.
        is_of_training = failure.stage == "train"
        return Outcome(reason=reason, infeasible=Footprint.of(config) if is_of_training else None)
    return Outcome(reason=reason, is_common=failure.kind in _COMMON)
