"""The study as all workers share it: whose turn which trial is, what was told of it, and what dead workers left.

Optuna's own states are those of a trial: WAITING, RUNNING, COMPLETE, PRUNED, FAIL. An attribute tells two of them apart
further: a trial that was interrupted (FAIL) is tried again as a new one in the same run folder, and a proposal that
was refused (PRUNED) was never run; neither counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from workflow import provenance
from workflow.artifacts import read_json, read_manifest, waiting_lock, write_json
from workflow.errors import InputError
from workflow.identity import difference
from workflow.sweeping.feasibility import Footprint
from workflow.sweeping.liveness import is_alive, seconds_between_signs, this_process
from workflow.sweeping.plan import TRIALS, Plan
from workflow.sweeping.proposing import be_quiet, pruner_of, sampler_of
from workflow.sweeping.storage import open_storage

RECORD = "study.json"
#: How often a trial whose worker died is tried again: one that kills its worker each time must come to an end.
_MOST_DEATHS = 5
#: Proposals of the study's sampler that are refused in a row before they are drawn at random.
_PROPOSALS_OF_SAMPLER = 10
#: Mark of the trial of the base configuration, which changes nothing of it.
_DEFAULT = json.dumps({})
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class TakenOverError(Exception):
    """This process was taken for dead, and its trial is another worker's now."""


@dataclass(frozen=True)
class Claim:
    """A trial that this process works on.

    Attributes
    ----------
    trial : optuna.Trial
    values : dict
        Of the searched settings that matter in it.
    run : str
        Its run folder within the study.
    seconds_before : float
        What interrupted attempts took.
    """

    trial: optuna.Trial
    values: dict[str, Any]
    run: str
    seconds_before: float

    @property
    def number(self) -> int:
        """Of the trial."""
        return self.trial.number


class Study:
    """One worker's view of the study.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    optuna : optuna.Study
        What Optuna keeps of it.

    Raises
    ------
    InputError
        The storage cannot be used, or holds another study of this name.
    """

    def __init__(self, plan: Plan) -> None:
        be_quiet()
        self.plan, self.folder = plan, plan.folder
        self._me = this_process()
        self._last_sign = 0.0
        with self._lock():
            self._storage = open_storage(plan.config.sweep.storage, plan.folder)
            self.optuna = optuna.create_study(
                storage=self._storage,
                study_name=plan.name,
                directions=[StudyDirection[objective.direction.upper()] for objective in plan.objectives],
                pruner=pruner_of(plan),
                load_if_exists=True,
            )
            self._check_identity()
            self._enqueue_first()

    # ------------------------------------------------------------ what there is

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, also those that do not count."""
        return self.optuna.get_trials(deepcopy=False)

    @property
    def finished(self) -> list[FrozenTrial]:
        """The trials that count and are finished."""
        return [trial for trial in self.trials if counts(trial) and trial.state in _FINISHED]

    @property
    def is_done(self) -> bool:
        """Whether as many trials as wanted are finished."""
        return len(self.finished) >= self.plan.config.sweep.trials

    @property
    def default_is_done(self) -> bool:
        """Whether the base configuration has been tried, which tells that nothing is wrong with all trials."""
        return any(trial.user_attrs.get("first") == _DEFAULT for trial in self.finished)

    def best(self, objective: int = 0) -> FrozenTrial | None:
        """The complete trial with the best value, the first of equal ones."""
        sign = 1 if self.plan.objectives[objective].direction == "minimize" else -1
        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        return min(complete, key=lambda trial: sign * values_of(trial)[objective], default=None)

    def pareto_front(self) -> list[FrozenTrial]:
        """The complete trials that no other is better than in every objective."""
        return sorted(self.optuna.best_trials, key=lambda trial: trial.number)

    @property
    def too_large(self) -> list[Footprint]:
        """Footprints of the trials that ran out of memory."""
        records = [trial.user_attrs.get("infeasible") for trial in self.trials]
        return [Footprint.from_record(record) for record in records if record]

    @property
    def created(self) -> str:
        """When it was begun, UTC."""
        return str(self.optuna.user_attrs["created"])

    @property
    def others_work(self) -> bool:
        """Whether a worker that lives has a trial."""
        return any(trial.state == TrialState.RUNNING and self._has_worker(trial) for trial in self.trials)

    # ------------------------------------------------------------ taking a trial

    def claim(self) -> Claim | None:
        """The next trial; None where all that are wanted are taken.

        Trials of workers that died are taken first, as they can go on from their checkpoint.
        """
        with self._lock():
            self._take_from_the_dead()
            taken = [trial for trial in self.trials if counts(trial) and trial.state != TrialState.WAITING]
            if len(taken) >= self.plan.config.sweep.trials:
                return None
            trial = self.optuna.ask()
            trial.set_user_attr("run", trial.user_attrs.get("run", f"{TRIALS}/{trial.number:04d}"))
            trial.set_user_attr("kind", trial.user_attrs.get("kind", "sampled"))
            trial.set_user_attr("began", time.time())
            trial.set_user_attr("worker", self._me)
            self._sign(trial)
        refused = self._refused_in_a_row()
        self.optuna.sampler = sampler_of(self.plan, trial.number, at_random=refused >= _PROPOSALS_OF_SAMPLER)
        values = self.plan.space.suggest(trial)
        attributes = trial.user_attrs
        return Claim(trial, values, attributes["run"], float(attributes.get("seconds_before", 0.0)))

    def sign(self, claim: Claim) -> None:
        """Tell now and then that this process still works on its trial.

        Raises
        ------
        TakenOverError
            It was silent for so long that another has taken it.
        """
        if time.monotonic() - self._last_sign >= seconds_between_signs(self.plan.config.sweep.stale_seconds):
            self._sign(claim.trial)

    # ------------------------------------------------------------ telling of a trial

    def note(self, claim: Claim, **attributes: Any) -> None:
        """Keep something about a trial."""
        with _ownership():
            for name, value in attributes.items():
                claim.trial.set_user_attr(name, value)

    def report(self, claim: Claim, values: Mapping[int, float]) -> bool:
        """Tell validations by their step; whether the trial is to be stopped."""
        with _ownership():
            for step in sorted(values):
                claim.trial.report(values[step], step)
            return claim.trial.should_prune()

    def read_the_same(self, claim: Claim) -> bool:
        """Whether a trial whose stages are done had the same genome, byte for byte, as the first that was done."""
        found = read_manifest(self.folder / claim.run / "prepare")["identity"]["files"]
        with self._lock():
            kept = self.optuna.user_attrs.get("files")
            if kept is None:
                self.optuna.set_user_attr("files", found)
        return kept in (None, found)

    def complete(self, claim: Claim, values: Sequence[float]) -> None:
        """The trial has its values."""
        self._tell(claim, TrialState.COMPLETE, list(values))

    def prune(self, claim: Claim, reason: str) -> None:
        """The trial was stopped early."""
        self.note(claim, reason=reason)
        self._tell(claim, TrialState.PRUNED)

    def fail(self, claim: Claim, reason: str, infeasible: Footprint | None = None) -> None:
        """The trial has no value that means something."""
        self.note(claim, reason=reason, **({"infeasible": infeasible.record} if infeasible else {}))
        self._tell(claim, TrialState.FAIL)

    def refuse(self, claim: Claim, reason: str) -> int:
        """The proposal is not run, and does not count. Returns how many were refused in a row."""
        self.note(claim, reason=reason, refused=True)
        self._tell(claim, TrialState.PRUNED)
        return self._refused_in_a_row()

    def interrupt(self, claim: Claim, reason: str, died: bool = False) -> None:
        """The trial could not be ended here; it waits to be gone on with. One that keeps dying has failed."""
        deaths = int(claim.trial.user_attrs.get("died", 0)) + died
        self.note(claim, reason=reason, died=deaths, interrupted=deaths < _MOST_DEATHS)
        self._tell(claim, TrialState.FAIL)
        with self._lock():
            self._requeue()

    # ------------------------------------------------------------ inside the lock

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One worker at a time; the kernel lets go when it dies."""
        with waiting_lock(self.folder / "study"):
            yield

    def _check_identity(self) -> None:
        """Refuse to mix trials that cannot be compared, and a study of this name that belongs to another folder."""
        path, identity = self.folder / RECORD, self.plan.identity
        kept = self.optuna.user_attrs.get("identity")
        if kept is None:
            self._require_one_storage(path)
            created, storage = provenance.now(), self.plan.config.sweep.storage
            write_json(path, {"name": self.plan.name, "created": created, "storage": storage})
            self.optuna.set_user_attr("created", created)
            self.optuna.set_user_attr("identity", identity)
            self.optuna.set_metric_names([objective.name for objective in self.plan.objectives])
        elif not path.exists() or read_json(path)["created"] != self.optuna.user_attrs["created"]:
            raise InputError(
                f"sweep.storage has a study {self.plan.name} that is not the one of {self.folder}: give another "
                "sweep.name"
            )
        elif kept != identity:
            raise InputError(
                f"the study {self.folder} was begun otherwise, and its trials could not be compared with new ones: "
                f"{difference(kept, identity)}; give another sweep.name, or the settings that it was begun with"
            )

    def _require_one_storage(self, record: Path) -> None:
        """Refuse to begin a second study over the runs of one that is kept elsewhere."""
        begun = read_json(record).get("storage") if record.exists() else self.plan.config.sweep.storage
        if begun != self.plan.config.sweep.storage:
            raise InputError(
                f"the study {self.folder} was begun with sweep.storage={begun or 'null'}, where its trials are: give "
                "that, or another sweep.name"
            )

    def _enqueue_first(self) -> None:
        """The default configuration, then the queue; once, however often the command is given."""
        there = {trial.user_attrs.get("first") for trial in self.trials}
        for values in self.plan.first:
            # By what it asks for: the queue of the next command, or of another worker, may be another one.
            mark = json.dumps(values, sort_keys=True)
            if mark not in there:
                kind = "default" if mark == _DEFAULT else "queued"
                self.optuna.enqueue_trial(self.plan.space.stored(values), {"first": mark, "kind": kind})

    def _take_from_the_dead(self) -> None:
        """End the trials of workers that are gone, and queue them again."""
        for trial in self.trials:
            if trial.state == TrialState.RUNNING and not self._has_worker(trial):
                told = trial.user_attrs
                died = int(told.get("died", 0)) + 1
                for name, value in {
                    "reason": "its worker died" + (f", as {died - 1} before it" if died == _MOST_DEATHS else ""),
                    "died": died,
                    "interrupted": died < _MOST_DEATHS,
                    "seconds": max(0.0, float(told.get("sign", 0)) - float(told.get("began", 0))),
                }.items():
                    self._storage.set_trial_user_attr(trial._trial_id, name, value)
                self.optuna.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        self._requeue()

    def _requeue(self) -> None:
        """Queue every interrupted trial once more, unless it is already."""
        again = {trial.user_attrs.get("retry_of") for trial in self.trials}
        for trial in self.trials:
            told = trial.user_attrs
            if not told.get("interrupted") or trial.number in again:
                continue
            fixed = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            before = float(told.get("seconds_before", 0)) + float(told.get("seconds", 0))
            attributes: dict[str, Any] = {name: told[name] for name in ("run", "died", "first") if name in told}
            attributes |= {"kind": "retry", "retry_of": trial.number, "seconds_before": before}
            self.optuna.enqueue_trial(fixed, attributes)

    def _has_worker(self, trial: FrozenTrial) -> bool:
        told = trial.user_attrs
        # One without a worker died in the moment between taking it and saying so, which is inside the lock.
        return "worker" in told and is_alive(
            told["worker"], float(told.get("sign", 0)), self.plan.config.sweep.stale_seconds
        )

    # ------------------------------------------------------------ parts

    def _sign(self, trial: optuna.Trial) -> None:
        with _ownership():
            trial.set_user_attr("sign", time.time())
        self._last_sign = time.monotonic()

    def _tell(self, claim: Claim, state: TrialState, values: list[float] | None = None) -> None:
        with self._lock(), _ownership():
            if self._storage.get_trial(claim.trial._trial_id).state != TrialState.RUNNING:
                raise TakenOverError
            self.optuna.tell(claim.trial, values, state)

    def _refused_in_a_row(self) -> int:
        """How many of the newest proposals were refused."""
        proposed = [trial for trial in self.trials if trial.state in _FINISHED and "run" in trial.user_attrs]
        count = 0
        for trial in reversed(proposed):
            if not trial.user_attrs.get("refused"):
                break
            count += 1
        return count


def values_of(trial: FrozenTrial) -> list[float]:
    """Values of a complete trial, one for each objective."""
    return list(trial.values)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those that were asked for: not refused, and not to be tried again."""
    return not trial.user_attrs.get("refused") and not trial.user_attrs.get("interrupted")


@contextmanager
def _ownership() -> Iterator[None]:
    try:
        yield
    except UpdateFinishedTrialError:
        raise TakenOverError from None
