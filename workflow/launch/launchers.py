"""How a tool is started: on this machine, by torchrun on several, or in a new container."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from workflow.config.backend import ParallelConfig
from workflow.config.launcher import LauncherConfig
from workflow.errors import InputError
from workflow.launch.mounts import make_caches, mounts_of
from workflow.launch.process import Program
from workflow.launch.shell import as_typed, is_secret, write_commands

__all__ = ["as_typed", "prepare", "write_commands"]

#: Tools that spread over the GPUs of all machines; the others would do the same work many times.
_SPREADING = ("train_evo2", "predict_evo2")
#: Logins that are handed to a container by name, so that their values are never printed.
_LOGINS = ("HF_TOKEN", "NGC_API_KEY", "NGC_CLI_API_KEY", "WANDB_API_KEY")
#: A place that any user may write to, for the files of one container.
_HOME_INSIDE = "/tmp"  # noqa: S108
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "0.0.0.0")  # noqa: S104 it is refused, not listened on
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def prepare(
    launcher: LauncherConfig,
    parallel: ParallelConfig,
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    log: Path,
    processes: int | None = None,
    mounts: Sequence[Path] = (),
    folder: Path | None = None,
) -> Program:
    """A tool's command, dressed as the launcher wants it.

    Parameters
    ----------
    launcher, parallel : LauncherConfig, ParallelConfig
        Settings.
    argv : sequence of str
        The tool and its arguments.
    environment : mapping
        Variables that the tool needs; they outweigh those of `launcher.environment`.
    log : Path
        Gets what the tool prints.
    processes : int, optional
        Ranks on each machine that torchrun has to start; None for a tool that starts them itself.
    mounts : sequence of Path
        Files and folders that the tool reads or writes; they have the same path inside a container.
    folder : Path, optional
        Where it has to be started; by default where this process runs.

    Raises
    ------
    InputError
        Settings that do not go together.
    """
    argv = list(argv)
    tool = Path(argv[0]).name
    # Else a pipe gets the tool's lines in blocks, long after they were printed.
    variables = {"PYTHONUNBUFFERED": "1", **launcher.environment, **environment}
    check_names(variables)
    if launcher.name == "torchrun":
        if processes is not None or tool in _SPREADING:
            argv = [*_torchrun_of_all(launcher, parallel, processes or parallel.devices), *argv]
        return Program(argv, variables, log, folder, tool)
    if parallel.nodes > 1:
        raise InputError(
            f"parallel.nodes={parallel.nodes} with launcher={launcher.name}, which starts one machine: use "
            "launcher=torchrun on each of them with its own launcher.node_rank, or launcher=slurm"
        )
    if processes is not None:
        # A rendezvous of its own on a free port: two runs on one machine do not meet.
        argv = ["torchrun", "--standalone", "--nproc-per-node", str(processes), "--no-python", *argv]
    if launcher.name == "docker":
        return _in_container(launcher, tool, argv, variables, log, mounts, folder)
    return Program(argv, variables, log, folder, tool)


def check_names(variables: Mapping[str, str]) -> None:
    """Raise InputError unless each is a name of an environment variable."""
    for name in variables:
        if not _NAME.fullmatch(name):
            raise InputError(f"launcher.environment.{name} is no name of an environment variable")


def _torchrun_of_all(launcher: LauncherConfig, parallel: ParallelConfig, processes: int) -> list[str]:
    """The beginning of a torchrun line that meets those of the other machines."""
    host, _, port = launcher.rendezvous.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InputError(f"launcher.rendezvous={launcher.rendezvous} is not HOST:PORT")
    if launcher.node_rank >= parallel.nodes:
        raise InputError(
            f"launcher.node_rank={launcher.node_rank} counts from 0 and must be below parallel.nodes={parallel.nodes}"
        )
    if parallel.nodes > 1 and host.strip("[]") in _LOOPBACK:
        raise InputError(
            f"launcher.rendezvous={launcher.rendezvous} is each machine itself: with parallel.nodes={parallel.nodes} "
            "give the name of the first machine, as HOST:PORT"
        )
    settings = {
        "--nnodes": parallel.nodes,
        "--node-rank": launcher.node_rank,
        "--nproc-per-node": processes,
        "--master-addr": host.strip("[]"),
        "--master-port": port,
    }
    return ["torchrun", *(str(part) for setting in settings.items() for part in setting), "--no-python"]


def _in_container(
    launcher: LauncherConfig,
    tool: str,
    argv: list[str],
    variables: Mapping[str, str],
    log: Path,
    mounts: Sequence[Path],
    folder: Path | None,
) -> Program:
    """The `docker run` line. The folders of downloads are made, as docker would make them for root only."""
    name = f"evo2-{re.sub(r'[^A-Za-z0-9_.-]', '-', tool)}-{secrets.token_hex(4)}"
    start = (folder or Path.cwd()).absolute()
    caches = make_caches()
    inside = {"HOME": _HOME_INSIDE, **{variable: str(cache) for variable, cache in caches.items()}}
    if launcher.user:
        # A user id without an entry in the container's list has no name, which PyTorch asks for.
        inside["USER"] = "user"
    inside |= variables
    hidden = dict.fromkeys([*_LOGINS, *(key for key, value in inside.items() if is_secret(key, value))])
    line = [
        *("docker", "run", "--rm", "--name", name),
        # Passes signals on, which the first process of a container would not act on.
        "--init",
        *_gpus(launcher.gpus),
        *(("--shm-size", launcher.shm_size) if launcher.shm_size else ("--ipc=host",)),
        *("--ulimit", "memlock=-1", "--ulimit", "stack=67108864"),
        *(("-u", f"{os.getuid()}:{os.getgid()}") if launcher.user else ()),
        *_spread("-v", mounts_of([start, *mounts, *caches.values()], launcher.mounts)),
        *("-w", str(start)),
        *_spread("-e", hidden),
        *_spread("-e", (f"{key}={value}" for key, value in inside.items() if key not in hidden)),
        launcher.image,
        *argv,
    ]
    secret = {key: value for key, value in inside.items() if key in hidden}
    return Program(line, secret, log, None, tool, stop=["docker", "stop", name])


def _gpus(gpus: str) -> Sequence[str]:
    if gpus in ("", "none"):
        return ()
    # Docker reads a comma as the end of a field, unless it stands in quotation marks.
    return "--gpus", f'"{gpus}"' if "," in gpus else gpus


def _spread(flag: str, values: Iterable[str]) -> list[str]:
    """The flag before each value."""
    return [part for value in values for part in (flag, value)]
