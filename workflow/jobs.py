"""Jobs of SLURM: `python -m workflow.jobs status|log|cancel RUN`, of a run or a study that was submitted."""

from __future__ import annotations

import argparse
import sys
import time
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from pathlib import Path

from workflow.artifacts import MANIFEST
from workflow.command import told_in_one_line
from workflow.console import say
from workflow.errors import InputError
from workflow.launch.slurm import Submitted, cancel, read_records, states_of
from workflow.pipeline import PIPELINE
from workflow.pipeline.outcome import read_failure

_DESCRIPTION = "The jobs of a run or a study that was submitted with launcher=slurm."
_POLL_SECONDS = 1.0
_HEADER = ("job", "makes", "state", "why", "machines", "elapsed", "restarts")
#: What SLURM's states and reasons mean for a run, where its own word does not tell a way out.
_REMEDIES = {
    "TIMEOUT": "it could not save in time: give more launcher.slurm.signal_seconds",
    "OUT_OF_MEMORY": "give more launcher.slurm.memory",
    "PartitionTimeLimit": "launcher.slurm.time or cpu_time is more than the partition allows",
    "BeginTime": "SLURM waits a while before it starts a job again",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exit code 2 and one line for what a user can mend."""
    options = _parser().parse_args(arguments)
    with told_in_one_line(show_traceback=False):
        options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workflow.jobs", description=_DESCRIPTION)
    verbs = parser.add_subparsers(dest="verb", required=True)
    shown = verbs.add_parser("status", help="the state of each job, and what the run has")
    shown.set_defaults(run=_status)
    told = verbs.add_parser("log", help="what a job prints")
    told.add_argument("--job", help="number of the job, or NUMBER_TASK; by default the one that runs, or ended last")
    told.add_argument("--follow", action="store_true", help="go on until the job has ended")
    told.set_defaults(run=_log)
    ended = verbs.add_parser("cancel", help="end the jobs that wait or run, and those that wait for them")
    ended.add_argument("--job", help="only this one, or this task NUMBER_TASK")
    ended.set_defaults(run=_cancel)
    for verb in (shown, told, ended):
        verb.add_argument("folder", type=Path, metavar="RUN", help="folder of the run or study, such as runs/NAME")
    return parser


def _records(folder: Path) -> list[Submitted]:
    """What was submitted.

    Raises
    ------
    InputError
        Nothing was.
    """
    records = read_records(folder)
    if not records:
        raise InputError(f"{folder} has no jobs: nothing was submitted for it with launcher=slurm")
    return records


# ---------------------------------------------------------------- status


def _status(options: argparse.Namespace) -> None:
    rows = [_HEADER]
    for record in _records(options.folder):
        for task in states_of(record.id):
            way_out = _REMEDIES.get(task.state) or _REMEDIES.get(task.reason)
            why = ": ".join(word for word in (task.reason, way_out) if word)
            made = ", ".join(record.stages)
            rows.append((task.id, made, task.state, why, task.nodes, task.elapsed, str(task.restarts or "")))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    done = [name for name in PIPELINE if (options.folder / name / MANIFEST).exists()]
    say(f"published: {', '.join(done) or 'nothing yet'}")
    if failure := read_failure(options.folder):
        say(f"failed in {failure.stage} ({failure.kind}): {failure.message}")


# ---------------------------------------------------------------- log


def _log(options: argparse.Namespace) -> None:
    record, task = _choose(options.folder, options.job)
    path = record.log(options.folder, task)
    if not options.follow and not path.exists():
        raise InputError(f"job {task} has printed nothing yet ({states_of(task)[0].state})")
    for text in _read(path, task) if options.follow else [path.read_text(errors="replace")]:
        sys.stdout.write(text)
        sys.stdout.flush()


def _choose(folder: Path, wanted: str | None) -> tuple[Submitted, str]:
    """A submission and the job or task of it: the one asked for, else the one that runs, else the last with a log.

    Raises
    ------
    InputError
        There is no such job.
    """
    records = _records(folder)
    if wanted is not None:
        record = _record_of(records, wanted, folder)
        if record.array is not None and "_" not in wanted:
            raise InputError(f"job {wanted} of {folder} is an array: give a task of it, such as {wanted}_0")
        return record, wanted
    tasks = [(record, task) for record in records for task in states_of(record.id)]
    running = [(record, task.id) for record, task in tasks if task.state == "RUNNING"]
    printed = [(record, task.id) for record, task in tasks if record.log(folder, task.id).exists()]
    chosen = running[:1] or printed[-1:] or [(record, task.id) for record, task in tasks[:1]]
    return chosen[0]


def _record_of(records: Sequence[Submitted], job: str, folder: Path) -> Submitted:
    for record in records:
        if job.partition("_")[0] == record.id:
            return record
    raise InputError(f"{folder} has no job {job}: `python -m workflow.jobs status {folder}` lists them")


def _read(path: Path, task: str) -> Iterator[str]:
    """What is printed, as it comes, until the job has ended."""
    offset, ended, decoder = 0, False, getincrementaldecoder("utf-8")(errors="replace")
    while not ended:
        ended = not any(state.unfinished for state in states_of(task))
        if path.exists():
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read()
            offset += len(data)
            yield decoder.decode(data)
        if not ended:
            time.sleep(_POLL_SECONDS)


# ---------------------------------------------------------------- cancel


def _cancel(options: argparse.Namespace) -> None:
    records = _records(options.folder)
    if options.job:
        _record_of(records, options.job, options.folder)
    wanted = [options.job] if options.job else [record.id for record in records]
    queued = [job for job in wanted if any(task.unfinished for task in states_of(job))]
    if not queued:
        say(f"no job of {options.folder} waits or runs")
        return
    cancel(queued)
    say(f"cancelled: {', '.join(queued)}")


if __name__ == "__main__":
    main()
