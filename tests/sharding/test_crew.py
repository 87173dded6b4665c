"""Several processes at one work: what they tell, how they fail, and that nobody is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sharding.conftest import fill, shards_of
from workflow.errors import GateError, InputError, MemoryShortageError, ToolError
from workflow.sharding import Report, Shard, ShardStore, run_crew

ROOT = Path(__file__).parent.parent.parent
TWO = [{"MEMBER": "0"}, {"MEMBER": "1"}]


def make_shards(report: Report, store: ShardStore, number: int) -> None:
    """Each is in its first shard when the other is; one that has to die does so there."""

    def score(shard: Shard, out: Path) -> dict[str, Any]:
        report(len(shard))
        (store.run / f"begun{os.environ['MEMBER']}").touch()
        until = time.monotonic() + 60
        while not all((store.run / f"begun{number}").exists() for number in (0, 1)) and time.monotonic() < until:
            time.sleep(0.01)
        if "KILLED" in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        return fill(shard, out) | {"member": os.environ["MEMBER"]}

    store.make(shards_of(number), score, quiet=True)


def fail(report: Report, kind: str) -> None:
    if os.environ["MEMBER"] == "1":
        time.sleep(60)
    if kind == "gate":
        raise GateError("gate disk_space: saw nothing", "disk_space")
    if kind == "input":
        raise InputError("the file x.fa does not exist")
    if kind == "memory":
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB\nmore")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise KeyError("a bug")


def die(report: Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_pid(report: Report, folder: str) -> None:
    (Path(folder) / os.environ["MEMBER"]).write_text(str(os.getpid()))
    while True:
        report(1)
        time.sleep(0.05)


def test_they_share_the_work(store: ShardStore) -> None:
    done: list[int] = []
    run_crew(make_shards, (store, 5), TWO, done.append)
    assert sum(done) == 10
    assert {store.manifest(shard)["member"] for shard in shards_of(5)} == {"0", "1"}
    assert multiprocessing.active_children() == []


def test_a_killed_one_is_told_and_the_other_does_its_work(
    store: ShardStore, capsys: pytest.CaptureFixture[str]
) -> None:
    run_crew(make_shards, (store, 3), [TWO[0] | {"KILLED": "1"}, TWO[1]], lambda _: None)
    assert {store.manifest(shard)["member"] for shard in shards_of(3)} == {"1"}
    told = capsys.readouterr().err
    assert told == "  WARNING process 0 of 2 was ended by SIGKILL; the 1 others take over its work\n"


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("gate", GateError, "gate disk_space: saw nothing"),
        ("input", InputError, "the file x.fa does not exist"),
        (
            "memory",
            MemoryShortageError,
            r"ran out of memory \(CUDA out of memory\. Tried to allocate 20\.00 GiB\): give",
        ),
        ("bug", RuntimeError, "process 0 of 2 failed; its traceback is above"),
    ],
)
def test_what_one_raises_ends_all(kind: str, error: type[Exception], message: str) -> None:
    began = time.monotonic()
    with pytest.raises(error, match=message) as raised:
        run_crew(fail, (kind,), TWO, lambda _: None)
    assert time.monotonic() - began < 30 and multiprocessing.active_children() == []
    assert not isinstance(raised.value, GateError) or raised.value.gate == "disk_space"


def test_when_all_are_killed() -> None:
    with pytest.raises(ToolError, match="all processes were killed, as the system does when memory runs out"):
        run_crew(die, (), TWO, lambda _: None)


def test_none_outlives_its_starter(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom tests.sharding.test_crew import TWO, write_pid\nfrom workflow.sharding import run_crew\n"
        "if __name__ == '__main__':\n    run_crew(write_pid, (sys.argv[1],), TWO, lambda _: None)\n"
    )
    (tmp_path / "starter.py").write_text(program)
    line = [sys.executable, str(tmp_path / "starter.py"), str(tmp_path)]
    child = subprocess.Popen(line, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 30
    while not all((tmp_path / name).exists() for name in "01") and time.monotonic() < until:
        time.sleep(0.05)
    pids = [int((tmp_path / name).read_text()) for name in "01"]
    child.send_signal(signal.SIGKILL)
    child.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
