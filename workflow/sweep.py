"""Search over settings: `python -m workflow.sweep sweep=lora genome=… model=… backend=…`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from workflow.command import compose, told_in_one_line
from workflow.console import say
from workflow.errors import InputError
from workflow.submitting import submit_array


def main() -> None:
    """Compose the configuration and run the study; exit code 2 and one line for what a user can mend."""
    if (settings := compose()) is not None:
        with told_in_one_line(show_traceback=bool(settings.debug)):
            sweep(settings, sys.argv[1:])


def sweep(settings: DictConfig, typed: Sequence[str]) -> None:
    """Run the study that the settings ask for, or go on with it.

    Parameters
    ----------
    settings : DictConfig
        As Hydra composed it.
    typed : sequence of str
        The arguments of the command line that made it.

    Raises
    ------
    InputError
        The search makes no sense as it is given, or cannot go on.
    """
    if importlib.util.find_spec("optuna") is None:
        raise InputError("a sweep needs Optuna: pip install 'evo2-adaptation[sweep]'")
    from workflow.sweeping.crew import run_crew
    from workflow.sweeping.describing import describe
    from workflow.sweeping.ending import finish
    from workflow.sweeping.plan import make_plan
    from workflow.sweeping.storage import faults_told
    from workflow.sweeping.worker import work

    plan = make_plan(settings, typed)
    if plan.config.launcher.name == "slurm":
        workers = plan.config.sweep.workers
        submit_array(
            plan.config,
            typed,
            module="workflow.sweep",
            folder=plan.folder,
            name="sweep",
            tasks=workers,
            settings={"sweep.workers": "1"},
        )
        return
    say(describe(plan))
    if plan.config.dry_run:
        return
    with faults_told(plan.config.sweep.storage):
        if plan.config.sweep.workers == 1:
            work(plan)
        else:
            run_crew(plan)
        finish(plan)


if __name__ == "__main__":
    main()
