"""What a job runs and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """One job, or one array of jobs that are alike.

    Attributes
    ----------
    name : str
        Name of its files.
    title : str
        What the queue shows.
    stages : tuple of str
        What it makes, for people.
    command : tuple of str
        The program and its arguments, as the shell has to hand them on.
    live : tuple of str
        Further arguments, in the words of the shell: it puts in what is known only when the job runs.
    folder : Path
        Where the command is typed.
    log : Path
        Gets what it prints; `%j` stands for the number of the job, `%A_%a` for that of an array and of the task in it.
    computes : bool
        Whether it computes with the model, and so asks for the partition and the time of such jobs.
    nodes, gpus : int
        Machines, and GPUs of each.
    array : int, optional
        Number of tasks; None for a single job.
    mounts : tuple of Path
        What a container has to see, under the same path.
    """

    name: str
    title: str
    stages: tuple[str, ...]
    command: tuple[str, ...]
    live: tuple[str, ...]
    folder: Path
    log: Path
    computes: bool
    nodes: int = 1
    gpus: int = 0
    array: int | None = None
    mounts: tuple[Path, ...] = ()
