"""What a person sees while a study runs."""

from __future__ import annotations

import time
from datetime import timedelta

from optuna.trial import FrozenTrial, TrialState

from workflow.console import say
from workflow.sweeping.plan import Plan
from workflow.sweeping.study import Study, values_of


class StudyProgress:
    """One line a trial: what came of it, how many are done, the best so far, and how long the rest may take."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._done_before, self._since = len(study.finished), time.monotonic()

    def tell(self, number: int, what: str) -> None:
        """Say what came of a trial."""
        finished = self._study.finished
        total = self._study.plan.config.sweep.trials
        of_state = {state: sum(t.state == state for t in finished) for state in (TrialState.PRUNED, TrialState.FAIL)}
        aside = [
            f"{count} {name}" for count, name in zip(of_state.values(), ("pruned", "failed"), strict=True) if count
        ]
        counted = f"{len(finished)} of {total} done" + (f" ({', '.join(aside)})" if aside else "")
        parts = [counted, best_so_far(self._study), self._left(len(finished), total)]
        say(f"trial {number}: {what} | {'; '.join(part for part in parts if part)}")

    def _left(self, done: int, total: int) -> str:
        """How long the rest takes at the pace of all workers since this one began."""
        here = done - self._done_before
        if not here or done >= total:
            return ""
        seconds = round((time.monotonic() - self._since) / here * (total - done))
        return f"about {timedelta(seconds=seconds)} left"


def best_so_far(study: Study) -> str:
    """The best value of the first objective and its trial; empty before the first."""
    best = study.best()
    return f"best {told(study.plan, best)} (trial {best.number})" if best else ""


def told(plan: Plan, trial: FrozenTrial) -> str:
    """The values of a complete trial."""
    return ", ".join(objective.told(value) for objective, value in zip(plan.objectives, values_of(trial), strict=True))
