"""Who works on a trial, and whether he still lives: by his process on this machine, by his last sign from another."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
#: Signs of life in the time after which a worker is taken for dead.
_SIGNS = 10
_MOST_SECONDS_BETWEEN = 30.0


def this_process() -> dict[str, Any]:
    """What tells this process from all others on all machines."""
    return {"host": _host(), "name": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_alive(worker: Mapping[str, Any], last_sign: float, stale_seconds: float) -> bool:
    """Whether a worker still works.

    Parameters
    ----------
    worker : mapping
        What `this_process` told in it.
    last_sign : float
        When it was heard of, seconds since the epoch.
    stale_seconds : float
        Silence after which one on another machine is taken for dead.
    """
    if worker["host"] == _host():
        return bool(_started(int(worker["pid"])) == worker["started"])
    return time.time() - last_sign < stale_seconds


def seconds_between_signs(stale_seconds: float) -> float:
    """How often a worker has to be heard of."""
    return min(stale_seconds / _SIGNS, _MOST_SECONDS_BETWEEN)


def _host() -> str:
    """This machine since its start, and the space in which its process numbers mean something."""
    told = [socket.gethostname()]
    with suppress(OSError):
        told.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
        told.append(str((_PROC / "self/ns/pid").readlink()))
    return " ".join(told)


def _started(pid: int) -> str | None:
    """When a process began, as the kernel counts; None where there is none, or it is dead and not yet buried."""
    if not _PROC.is_dir():
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            return "runs"
        return None
    with suppress(OSError):
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return None
