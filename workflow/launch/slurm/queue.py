"""SLURM's own programs: sbatch, scontrol, sacct and scancel."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workflow.errors import InputError

_SECONDS = 60
#: Where a job may still get to.
_UNFINISHED = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", "STOPPED")
_SPEAKER = re.compile(r"^\w+: (error: )?")
_FORGOTTEN = "Invalid job id"
_ACCOUNT_FIELDS = "JobID,State,Reason,NodeList,Elapsed,ExitCode"


@dataclass(frozen=True)
class TaskState:
    """What SLURM knows of a job, or of one task of an array.

    Attributes
    ----------
    id : str
        Such as 12, or 12_3 for a task; 12_[3-7] for tasks that wait.
    state : str
        SLURM's word, such as PENDING; UNKNOWN when it does not remember the job.
    reason : str
        Why it waits or has ended so; empty when there is nothing to tell.
    nodes : str
        Machines, as SLURM lists them.
    elapsed : str
        Time since it was started last, D-HH:MM:SS.
    restarts : int
        How often it was put back into the queue.
    exit_code : str
        CODE:SIGNAL.
    """

    id: str
    state: str
    reason: str = ""
    nodes: str = ""
    elapsed: str = ""
    restarts: int = 0
    exit_code: str = ""

    @property
    def unfinished(self) -> bool:
        """Whether it waits or runs."""
        return self.state in _UNFINISHED

    @property
    def failed(self) -> bool:
        """Whether it has ended otherwise than well."""
        return not self.unfinished and self.state not in ("COMPLETED", "UNKNOWN")


def submit(script: Path, after: Sequence[str] = ()) -> str:
    """Hand a script to SLURM. Returns the number of the job.

    Parameters
    ----------
    script : Path
    after : sequence of str
        Jobs that have to end well first.

    Raises
    ------
    InputError
        This is no machine to submit from, or SLURM refused the job; its own words.
    """
    waits = [f"--dependency=afterok:{':'.join(after)}"] if after else []
    done = _call("sbatch", "--parsable", *waits, str(script))
    if done.returncode:
        raise InputError(f"sbatch refused {script}: {_told(done)}")
    return done.stdout.strip().partition(";")[0]


def states_of(job: str) -> list[TaskState]:
    """The state of a job, or of each task of an array; never empty.

    Raises
    ------
    InputError
        SLURM is not there or does not answer.
    """
    done = _call("scontrol", "--oneliner", "show", "job", job)
    if done.returncode == 0 and done.stdout.strip():
        states = [_read(line) for line in done.stdout.splitlines() if line.strip()]
        return sorted(states, key=lambda state: (len(state.id), state.id))
    if done.returncode and _FORGOTTEN not in done.stderr:
        raise InputError(f"SLURM does not tell the state of job {job}: {_told(done)}")
    return _remembered(job)


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; one that has ended already is left alone.

    Raises
    ------
    InputError
        SLURM is not there or refused.
    """
    done = _call("scancel", *jobs)
    if done.returncode and _FORGOTTEN not in done.stderr:
        raise InputError(f"scancel refused {' '.join(jobs)}: {_told(done)}")


def _read(line: str) -> TaskState:
    """One line of `scontrol --oneliner show job`."""

    def value(key: str) -> str:
        match = re.search(rf" {key}=(\S+)", f" {line}")
        return "" if match is None or match[1] in ("(null)", "None", "N/A") else match[1]

    task = value("ArrayTaskId")
    shown = f"{value('ArrayJobId')}_{task if task.isdecimal() else f'[{task}]'}" if task else value("JobId")
    return TaskState(
        shown,
        value("JobState"),
        value("Reason"),
        value("NodeList"),
        value("RunTime"),
        int(value("Restarts") or 0),
        value("ExitCode"),
    )


def _remembered(job: str) -> list[TaskState]:
    """What the accounting tells of a job that the controller has forgotten, where there is one."""
    unknown = [TaskState(job, "UNKNOWN", "SLURM has forgotten it")]
    try:
        done = _call(
            "sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job}", f"--format={_ACCOUNT_FIELDS}"
        )
    except InputError:
        return unknown
    rows = [line.split("|") for line in done.stdout.splitlines()] if done.returncode == 0 else []
    states = [
        # "CANCELLED by 1000"
        TaskState(shown, state.split()[0], "" if reason == "None" else reason, nodes, elapsed, exit_code=code)
        for shown, state, reason, nodes, elapsed, code in rows
    ]
    return states or unknown


def _call(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 no shell reads it
            [program, *arguments],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise InputError(f"{program} is not on PATH: use launcher=slurm on a login node of SLURM") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"{program} did not answer for {_SECONDS} s: see whether SLURM works, with sinfo") from None


def _environment() -> dict[str, str]:
    """That of this process, without what SLURM tells of the job that it may be part of: the new one is another."""
    in_job = "SLURM_JOB_ID" in os.environ
    return {
        name: value
        for name, value in os.environ.items()
        if not (in_job and name.startswith("SLURM_") and name != "SLURM_CONF")
    }


def _told(done: subprocess.CompletedProcess[str]) -> str:
    """What a program said, in one line."""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return "; ".join(_SPEAKER.sub("", line) for line in lines) or f"exit code {done.returncode}"
