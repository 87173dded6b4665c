"""Whether another process works on a run, told without touching its lock."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LOCKS = Path("/proc/locks")
_LOCK = re.compile(r"FLOCK +\S+ +WRITE +\S+ +\w+:\w+:(\d+) ")


def held_locks() -> frozenset[int]:
    """Inodes of the files that processes of this machine hold locked.

    To try a lock would be to hold it for a moment, in which a run that begins would be refused. What is locked on
    another machine or in another container is not seen.
    """
    try:
        return frozenset(int(inode) for inode in _LOCK.findall(_LOCKS.read_text()))
    except OSError:
        return frozenset()


def is_running(run: Path, held: frozenset[int]) -> bool:
    """Whether a process of this machine works on a run.

    Parameters
    ----------
    run : Path
    held : frozenset of int
        From `held_locks`.
    """
    if not held:
        return False
    try:
        return os.stat(f"{run}/.lock").st_ino in held  # noqa: PTH116 - thousands of them
    except OSError:
        return False
