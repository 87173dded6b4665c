"""The script of a job."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from workflow.config.launcher import LauncherConfig
from workflow.errors import InputError
from workflow.launch.launchers import check_names
from workflow.launch.rendezvous import ATTEMPT
from workflow.launch.shell import is_secret, shows_secret
from workflow.launch.slurm import container
from workflow.launch.slurm.job import Job

#: Ports that neither the system hands out by itself nor services of a cluster use.
_FIRST_PORT, _PORTS = 15_000, 15_000
#: Of `signal_seconds`, what is kept for SLURM to put the job back in.
_SECONDS_TO_REQUEUE = 20

_HEAD = """\
# {what}
# Submitted from {folder}; `python -m workflow.jobs status` shows what became of it.
"""

_BEGINNING = """\
set -e
cd {folder}
{surroundings}set +e -u

# One task of an array by its full name: the number alone may mean all of them.
job=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
job=${{job:-$SLURM_JOB_ID}}
restarts=${{SLURM_RESTART_COUNT:-0}}
# Where the machines of this job meet, and what tells this start of it from those before.
rendezvous="$(hostname):$(({first_port} + SLURM_JOB_ID % {ports}))"
export {attempt}="$SLURM_JOB_ID.$restarts"
# A job that comes back goes on: only its first start begins anew where that is asked for.
(( restarts > 0 )) && first=false || first=true

# USR1: the time is nearly over. TERM: another job needs the place. The program is asked to save its state and to end.
asked=
ask_to_end() {{
    asked=${{asked:-$SECONDS}}
    scancel --signal=TERM "$job" 2> /dev/null
}}
trap ask_to_end USR1 TERM
"""

_ENDING = """
step=$!
wait "$step"
code=$?
while [[ -n $asked ]] && kill -0 "$step" 2> /dev/null && (( SECONDS - asked < {grace} )); do
    sleep 1
done
if [[ -n $asked ]]; then
    kill -0 "$step" 2> /dev/null && code=143 || {{ wait "$step"; code=$?; }}
fi
(( code == 0 )) && exit 0

# Stopped, not failed (143: it was asked to end past this script): back into the queue, unless somebody cancelled it
# or SLURM puts it back itself.
if [[ -n $asked ]] || (( code == 143 )); then
    if [[ " $(scontrol --oneliner show job "$job") " != *" JobState=RUNNING "* ]]; then
        exit "$code"
    elif (( restarts >= {requeue} )); then
        echo "stopped after $restarts restarts (launcher.slurm.requeue); the same command goes on from here" >&2
    else
        echo "stopped before its end: back into the queue, restart $((restarts + 1))"
        scontrol requeue "$job"
    fi
fi
exit "$code"
"""


def render(job: Job, launcher: LauncherConfig) -> str:
    """The script of a job, to be read and to be submitted.

    The values of secret variables are not in it: the job has them from the shell that submits.

    Parameters
    ----------
    job : Job
    launcher : LauncherConfig

    Raises
    ------
    InputError
        A folder, a variable or a mount whose name cannot be used; a secret in the lines of the settings.
    """
    for folder in (job.folder, job.log.parent):
        if not str(folder).isprintable():
            raise InputError(f"{str(folder)!r} cannot be the folder of a job: its name holds a line break or the like")
    if "\\" in str(job.log):
        raise InputError(f"{job.log.parent} cannot hold the logs of a job: its name holds a backslash")
    for line in (*launcher.slurm.setup, *launcher.slurm.options):
        if shows_secret(line):
            raise InputError(
                "launcher.slurm.setup and options: a line holds a secret, which the script of a job would show: export "
                "it as an environment variable in the shell that submits"
            )
    what = f"{job.title}: {', '.join(job.stages)}" + (f", {job.array} tasks" if job.array else "")
    beginning = _BEGINNING.format(
        folder=shlex.quote(str(job.folder)),
        surroundings="".join(f"{line}\n" for line in _surroundings(launcher)),
        first_port=_FIRST_PORT,
        ports=_PORTS,
        attempt=ATTEMPT,
    )
    slurm = launcher.slurm
    grace = max(slurm.signal_seconds - _SECONDS_TO_REQUEUE, slurm.signal_seconds // 2)
    return "\n".join(
        [
            "#!/bin/bash",
            _HEAD.format(what=what, folder=job.folder) + "\n".join(_directives(job, launcher)),
            "",
            beginning,
            _step(job, launcher) + _ENDING.format(grace=grace, requeue=slurm.requeue),
        ]
    )


def _directives(job: Job, launcher: LauncherConfig) -> Iterator[str]:
    """The lines that sbatch reads."""
    slurm = launcher.slurm
    partition = slurm.partition if job.computes else slurm.cpu_partition or slurm.partition
    kind = f"{slurm.gpu}:" if slurm.gpu else ""
    settings = {
        "job-name": job.title,
        "output": _quoted(job.log),
        # What a start of the job prints comes after what those before have printed.
        "open-mode": "append",
        "export": "ALL",
        "partition": partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "time": slurm.time if job.computes else slurm.cpu_time,
        "nodes": job.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": slurm.cpus,
        "mem": slurm.memory,
        "gres": f"gpu:{kind}{job.gpus}" if job.gpus else None,
        "constraint": slurm.constraint if job.computes else None,
        "exclude": slurm.exclude,
        "array": f"0-{job.array - 1}" if job.array else None,
        "signal": f"B:USR1@{slurm.signal_seconds}",
        "kill-on-invalid-dep": "yes",
    }
    yield from (f"#SBATCH --{flag}={value}" for flag, value in settings.items() if value is not None)
    yield "#SBATCH --requeue"
    yield from (f"#SBATCH {option}" for option in slurm.options)


def _quoted(log: Path) -> str:
    """A path in a line of sbatch, in which a percent sign of a folder stands for itself."""
    folder = str(log.parent).replace('"', '\\"').replace("%", "%%")
    return f'"{folder}/{log.name}"'


def _surroundings(launcher: LauncherConfig) -> Iterator[str]:
    """Modules, variables and the user's own lines."""
    yield from (f"module load {shlex.quote(module)}" for module in launcher.slurm.modules)
    shown = {name: value for name, value in launcher.environment.items() if not is_secret(name, value)}
    variables = {**container.variables(launcher), **shown}
    check_names(variables)
    yield from (f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    yield from launcher.slurm.setup


def _step(job: Job, launcher: LauncherConfig) -> str:
    """The one step of the job: the command, once on each machine."""
    slurm = launcher.slurm
    line = [
        *("srun", f"--nodes={job.nodes}", f"--ntasks={job.nodes}", "--ntasks-per-node=1"),
        f"--cpus-per-task={slurm.cpus}",
        # The first machine tells why it failed; what has not ended long after another one is ended.
        *("--kill-on-bad-exit=0", f"--wait={slurm.signal_seconds}"),
        *container.flags_of_srun(launcher, job),
        *container.prefix(launcher, job),
    ]
    words = [*map(shlex.quote, job.command), *job.live]
    return " \\\n    ".join([shlex.join(line), *_rows(words)]) + " &"


def _rows(words: list[str]) -> Iterator[str]:
    """The command: what is started on one line, then a setting a line."""
    start = next((number for number, word in enumerate(words) if "=" in word), len(words))
    yield " ".join(words[:start])
    yield from words[start:]
