"""Two machines of one command: what the first tells, and what the other does."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow.artifacts import write_json
from workflow.errors import ToolError
from workflow.launch import rendezvous
from workflow.launch.process import Program, run_program
from workflow.launch.rendezvous import ATTEMPT, Place, announced, follow, lead


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(rendezvous, "_LOOK_SECONDS", 0.02)
    monkeypatch.delenv(ATTEMPT, raising=False)


def ranks(folder: Path, code: str, **environment: str) -> Program:
    """A program that is started as torchrun is; it notes what it was given."""
    argv = [sys.executable, "-S", "-c", code, "--node-rank", "0"]
    return Program(argv, environment, folder / "logs" / "train.log", folder, "train_evo2")


NOTE = """
import os, sys
with open(f"rank{sys.argv[2]}", "a") as file:
    print(os.environ.get("A"), os.environ.get("MY_KEY"), os.getcwd(), file=file)
"""


class Follower(threading.Thread):
    """Another machine, as a thread; keeps what it ended with."""

    def __init__(self, run: Path, **environment: str) -> None:
        super().__init__(daemon=True)
        self.run_folder, self.environment, self.error = run, environment, None
        self.start()

    def run(self) -> None:
        try:
            follow(self.run_folder, 1, self.environment)
        except ToolError as error:
            self.error = error

    def end(self) -> None:
        self.join(10)
        assert not self.is_alive()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


def test_same_programs_with_another_rank(run: Path) -> None:
    follower = Follower(run, MY_KEY="own")
    with lead(run):
        for number in range(2):
            program = ranks(run, NOTE, A=f"x{number}", MY_KEY="hidden")
            with announced(run, program):
                run_program(program)
                while not (run / "rank1").exists() or len((run / "rank1").read_text().splitlines()) <= number:
                    time.sleep(0.02)
        told = Place.of(run).program.read_text()
    follower.end()
    assert follower.error is None
    assert (run / "rank0").read_text() == f"x0 hidden {run}\nx1 hidden {run}\n"
    assert (run / "rank1").read_text() == f"x0 own {run}\nx1 own {run}\n"
    assert "hidden" not in told, "the other machine has secrets from its own settings"
    assert (run / "logs" / "train-machine1.log").exists()


def test_what_has_no_other_ranks_is_not_told(run: Path) -> None:
    with lead(run), announced(run, Program(["train_evo2"], {}, run / "log")):
        assert not Place.of(run).program.exists()
    with announced(run / "elsewhere", ranks(run, NOTE)):
        assert not (run / "elsewhere").exists(), "nobody leads there"


def test_failure_of_the_first_ends_the_others(run: Path) -> None:
    follower = Follower(run)
    with pytest.raises(ToolError, match="gate"), lead(run), announced(run, ranks(run, "")):
        time.sleep(0.3)
        raise ToolError("gate")
    follower.end()
    assert "the first machine has failed" in str(follower.error)


def test_running_program_is_stopped_when_the_first_fails(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(run)
    started = run / "started"
    waiting = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    with pytest.raises(ToolError), lead(run), announced(run, ranks(run, waiting)):
        while not started.exists():
            time.sleep(0.02)
        raise ToolError("out of memory")
    follower.end()
    assert "the first machine has failed" in str(follower.error)


def test_program_that_outlives_the_first(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "_OUTLIVES_SECONDS", 0.2)
    follower = Follower(run)
    started = run / "started"
    waiting = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    with lead(run):
        with announced(run, ranks(run, waiting)):
            while not started.exists():
                time.sleep(0.02)
        follower.end()
    assert "train_evo2 still ran here long after it had ended on the first machine" in str(follower.error)


def test_program_that_fails_here(run: Path) -> None:
    follower = Follower(run)
    with lead(run), announced(run, ranks(run, "raise SystemExit(3)")):
        follower.end()
    assert "train_evo2 ended with exit code 3" in str(follower.error)


def test_first_machine_that_is_gone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "_GONE_SECONDS", 0.5)
    place = Place.of(run)
    place.beat.parent.mkdir()
    follower = Follower(run)
    time.sleep(0.2)
    write_json(place.beat, {"token": "a", "beat": 3, "ended": False, "failed": False})
    follower.end()
    assert "the first machine gave no sign of life for 0 s" in str(follower.error)


@pytest.mark.parametrize("ended", [True, False])
def test_what_an_earlier_start_has_left_is_not_followed(run: Path, ended: bool) -> None:
    """Neither its end nor its program: the first machine may be slower to begin than this one."""
    place = Place.of(run)
    place.beat.parent.mkdir()
    write_json(place.beat, {"token": "old", "beat": 3, "ended": ended, "failed": ended})
    left = {"token": "old", "number": 1, "running": True, "argv": ["false", "--node-rank", "0"], "environment": {}}
    write_json(place.program, left | {"log": str(run / "log"), "folder": str(run), "name": "old"})
    follower = Follower(run)
    time.sleep(0.2)
    assert follower.is_alive()
    with lead(run):
        time.sleep(0.2)
    follower.end()
    assert follower.error is None


def test_start_that_has_a_name(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of a queue know which start they are: one that comes late is told of the end."""
    monkeypatch.setenv(ATTEMPT, "12.0")
    with lead(run):
        pass
    late = Follower(run)
    late.end()
    assert late.error is None
    os.environ[ATTEMPT] = "12.1"
    waiting = Follower(run)
    time.sleep(0.2)
    assert waiting.is_alive(), "the end of another start is not its own"
    with lead(run):
        pass
    waiting.end()
