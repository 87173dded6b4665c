"""Containers of SLURM's jobs: flags of srun (pyxis), or a program before the command (Apptainer)."""

from __future__ import annotations

import re
from pathlib import Path

from workflow.config.launcher import LauncherConfig
from workflow.errors import InputError
from workflow.launch.mounts import make_caches, mounts_of
from workflow.launch.slurm.job import Job

#: An image in a registry that the name tells, such as nvcr.io/nvidia/clara/bionemo-framework:2.7.1.
_REGISTRY = re.compile(r"([^/]+[.:][^/]*|localhost)/(.+)")


def variables(launcher: LauncherConfig) -> dict[str, str]:
    """Environment variables that a container is given: where it keeps downloads, beyond its end."""
    if launcher.slurm.container == "none":
        return {}
    return {name: str(cache) for name, cache in make_caches().items()}


def flags_of_srun(launcher: LauncherConfig, job: Job) -> list[str]:
    """The flags of pyxis."""
    if launcher.slurm.container != "pyxis":
        return []
    return [
        f"--container-image={_image_of_pyxis(launcher.image)}",
        f"--container-mounts={','.join(_mounts(launcher, job))}",
        f"--container-workdir={job.folder}",
    ]


def prefix(launcher: LauncherConfig, job: Job) -> list[str]:
    """The beginning of the command with Apptainer."""
    if launcher.slurm.container != "apptainer":
        return []
    return [
        *("apptainer", "exec"),
        *(("--nv",) if job.gpus else ()),
        *("--pwd", str(job.folder)),
        *(part for mount in _mounts(launcher, job) for part in ("--bind", mount)),
        launcher.image if _is_file(launcher.image) else f"docker://{launcher.image}",
    ]


def _mounts(launcher: LauncherConfig, job: Job) -> list[str]:
    """HOST:CONTAINER of each place.

    Raises
    ------
    InputError
        A comma in a name, at which both programs part their lists.
    """
    found = mounts_of([job.folder, *job.mounts, *make_caches().values()], launcher.mounts)
    for mount in found:
        if "," in mount:
            raise InputError(f"{mount} cannot be mounted by launcher=slurm: its name holds a comma")
    return found


def _image_of_pyxis(image: str) -> str:
    """The image as enroot spells it: the registry ends with a number sign."""
    match = None if _is_file(image) else _REGISTRY.fullmatch(image)
    return f"{match[1]}#{match[2]}" if match else image


def _is_file(image: str) -> bool:
    """Whether it is a file or a URL that names its kind already, and no name in a registry."""
    return "://" in image or image.startswith(("/", "./", "../", "~")) or Path(image).suffix in (".sif", ".sqsh")
