"""Shards are published whole, made once, taken over from the dead, and known by their fingerprint."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sharding.conftest import fill, shards_of
from workflow.artifacts import read_json, write_json
from workflow.sharding import Shard, ShardStore

ROOT = Path(__file__).parent.parent.parent


def made(store: ShardStore, shards: list[Shard]) -> list[int]:
    """Numbers of the shards that had to be made."""
    numbers = []

    def count(shard: Shard, out: Path) -> dict[str, Any]:
        numbers.append(shard.number)
        return fill(shard, out)

    store.make(shards, count)
    return numbers


def test_what_lies_in_a_shard(store: ShardStore) -> None:
    shard = shards_of(2)[1]
    store.make([shard], fill)
    place = store.run / "predict.shards" / "0123456789ab" / "base-1-of-2"
    assert place == store.place(shard)
    manifest = read_json(place / "manifest.json")
    assert manifest["fingerprint"] == "0123456789abcdef" and manifest["range"] == [5, 10]
    assert manifest["notes"] == ["shard 1"] and {"host", "versions", "timings"} <= manifest.keys()
    assert [file["path"] for file in manifest["files"]] == ["deep/values.npy", "table.parquet"]
    for file in manifest["files"]:
        content = (place / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_only_what_is_missing_is_made(store: ShardStore) -> None:
    shards = shards_of(4)
    assert made(store, shards[1:2]) == [1]
    assert made(store, shards) == [0, 2, 3]
    assert made(store, shards) == []


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda place: (place / "deep" / "values.npy").write_bytes(b"short"), "damaged (deep/values.npy)"),
        (lambda place: (place / "table.parquet").unlink(), "damaged (table.parquet)"),
        (lambda place: (place / "manifest.json").write_text("{"), "damaged (manifest.json)"),
        (lambda place: (place / "manifest.json").unlink(), "missing"),
        (
            lambda place: write_json(
                place / "manifest.json", read_json(place / "manifest.json") | {"fingerprint": "0123456789abOTHER"}
            ),
            "of other settings",
        ),
    ],
)
def test_a_harmed_shard_is_told_and_made_again(
    store: ShardStore, capsys: pytest.CaptureFixture[str], harm: Any, fault: str
) -> None:
    shards = shards_of(3)
    store.make(shards, fill)
    harm(store.place(shards[1]))
    assert store.fault(shards[1]) == fault
    assert made(store, shards) == [1]
    assert store.fault(shards[1]) is None
    told = capsys.readouterr().out
    assert told == ("" if fault == "missing" else f"  base-1-of-3 is {fault} and is made again\n")


def test_a_shard_that_holds_another_range_is_not_taken(store: ShardStore) -> None:
    shard = shards_of(2)[0]
    store.make([shard], fill)
    assert store.fault(replace(shard, stop=4)) == "of other settings"


def test_other_settings_and_another_number_lie_apart(store: ShardStore) -> None:
    store.make(shards_of(2), fill)
    other = replace(store, fingerprint="fedcba9876543210")
    assert made(other, shards_of(2)[:1]) == [0]
    told = [str(path.relative_to(store.root)) for path in store.others(shards_of(2))]
    assert told == ["fedcba987654/base-0-of-2"]
    assert len(store.others(shards_of(3))) == 3
    store.remove()
    assert not store.root.exists()
    store.remove()


def test_nothing_is_left_of_a_shard_that_fails(store: ShardStore) -> None:
    def fail(shard: Shard, out: Path) -> dict[str, Any]:
        fill(shard, out)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.make(shards_of(2), fail)
    assert [path.name for path in store.folder.iterdir()] == [".base-0-of-2.lock"]


def test_two_at_once_make_different_shards(store: ShardStore) -> None:
    """Each waits inside its first shard until the other is in one of its own."""
    both = threading.Barrier(2, timeout=20)
    numbers: dict[str, list[int]] = {"one": [], "other": []}

    def work(name: str) -> None:
        def meet(shard: Shard, out: Path) -> dict[str, Any]:
            if not numbers[name]:
                both.wait()
            numbers[name].append(shard.number)
            return fill(shard, out)

        store.make(shards_of(5), meet, quiet=True)

    workers = [threading.Thread(target=work, args=(name,)) for name in numbers]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(numbers["one"] + numbers["other"]) == [0, 1, 2, 3, 4]
    assert numbers["one"] and numbers["other"]


_HANGS = """
import sys, time
from pathlib import Path
from tests.sharding.conftest import shards_of
from workflow.sharding import ShardStore
def hang(shard, out):
    (out / "half").write_text("a part")
    print("begun", flush=True)
    time.sleep(60)
ShardStore(Path(sys.argv[1]), "predict", sys.argv[2]).make(shards_of(3)[1:], hang)
"""


def test_what_a_killed_process_was_making_is_taken_over(store: ShardStore, capsys: pytest.CaptureFixture[str]) -> None:
    """While it lives, its shard is left to it."""
    line = [sys.executable, "-c", _HANGS, str(store.run), store.fingerprint]
    child = subprocess.Popen(
        line, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert child.stdout is not None and child.stdout.readline() == "begun\n"
    threading.Timer(1.0, lambda: child.send_signal(signal.SIGKILL)).start()
    began = time.monotonic()
    assert made(store, shards_of(3)) == [0, 2, 1]
    assert time.monotonic() - began > 0.5
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    assert "waiting for what other processes make: base-1-of-3\n" in capsys.readouterr().out
    assert sorted(path.name for path in store.place(shards_of(3)[1]).iterdir()) == [
        "deep",
        "manifest.json",
        "table.parquet",
    ]
    assert not list(store.folder.glob("*.tmp-*")) and not list(store.folder.glob(".*.tmp-*"))
    assert multiprocessing.active_children() == []
