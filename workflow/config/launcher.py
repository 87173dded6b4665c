"""How programs are started: on this machine, on several, in a container, or as jobs of SLURM."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from workflow.config.checks import require, require_choice, require_positive

#: What may stand in a line `#SBATCH --flag=value` as it is: nothing that ends the value, or the line.
_PLAIN = re.compile(r"[^\s\"'\\#]+")
#: `1-12:00:00`, `1-12`, `36:00:00`, `90:00`; a plain number too often is YAML's reading of 36:00:00.
_TIME = re.compile(r"\d+-\d+(:\d\d){0,2}|\d+(:\d\d){1,2}")
_MEMORY = re.compile(r"\d+[KMGT]?")
_OPTION = re.compile(r"--[a-z][a-z-]*(=[^\s\"'\\#]+)?")


@dataclass
class SlurmConfig:
    """What the jobs of `launcher=slurm` ask for, and what surrounds the program in them.

    Attributes
    ----------
    partition, account, qos, constraint, exclude : str, optional
        As in sbatch.
    cpu_partition : str, optional
        Partition of the jobs that need no GPU; `partition` by default.
    time, cpu_time : str
        Time limit of a job that computes with the model, and of one that does not, as [D-]HH:MM:SS. A job that
        reaches it is put back into the queue and goes on.
    gpu : str, optional
        Kind of GPU by its name in SLURM, as in `--gres=gpu:h100:8`; any kind by default. Their number on each node is
        `parallel.devices`.
    cpus : int
        Cores of each node.
    memory : str, optional
        Main memory of each node, such as 64G; what the partition gives by default.
    modules, setup : list of str
        Environment modules to load, and lines of shell to run, before the program starts.
    container : str
        `none`; `pyxis` (`srun --container-image`); or `apptainer`. The image is `launcher.image`.
    python : str, optional
        Interpreter in the job; by default the one that submits, and `python` in a container.
    signal_seconds : int
        How long before the time limit the program is asked to save its state and to end.
    requeue : int
        How often a job is put back into the queue by itself when its time is over or it had to make room.
    options : list of str
        Further flags of sbatch, such as `--reservation=evo2`.
    """

    partition: str | None = None
    cpu_partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    time: str = "24:00:00"
    cpu_time: str = "04:00:00"
    gpu: str | None = None
    cpus: int = 8
    memory: str | None = None
    modules: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    container: str = "none"
    python: str | None = None
    signal_seconds: int = 300
    requeue: int = 20
    options: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        section = "launcher.slurm"
        require_choice(f"{section}.container", self.container, ("none", "pyxis", "apptainer"))
        require_positive(section, self, "cpus", "signal_seconds")
        require(self.requeue >= 0, f"{section}.requeue={self.requeue} must not be negative")
        for key in ("partition", "cpu_partition", "account", "qos", "constraint", "exclude", "gpu"):
            value = getattr(self, key)
            require(
                value is None or _PLAIN.fullmatch(value) is not None,
                f"{section}.{key}={value!r} must be one word, without quotation marks, backslashes and #",
            )
        for key in ("time", "cpu_time"):
            value = getattr(self, key)
            require(
                _TIME.fullmatch(value) is not None,
                f"{section}.{key}={value!r} is no time limit: give [D-]HH:MM:SS, in a YAML file in quotation marks",
            )
            require(
                seconds_of(value) > self.signal_seconds,
                f"{section}.{key}={value} leaves no time to work in: {section}.signal_seconds={self.signal_seconds} "
                "before its end the program is asked to stop",
            )
        require(
            self.memory is None or _MEMORY.fullmatch(self.memory) is not None,
            f"{section}.memory={self.memory!r} is no amount of memory: give a number with K, M, G or T, such as 64G",
        )
        for option in self.options:
            require(
                _OPTION.fullmatch(option) is not None,
                f"{section}.options: {option!r} is not --flag or --flag=value of one word",
            )
        _require_lines(f"{section}.setup", self.setup)
        _require_lines(f"{section}.modules", self.modules)
        _require_lines(f"{section}.python", [self.python or ""])


@dataclass
class LauncherConfig:
    """How programs are started.

    Attributes
    ----------
    name : str
        `process`: on this machine. `torchrun`: by torchrun, on several machines. `docker`: NVIDIA's tools inside a
        new container. `slurm`: the stages as jobs of SLURM.
    image : str
        Container image.
    gpus : str
        `--gpus` of docker.
    mounts : list of str
        Further `HOST:CONTAINER` mounts; the folders of the run, the data and this project are always mounted.
    patched : bool
        Whether the image has the patch `nemo2-lora-recompute`, as those of `docker/Dockerfile` have.
    user : bool
        Run as the user who calls, not as root; of docker.
    shm_size : str
        Shared memory of the container, which data loaders need; of docker.
    rendezvous : str
        HOST:PORT of the first machine for torchrun.
    node_rank : int
        Number of this machine, from 0. On machine 0 the command runs the stages; on the others the same command
        follows: it starts what the first one starts by torchrun, and writes nothing of its own.
    environment : dict
        Further environment variables.
    slurm : SlurmConfig
        Of `slurm` alone.
    """

    name: str = "process"
    image: str = "nvcr.io/nvidia/clara/bionemo-framework:2.7.1"
    gpus: str = "all"
    mounts: list[str] = field(default_factory=list)
    patched: bool = False
    user: bool = True
    shm_size: str = "16g"
    rendezvous: str = "127.0.0.1:29500"
    node_rank: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    slurm: SlurmConfig = field(default_factory=SlurmConfig)

    def __post_init__(self) -> None:
        require_choice("launcher.name", self.name, ("process", "torchrun", "docker", "slurm"))
        require(self.node_rank >= 0, f"launcher.node_rank={self.node_rank} must not be negative")
        for mount in self.mounts:
            require(":" in mount, f"launcher.mounts: {mount} is not HOST:CONTAINER")

    @property
    def follows(self) -> bool:
        """Whether this is one of the machines that follow the first."""
        return self.name == "torchrun" and self.node_rank > 0


def seconds_of(time: str) -> int:
    """Seconds of a time limit as sbatch reads it: `D-HH[:MM[:SS]]`, `HH:MM:SS` or `MM:SS`."""
    days, has_days, clock = time.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    units = (3600, 60, 1) if has_days or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86400 + sum(unit * part for unit, part in zip(units, parts, strict=False))


def _require_lines(key: str, lines: Iterable[str]) -> None:
    """Refuse text that would be more than one line of a script."""
    for line in lines:
        require(line.isprintable(), f"{key}: {line!r} must be one line of printable characters")
