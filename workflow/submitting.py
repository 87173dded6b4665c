"""A run, or the workers of a search, as jobs of SLURM: `launcher=slurm`.

Nothing is computed here: the stages that are wanted and not done are parted into jobs, of which each types the same
command as was typed, for its own stages.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from workflow.artifacts import run_lock, write_text
from workflow.config import SHARDED, Config
from workflow.config.launcher import LauncherConfig
from workflow.console import say
from workflow.errors import InputError
from workflow.genome.files import PROJECT_ROOT
from workflow.genome.web import hide_secrets
from workflow.launch.shell import shows_secret
from workflow.launch.slurm import JOBS, Job, Submitted, add_record, cancel, read_records, render, states_of, submit
from workflow.pipeline import Run, Step
from workflow.provenance import mask_secrets, now

#: Settings of which each job has its own.
_OWN = ("stage", "dry_run", "force", "launcher.name", "launcher.rendezvous", "launcher.node_rank")
#: The same in the words of the shell, or of Hydra, that know them when the job runs.
_RENDEZVOUS, _NODE_RANK = 'launcher.rendezvous="$rendezvous"', "launcher.node_rank=${oc.env:SLURM_NODEID}"
_FORCE = 'force="$first"'


@dataclass(frozen=True)
class _Need:
    """What stages ask for.

    Attributes
    ----------
    computes : bool
        Whether they compute with the model.
    nodes, gpus : int
        Machines, and GPUs of each.
    part : str
        Stages of one need that follow one another share a job, as long as this is the same too.
    """

    computes: bool = False
    nodes: int = 1
    gpus: int = 0
    part: str = ""


def submit_run(config: Config, arguments: Sequence[str]) -> list[Submitted]:
    """Submit the stages that are asked for and not done, each job after the one before it.

    Parameters
    ----------
    config : Config
        With `launcher.name=slurm`. With `dry_run` the scripts are shown and nothing is submitted.
    arguments : sequence of str
        What was typed after the name of the command.

    Returns
    -------
    list of Submitted
        Empty where there is nothing to do, and with `dry_run`.

    Raises
    ------
    InputError
        What `Run.plan` and `Run.preflight` see; a secret in the arguments; jobs of this run are still in the queue;
        SLURM is not there or refuses a job; one shard alone is asked for.
    """
    if config.shard is not None:
        stage, number = config.shard
        raise InputError(
            f"{stage}.shard={number} with launcher=slurm, which makes an array of all shards: leave it out; those that "
            "are there are not made again"
        )
    run = Run(replace(config, launcher=_launcher_in_job(config)))
    steps = [step for step in run.plan() if not step.skip]
    run.preflight(steps)
    if not steps:
        say(f"nothing to do: {run.folder} has all that is asked for, made with the same settings")
        return []
    several = config.parallel.nodes > 1
    given = _command("workflow.run", config, arguments, _OWN)
    rank = (_NODE_RANK,) if several else ()
    live = ((_RENDEZVOUS,) if several else ()) + ((_FORCE,) if config.force else ())
    mounts, jobs = _mounts(config, steps), list[Job]()

    def add(need: _Need, stages: tuple[str, ...], *, tasks: int | None = None) -> None:
        own = (f"stage=[{','.join(stages)}]", f"launcher.name={run.config.launcher.name}", *rank)
        job = _job(run.folder, len(jobs), need, stages, (*given, *own), mounts, tasks)
        shard = f'{stages[0]}.shard="$SLURM_ARRAY_TASK_ID"'
        jobs.append(replace(job, live=(*live, shard) if tasks else live))

    for need, stages in _parts(config, [step.stage.name for step in steps]):
        if len(stages) == 1 and (shards := config.shards_of(stages[0])) > 1:
            add(need, stages, tasks=shards)
            # The shards are there: what follows puts them together.
            need = _Need()
        add(need, stages)
    return _hand_over(config, run.folder, jobs)


def submit_array(
    config: Config,
    arguments: Sequence[str],
    *,
    module: str,
    folder: Path,
    name: str,
    tasks: int,
    settings: Mapping[str, str],
) -> list[Submitted]:
    """Submit `tasks` starts of one command that share their work among themselves, such as the workers of a search.

    Parameters
    ----------
    config : Config
        With `launcher.name=slurm`; of its `parallel` each task gets `devices` on one machine. With `dry_run` the
        script is shown and nothing is submitted.
    arguments : sequence of str
        What was typed after the name of the command.
    module : str
        The command: `python -m MODULE`.
    folder : Path
        Gets `jobs/`; `python -m workflow.jobs` takes it.
    name : str
        What the tasks do, in one word.
    tasks : int
    settings : mapping
        What each task is told instead of what was typed, by dotted key, such as `{"sweep.workers": "1"}`.

    Returns
    -------
    list of Submitted
        One, or none with `dry_run`.

    Raises
    ------
    InputError
        A secret in the arguments; jobs of this folder are still in the queue; SLURM is not there or refuses.
    """
    if config.parallel.nodes > 1:
        raise InputError(f"parallel.nodes={config.parallel.nodes}: each task has one machine, use parallel.nodes=1")
    own = {**settings, "launcher.name": "process"}
    command = _command(module, config, arguments, ("dry_run", *own))
    command += tuple(f"{key}={value}" for key, value in own.items())
    need = _Need(computes=True, gpus=_gpus(config, config.parallel.devices))
    return _hand_over(config, folder, [_job(folder, 0, need, (name,), command, _mounts(config, ()), tasks)])


# ---------------------------------------------------------------- what the jobs are


def _parts(config: Config, stages: Sequence[str]) -> Iterator[tuple[_Need, tuple[str, ...]]]:
    """Stages in order, those of one need that follow one another together."""
    for need, group in groupby(stages, key=lambda stage: _need(config, stage)):
        yield need, tuple(group)


def _need(config: Config, stage: str) -> _Need:
    tools, parallel = config.backend.name != "local", config.parallel
    if stage == "convert":
        return _Need(computes=True, gpus=1) if tools else _Need()
    if not config.computes(stage):
        return _Need()
    # The embedded engine spreads its training, and one machine's scoring in one job; NVIDIA's tools all but their
    # generation.
    nodes = parallel.nodes if stage == "train" or (tools and stage != "infer") else 1
    # Each task of an array makes its shards by one process.
    is_array = config.shards_of(stage) > 1
    devices = 1 if is_array and not tools else config.devices_of(stage)
    part = stage if stage in ("train", *SHARDED) else ""
    return _Need(computes=True, nodes=nodes, gpus=_gpus(config, devices), part=part)


def _gpus(config: Config, devices: int) -> int:
    """None for the embedded engine on the CPU."""
    return 0 if config.backend.name == "local" and config.backend.device == "cpu" else devices


def _launcher_in_job(config: Config) -> LauncherConfig:
    """The launcher that a job starts programs with; where its machines meet is known when it runs."""
    several = config.parallel.nodes > 1
    return replace(config.launcher, name="torchrun" if several else "process", rendezvous="first-machine:15000")


def _job(
    folder: Path,
    number: int,
    need: _Need,
    stages: tuple[str, ...],
    command: tuple[str, ...],
    mounts: tuple[Path, ...],
    tasks: int | None,
) -> Job:
    """A job of a run or study folder, before which `number` others are submitted with it."""
    label = "-".join(stages) if len(stages) < 4 else f"{stages[0]}-to-{stages[-1]}"
    name = f"{len(read_records(folder)) + number + 1:02d}-{label}{'-tasks' if tasks else ''}"
    return Job(
        name=name,
        title=f"{folder.name}:{name}",
        stages=stages,
        command=command,
        live=(),
        folder=Path.cwd(),
        log=folder.absolute() / JOBS / f"{name}-{'%A_%a' if tasks else '%j'}.log",
        computes=need.computes,
        nodes=need.nodes,
        gpus=need.gpus,
        array=tasks,
        mounts=mounts,
    )


def _command(module: str, config: Config, arguments: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """The command as it was typed, but for the settings that are a job's own.

    Raises
    ------
    InputError
        It holds a secret, which the script would show.
    """
    kept = [argument for argument in arguments if argument.lstrip("+~").partition("=")[0] not in own]
    for argument in kept:
        key, _, value = argument.partition("=")
        if hide_secrets(argument) != argument or mask_secrets(value, key) != value or shows_secret(value):
            raise InputError(
                f"{key.lstrip('+')} holds a secret, which the script of a job would show: export it as an environment "
                "variable in the shell that submits, or put the setting into a YAML file"
            )
    slurm = config.launcher.slurm
    python = slurm.python or ("python" if slurm.container != "none" else sys.executable)
    return (python, "-m", module, *kept)


def _mounts(config: Config, steps: Sequence[Step]) -> tuple[Path, ...]:
    """What a container has to see: this project, the run, and what the stages read from elsewhere."""
    named = [place for place in (config.backend.tokenizer, config.model.checkpoint) if place and "://" not in place]
    read = [Path(item["path"]) for step in steps for item in step.inputs]
    places = [PROJECT_ROOT, Path(config.runs_folder)]
    places += [place.absolute().parent for place in (*map(Path, named), *read)]
    return tuple(dict.fromkeys(places))


# ---------------------------------------------------------------- handing them over


def _hand_over(config: Config, folder: Path, jobs: Sequence[Job]) -> list[Submitted]:
    """Show the scripts, or write and submit them: all or none."""
    scripts = [render(job, config.launcher) for job in jobs]
    place = folder / JOBS
    if config.dry_run:
        for job, script in zip(jobs, scripts, strict=True):
            say(f"--- {place / job.name}.sbatch\n{script}")
        return []
    with run_lock(place):
        _refuse_while_queued(folder)
        done: list[Submitted] = []
        try:
            for job, script in zip(jobs, scripts, strict=True):
                done.append(_submit(folder, job, script, after=[done[-1].id] if done else []))
        except InputError:
            if done:
                cancel([record.id for record in done])
            raise
    for record in done:
        tasks = f", {record.array} tasks" if record.array else ""
        say(f"job {record.id}: {', '.join(record.stages)}{tasks} ({place / record.name}.sbatch)")
    say(f"`python -m workflow.jobs status {folder}` shows how they get on; log and cancel work the same way")
    return done


def _submit(folder: Path, job: Job, script: str, after: list[str]) -> Submitted:
    path = folder / JOBS / f"{job.name}.sbatch"
    write_text(path, script)
    path.chmod(0o755)
    record = Submitted(submit(path, after), job.name, list(job.stages), job.array, after, now())
    add_record(folder, record)
    return record


def _refuse_while_queued(folder: Path) -> None:
    """Two jobs of one run at once would wait for each other's lock, and fail."""
    queued = [record.id for record in read_records(folder) if any(task.unfinished for task in states_of(record.id))]
    if queued:
        raise InputError(
            f"jobs {', '.join(queued)} of {folder} wait or run already: wait for them, or end them with "
            f"`python -m workflow.jobs cancel {folder}`"
        )
