"""A worker: takes one trial after the other, starts it, follows it, and tells the study what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from workflow.artifacts import run_lock
from workflow.command import resolve
from workflow.config import Config
from workflow.console import complain
from workflow.errors import InputError
from workflow.launch.stopping import StopRequest
from workflow.sweeping.feasibility import refusal
from workflow.sweeping.following import Follower
from workflow.sweeping.judging import Outcome, judge, meaningless
from workflow.sweeping.objectives import device_hours
from workflow.sweeping.plan import SHARED, Plan, as_typed
from workflow.sweeping.process import LOG, TrialProcess, patience
from workflow.sweeping.progress import StudyProgress
from workflow.sweeping.study import Claim, Study, TakenOverError

_SECONDS_BETWEEN_LOOKS = 1.0
_MOST_REFUSALS = 200
_SECONDS_OF_HOUR = 3600


def work(plan: Plan) -> None:
    """Work on a study until all its trials are finished.

    Raises
    ------
    InputError
        No trial can be run: the storage is gone, nothing meets the constraints, or trials fail by a fault that others
        share before the default configuration has shown that it is not so.
    KeyboardInterrupt, SystemExit
        This process was asked to end; its trial goes on when the command is given again.
    """
    Worker(Study(plan)).work()


class Worker:
    """One worker of a study."""

    def __init__(self, study: Study) -> None:
        self.study, self.plan = study, study.plan
        self._progress = StudyProgress(study)

    def work(self) -> None:
        """Take trials until there are no more."""
        hours = self.plan.config.sweep.timeout_hours
        until = time.monotonic() + _SECONDS_OF_HOUR * hours if hours else None
        with StopRequest() as stop:
            while not stop.is_there and not (until and time.monotonic() > until):
                claim = self.study.claim()
                if claim is not None:
                    self._handle(claim, stop)
                elif self.study.is_done:
                    break
                else:  # others work on the last ones; should they die, these are for us
                    stop.wait(_SECONDS_BETWEEN_LOOKS)

    def _handle(self, claim: Claim, stop: StopRequest) -> None:
        try:
            settings = self.plan.trial_settings(claim.values, claim.run)
            config, reason = self._checked(claim, settings)
            if config is not None:
                self._run(claim, settings, config, stop)
            elif self.study.refuse(claim, reason) > _MOST_REFUSALS:
                raise InputError(
                    f"{_MOST_REFUSALS} proposals in a row could not be run, the last because {reason}: make "
                    "sweep.space larger, or sweep.constraints weaker"
                )
        except TakenOverError:
            complain(f"trial {claim.number}: this worker was silent for too long, another one has taken it")

    def _checked(self, claim: Claim, settings: DictConfig) -> tuple[Config | None, str]:
        """The configuration of a proposal, or why it is not run; the schema may refuse a combination of values."""
        try:
            config = resolve(settings)
        except InputError as error:
            return None, str(error)
        reason = refusal(claim.values, config, self.plan.space, self.plan.constraints, self.study.too_large)
        return (config, "") if reason is None else (None, reason)

    def _run(self, claim: Claim, settings: DictConfig, config: Config, stop: StopRequest) -> None:
        """Start a trial, follow it to its end, and tell the study what came of it."""
        plan, run = self.plan, self.plan.folder / claim.run
        arguments = plan.command(claim.values, claim.run)
        self.study.note(claim, command=as_typed(arguments))
        self._wait_until_free(run, claim, stop)
        follower, began = Follower(run, plan.follows), time.monotonic()
        process = TrialProcess(settings, plan.folder / SHARED, run, arguments)
        try:
            tell = self._follow(process, follower, claim, config.train.steps, stop)
            process.stop(patience(config), lambda: stop.is_urgent, lambda: self.study.sign(claim))
        finally:
            process.close()
        seconds = time.monotonic() - began
        follower.new()
        self.study.note(claim, seconds=seconds, gpu_hours=device_hours(seconds, config), steps=follower.step)
        if tell is not None:
            tell()
        elif stop.is_there and process.exit_code != 0:
            self.study.interrupt(claim, "its worker was asked to end")
            self._progress.tell(claim.number, "interrupted; the same command goes on with it")
        else:
            assert process.exit_code is not None
            self._tell(claim, judge(plan, config, run, process.exit_code, claim.seconds_before))

    def _follow(
        self, process: TrialProcess, follower: Follower, claim: Claim, steps: int, stop: StopRequest
    ) -> Callable[[], None] | None:
        """Watch a trial until it ends or has to; what to tell the study in the second case, if that is known."""
        while process.exit_code is None and not stop.is_there:
            process.wait()
            losses = follower.new()
            if reason := meaningless(losses):
                return lambda: self._fail(claim, reason)
            at = max(losses, default=0)
            # After the last step there is nothing left to save.
            if self.plan.follows and losses and self.study.report(claim, losses) and at < steps:
                return lambda: self._prune(claim, f"stopped at step {at}: worse than other trials there")
            self.study.sign(claim)
        return None

    def _tell(self, claim: Claim, outcome: Outcome) -> None:
        """Tell the study what came of a trial that ended by itself."""
        if outcome.values is not None and not self.study.read_the_same(claim):
            self.study.interrupt(claim, "it had other files of the genome than the trials before it")
            raise InputError(
                f"the files of the genome are not those that {self.plan.folder} was begun with: put them back (the "
                "same command goes on), or give another sweep.name"
            )
        if outcome.values is not None:
            self.study.complete(claim, outcome.values)
            pairs = zip(self.plan.objectives, outcome.values, strict=True)
            self._progress.tell(claim.number, ", ".join(objective.told(value) for objective, value in pairs))
        elif outcome.was_asked:
            self.study.interrupt(claim, outcome.reason, died=True)
            self._progress.tell(claim.number, f"interrupted, {outcome.reason}")
        elif outcome.is_common and not self.study.default_is_done:
            self.study.interrupt(claim, outcome.reason)
            raise InputError(
                f"trial {claim.number} failed, as others would, the default configuration too: {outcome.reason} "
                f"(its log: {self.plan.folder / claim.run / LOG})"
            )
        else:
            self.study.fail(claim, outcome.reason, outcome.infeasible)
            self._progress.tell(claim.number, f"failed, {outcome.reason}")

    def _prune(self, claim: Claim, reason: str) -> None:
        self.study.prune(claim, reason)
        self._progress.tell(claim.number, reason)

    def _fail(self, claim: Claim, reason: str) -> None:
        self.study.fail(claim, reason)
        self._progress.tell(claim.number, f"failed, {reason}")

    def _wait_until_free(self, run: Path, claim: Claim, stop: StopRequest) -> None:
        """Wait for what a dead worker's trial still does in the run folder: it saves, and ends."""
        until = time.monotonic() + patience(self.plan.config)
        while not _is_free(run):
            if time.monotonic() > until:
                raise InputError(f"another process still works on {run}, whose worker died: end it")
            self.study.sign(claim)
            stop.wait(_SECONDS_BETWEEN_LOOKS)


def _is_free(run: Path) -> bool:
    try:
        with run_lock(run):
            return True
    except InputError:
        return False
