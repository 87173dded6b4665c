"""The processes that a program started, wherever they hide."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_MARK = "WORKFLOW_PROGRAM"
_DEAD = ("Z", "X")


class Family:
    """A program and its descendants.

    Programs such as torchrun give each of their workers a session of its own, out of reach of a signal to
    the group. All of them inherit a mark in their environment, by which they are found.
    """

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)
        self._session = 0

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The environment with the mark in it. Marks add up, as a program may itself start marked ones."""
        return {**inherited, _MARK: f"{inherited.get(_MARK, '')}{self._mark}."}

    def adopt(self, leader: int) -> None:
        """Take in the program itself, started in a session of its own as process `leader`."""
        self._session = leader

    def signal(self, signum: int) -> bool:
        """Send a signal (0: none, only look) to each member; whether there was any."""
        if not _PROC.is_dir():
            return self._signal_group(signum)
        members = list(self._members())
        for member in members:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(member, signum)
        return bool(members)

    def _members(self) -> Iterator[int]:
        for process in _PROC.iterdir():
            if not process.name.isdigit():
                continue
            # It may end while it is looked at, or belong to someone else.
            with suppress(OSError):
                # "1234 (name, which may hold anything) S parent group session …"
                state, _, _, session = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
                if state not in _DEAD and (int(session) == self._session or self._is_marked(process)):
                    yield int(process.name)

    def _is_marked(self, process: Path) -> bool:
        return self._mark.encode() in (process / "environ").read_bytes()

    def _signal_group(self, signum: int) -> bool:
        """All that can be done where the system does not show its processes as files."""
        try:
            os.killpg(self._session, signum)
        except (ProcessLookupError, PermissionError):
            return False
        return True
