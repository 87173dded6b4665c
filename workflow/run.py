"""Run stages: `python -m workflow.run stage=… genome=… model=… backend=… train=…`."""

from __future__ import annotations

import sys
from contextlib import nullcontext

from omegaconf import DictConfig

from workflow.command import compose, resolve, told_in_one_line
from workflow.console import say
from workflow.dry_run import describe, write_commands
from workflow.launch.rendezvous import follow, lead
from workflow.pipeline import Run
from workflow.submitting import submit_run


def main() -> None:
    """Compose the configuration and run the stages; exit code 2 and one line for what a user can mend."""
    if (settings := compose()) is not None:
        with told_in_one_line(show_traceback=bool(settings.debug)):
            run_stages(settings)


def run_stages(settings: DictConfig) -> None:
    """Run the stages that the settings ask for, here, as jobs, or as one of several machines."""
    config = resolve(settings)
    launcher = config.launcher
    if launcher.name == "slurm":
        submit_run(config, sys.argv[1:])
        return
    run = Run(config)
    if config.dry_run:
        say(describe(run))
        say(f"commands: {write_commands(run)}")
        run.preflight(run.plan())
        return
    if launcher.follows:
        follow(run.folder, launcher.node_rank, launcher.environment)
        return
    with lead(run.folder) if launcher.name == "torchrun" else nullcontext():
        run.execute()
    report = run.folder / "evaluate" / "report.html"
    if "evaluate" in config.stages:
        say(f"report: {report.resolve()}")


if __name__ == "__main__":
    main()
