"""Several machines: the first one announces what torchrun starts, the others start the same.

Each machine is given the same command. That of the first (`launcher.node_rank=0`) runs the stages. It tells in the
run folder, which all machines see, that it lives, and each program that it starts by torchrun. The others wait for
such an announcement, start the program with their own rank, and end when the first has ended.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow.artifacts import read_json, write_json
from workflow.console import say
from workflow.errors import ToolError
from workflow.launch.process import Program, run_program
from workflow.launch.shell import is_secret

#: Names this start of a command where several machines were given it at once, as the script of a job does.
ATTEMPT = "WORKFLOW_ATTEMPT"
_FOLDER, _BY_HAND = ".rendezvous", "by-hand"
_NODE_RANK = "--node-rank"
_BEAT_SECONDS = 5.0
#: Without a sign of life for so long the first machine is gone. File systems on the network show files late.
_GONE_SECONDS = 180.0
_LOOK_SECONDS = 0.5
#: What a program may take to end once that of the first machine has ended.
_OUTLIVES_SECONDS = 120.0
#: What a program may take to end when it is told to: a training saves its state.
_STOP_SECONDS = 600.0


@dataclass(frozen=True)
class Place:
    """The two files that the machines of one command meet at.

    Attributes
    ----------
    beat : Path
        Sign of life of the first machine: `token` (of this start of it), `beat` (counts up), `ended` and `failed`.
    program : Path
        What torchrun starts: `token`, `number` (counts up), `running`, and the fields of `Program`.
    """

    beat: Path
    program: Path

    @classmethod
    def of(cls, run: Path) -> Place:
        """That of a run folder and of this start of the command."""
        name = os.environ.get(ATTEMPT, _BY_HAND)
        return cls(run / _FOLDER / f"{name}.beat.json", run / _FOLDER / f"{name}.program.json")


# ---------------------------------------------------------------- the first machine


@contextmanager
def lead(run: Path) -> Iterator[None]:
    """Tell the other machines that this one lives, until the block ends, and then how.

    Parameters
    ----------
    run : Path
        The run folder.
    """
    place, token, stop = Place.of(run), secrets.token_hex(8), threading.Event()
    place.beat.parent.mkdir(parents=True, exist_ok=True)

    def tell(beat: int, *, ended: bool = False, failed: bool = False) -> None:
        write_json(place.beat, {"token": token, "beat": beat, "ended": ended, "failed": failed})

    def live() -> None:
        beat = 1
        while not stop.wait(_BEAT_SECONDS):
            tell(beat)
            beat += 1

    tell(0)
    heart, failed = threading.Thread(target=live, daemon=True), True
    heart.start()
    try:
        yield
        failed = False
    finally:
        stop.set()
        heart.join()
        tell(-1, ended=True, failed=failed)


@contextmanager
def announced(run: Path, program: Program) -> Iterator[None]:
    """Let the other machines start a program too while the block runs it; nothing for one that has no other ranks.

    Values of secret variables are not written: the others have them in their own environment.

    Parameters
    ----------
    run : Path
        The run folder, which this process leads.
    program : Program
        As `prepare` made it.
    """
    place = Place.of(run)
    if _NODE_RANK not in program.argv or not place.beat.exists():
        yield
        return
    token = read_json(place.beat)["token"]
    before = read_json(place.program) if place.program.exists() else {}
    told = {
        "token": token,
        "number": before["number"] + 1 if before.get("token") == token else 1,
        "argv": program.argv,
        "environment": {key: value for key, value in program.environment.items() if not is_secret(key, value)},
        "log": str(program.log.absolute()),
        "folder": str((program.folder or Path.cwd()).absolute()),
        "name": program.label,
    }
    write_json(place.program, told | {"running": True})
    try:
        yield
    finally:
        write_json(place.program, told | {"running": False})


# ---------------------------------------------------------------- the others


def follow(run: Path, node_rank: int, environment: Mapping[str, str]) -> None:
    """Start what the first machine starts by torchrun, until it has ended.

    Parameters
    ----------
    run : Path
        The run folder.
    node_rank : int
        Of this machine, above 0.
    environment : mapping
        Variables of the settings: of those that are secret, the first machine tells the names only.

    Raises
    ------
    ToolError
        A program failed here, or the first machine failed or is gone.
    """
    leader = _Leader(Place.of(run))
    say(f"machine {node_rank}: follows the first, which runs the stages; waiting for it")
    done = 0
    while not leader.has_ended():
        told = leader.program()
        if told is not None and told["running"] and told["number"] > done:
            done = told["number"]
            _run_with(leader, told, node_rank, environment)
        time.sleep(_LOOK_SECONDS)
    say(f"machine {node_rank}: the first has ended")


class _Leader:
    """The first machine, as another one sees it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._told = self._read(place.beat)
        self._changed = time.monotonic()
        # What lies there may have been left by a start long ago, unless it bears the name of this one.
        self._lives = self._told is not None and ATTEMPT in os.environ

    def has_ended(self) -> bool:
        """Whether it has ended well.

        Raises
        ------
        ToolError
            It has failed, or gives no sign of life any more.
        """
        now, told = time.monotonic(), self._read(self.place.beat)
        if told != self._told:
            self._told, self._changed, self._lives = told, now, True
        if told is None or not self._lives:
            return False
        if told["failed"]:
            raise ToolError(f"the first machine has failed: what it printed tells why ({self.place.beat})")
        if not told["ended"] and now - self._changed > _GONE_SECONDS:
            raise ToolError(
                f"the first machine gave no sign of life for {_GONE_SECONDS:.0f} s ({self.place.beat}): start the "
                "command again on all machines"
            )
        return bool(told["ended"])

    def program(self) -> dict[str, Any] | None:
        """What it announced last since it began."""
        told = self._read(self.place.program)
        known = told and self._lives and self._told and told["token"] == self._told["token"]
        return told if known else None

    def _read(self, path: Path) -> dict[str, Any] | None:
        return dict(read_json(path)) if path.exists() else None


def _run_with(leader: _Leader, told: dict[str, Any], node_rank: int, environment: Mapping[str, str]) -> None:
    """Run an announced program as this machine's part of it."""
    ended_at: float | None = None

    def look() -> None:
        nonlocal ended_at
        now = leader.program()
        over = leader.has_ended() or now is None or now["number"] != told["number"] or not now["running"]
        ended_at = (ended_at or time.monotonic()) if over else None
        if ended_at is not None and time.monotonic() - ended_at > _OUTLIVES_SECONDS:
            raise ToolError(f"{told['name']} still ran here long after it had ended on the first machine")

    argv = list(told["argv"])
    argv[argv.index(_NODE_RANK) + 1] = str(node_rank)
    log = Path(told["log"])
    program = Program(
        argv,
        {**environment, **told["environment"]},
        log.with_name(f"{log.stem}-machine{node_rank}{log.suffix}"),
        Path(told["folder"]),
        told["name"],
    )
    say(f"machine {node_rank}: {program.typed}")
    # Tools print on the first or the last rank only: silence says nothing here.
    run_program(program, on_tick=look, silence_minutes=float("inf"), stop_seconds=_STOP_SECONDS)
