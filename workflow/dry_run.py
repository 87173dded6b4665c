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
# What this run does, step by step. `python -m workflow.run` does the same, checks what comes out, and goes on
# where it stopped.
set -euo pipefail
"""


def describe(run: Run) -> str:
    """Each stage with the reason, what it reads, which commands it starts, and where it writes."""
    lines = [f"run {run.folder}"]
    for step in run.plan():
        read = [item["path"] for item in step.inputs]
        read += [str(run.folder / name) for name in step.identity["stages"]]
        lines += [
            f"{step.stage.name}: would {'be skipped' if step.skip else 'run'}, {step.reason}",
            *(f"  {line}" for line in _forecast(run, step)),
            *(f"  reads  {path}" for path in read),
            *(f"  runs   {line}" for line in _tool_lines(run, step)),
            f"  writes {run.folder / step.stage.name}",
        ]
    return "\n".join(lines)


def write_commands(run: Run) -> Path:
    """Write `commands.sh` into the run folder: what would run, as it would be typed."""
    sections = [_HEADER]
    for step in run.plan():
        if step.skip:
            continue
        lines = _tool_lines(run, step) or [_own_command(step.stage.name)]
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


def _tool_lines(run: Run, step: Step) -> list[str]:
    """Empty where the stage works in this process."""
    return [] if step.skip or run.config.backend.name == "local" else run.script(step.stage.name)


def _own_command(stage: str) -> str:
    """The command that this process was started with, for one stage, in earnest."""
    kept = [part for part in provenance.command_line() if not part.startswith(("stage=", "dry_run="))]
    return hide_secrets(shlex.join([*kept, f"stage={stage}"]))
