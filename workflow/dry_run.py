"""What a run would do, without doing it: `dry_run=true`."""

from __future__ import annotations

import shlex
from pathlib import Path

from workflow import provenance
from workflow.artifacts import write_text
from workflow.genome.web import hide_secrets
from workflow.pipeline import Run, Step
from workflow.preflight import forecast

#: The commands of a run, to be read, or run by hand.
COMMANDS = "commands.sh"
_HEADER = """#!/usr/bin/env bash
# What this run does, step by step. `python -m workflow.run` does the same, checks what comes out, goes on where it
# stopped, and scores with the checkpoint of the lowest validation loss (here: the newest). It does not take over
# what is made by hand: `python -m workflow.predictions` reads predictions.
set -euo pipefail
"""


def describe(run: Run) -> str:
    """Each stage with the reason, what it reads, which commands it starts, and where it writes."""
    lines, told = [f"run {run.folder}"], set[str]()
    for step in run.plan():
        commands, notes = _tools(run, step)
        read = [item["path"] for item in step.inputs]
        read += [str(run.folder / name) for name in step.identity["stages"]]
        lines += [
            f"{step.stage.name}: would {'be skipped' if step.skip else 'run'}, {step.reason}",
            *(f"  {line}" for line in _forecast(run, step)),
            *(f"  reads  {path}" for path in read),
            *(f"  runs   {line}" for line in commands),
            *(f"  note   {line}" for line in notes if line not in told),
            f"  writes {run.folder / step.stage.folder(run.config)}",
        ]
        told |= set(notes)
    return "\n".join(lines)


def write_commands(run: Run) -> Path:
    """Write `commands.sh` into the run folder: what would run, as it would be typed."""
    sections, by_hand = [f"{_HEADER}cd {shlex.quote(str(Path.cwd()))}\n"], False
    for step in run.plan():
        if step.skip:
            continue
        # Processes of the local backend read what this program gives them: it has to start them itself.
        lines = [] if run.config.backend.name == "local" else _tools(run, step)[0]
        # A stage that is published by the program alone can be followed by one of its own, a tool's cannot.
        own = _own_command(step.stage.name)
        lines, by_hand = (lines, True) if lines else ([f"# {own}" if by_hand else own], by_hand)
        sections.append("\n".join([f"# {step.stage.name}", *lines]) + "\n")
    run.folder.mkdir(parents=True, exist_ok=True)
    path = run.folder / COMMANDS
    write_text(path, "\n".join(sections))
    path.chmod(0o755)
    return path


def _forecast(run: Run, step: Step) -> list[str]:
    if step.skip:
        return []
    told = step.stage.forecast(run.config) if step.stage.forecast else []
    return told + forecast(run.config, step.stage.name)


def _tools(run: Run, step: Step) -> tuple[list[str], list[str]]:
    """Commands, and what a user has to know of them; empty where the stage works in this process."""
    return ([], []) if step.skip or not run.config.starts_programs(step.stage.name) else run.script(step.stage.name)


def _own_command(stage: str) -> str:
    """The command that this process was started with, for one stage, in earnest."""
    kept = [part for part in provenance.command_line() if not part.startswith(("stage=", "dry_run="))]
    return hide_secrets(shlex.join([*kept, f"stage={stage}"]))
