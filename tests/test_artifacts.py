import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.artifacts import (
    BASES,
    MANIFEST,
    PerBaseScores,
    PerBaseWriter,
    describe_file,
    describe_outputs,
    fingerprint,
    open_new_array,
    publish,
    read_json,
    read_manifest,
    read_table,
    run_lock,
    write_json,
    write_text,
)
from workflow.errors import InputError

# ---------------------------------------------------------------- publishing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder with its text."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def publish_version(target: Path, version: str) -> None:
    with publish(target) as building:
        for name in ("a", "b", "c/d"):
            (building / name).parent.mkdir(exist_ok=True)
            (building / name).write_text(version)


def test_published_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "run" / "stage"
    publish_version(target, "old")
    (target / "of the old one only").write_text("x")
    publish_version(target, "new")
    assert content(target) == {"a": "new", "b": "new", "c/d": "new"}
    assert names(tmp_path / "run") == ["stage"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("published_before", [True, False])
def test_failed_build_changes_nothing(tmp_path: Path, fault: type[BaseException], published_before: bool) -> None:
    target = tmp_path / "stage"
    if published_before:
        publish_version(target, "old")
    before = content(tmp_path)
    with pytest.raises(fault), publish(target) as building:
        (building / "a").write_text("half")
        raise fault
    assert content(tmp_path) == before
    assert names(tmp_path) == (["stage"] if published_before else [])


def test_nothing_is_seen_before_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "stage"
    with publish(target) as building:
        assert building.parent == target.parent, "a rename is atomic only within one file system"
        (building / "a").write_text("first")
        assert not target.exists()
    with publish(target) as building:
        assert names(building) == []
        (building / "a").write_text("second")
        assert content(target) == {"a": "first"}
    assert content(target) == {"a": "second"}


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    for leftover in (".stage.tmp-1", ".stage.tmp-99-old", ".other.tmp-1"):
        (tmp_path / leftover / "inner").mkdir(parents=True)
    (tmp_path / "stage.superseded-1").mkdir()
    publish_version(tmp_path / "stage", "new")
    assert names(tmp_path) == [".other.tmp-1", "stage", "stage.superseded-1"]


# Every file-system call is an audit event, raised before the call. Child n kills itself at its n-th event.
KILLED_AT_EVERY_CALL = """
import os, signal, sys
from pathlib import Path
from workflow.artifacts import publish

target = Path(sys.argv[1])
CALLS = ("open", "os.", "shutil.", "pathlib.")

def publish_version(version):
    with publish(target) as building:
        for name in ("a", "b"):
            (building / name).write_text(version)

def die_at(number):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event.startswith(CALLS):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

for number in range(1, 1000):
    publish_version("old")
    child = os.fork()
    if child == 0:
        die_at(number)
        publish_version("new")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    held = [path.read_text() for path in sorted(target.iterdir())] if target.exists() else ["gone"]
    print(*held)
    if os.WIFEXITED(status):
        break
publish_version("old")
print(*sorted(path.name for path in target.parent.iterdir()))
"""


def test_killed_at_any_moment_the_folder_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "run" / "stage"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_CALL, str(target)], capture_output=True, text=True, check=True
    )
    *states, left_over = done.stdout.splitlines()
    assert set(states) == {"old old", "gone", "new new"}
    assert states == sorted(states, key=["old old", "gone", "new new"].index), "old, then for a moment none, then new"
    assert states.count("old old") > 5
    assert states.count("gone") == 1, "one call lies between the two renames"
    assert left_over == "stage"


def test_killed_while_building(tmp_path: Path) -> None:
    target = tmp_path / "stage"
    publish_version(target, "old")
    build = (
        "import os, signal, sys; from pathlib import Path; from workflow.artifacts import publish\n"
        "with publish(Path(sys.argv[1])) as building:\n"
        "    (building / 'a').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", build, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert content(target) == {"a": "old", "b": "old", "c/d": "old"}
    assert len(names(tmp_path)) == 2, "the half-built folder still lies there"
    publish_version(target, "new")
    assert content(tmp_path) == {"stage/a": "new", "stage/b": "new", "stage/c/d": "new"}


# ---------------------------------------------------------------- text and JSON


def test_text_is_replaced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    rename, seen = os.replace, []

    def look_and_rename(source: Path, target: Path) -> None:
        seen.append((Path(source).read_text(encoding="utf-8"), target.read_text()))
        rename(source, target)

    monkeypatch.setattr(os, "replace", look_and_rename)
    write_text(path, "new ×")
    assert seen == [("new ×", "old")]
    assert path.read_bytes() == "new ×".encode()
    assert names(tmp_path) == ["a.txt"]


def test_json_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    value = {"z": np.int64(3), "a": np.float32(0.5), "b": np.bool_(True), "path": Path("x/y"), "µ": [1, None, "é"]}
    write_json(path, value)
    assert read_json(path) == {"z": 3, "a": 0.5, "b": True, "path": "x/y", "µ": [1, None, "é"]}
    assert list(read_json(path)) == list(value), "the order of the keys is kept"
    assert "µ" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [{1, 2}, np.zeros(2), date(2025, 1, 1), b"x", object()])
def test_json_refuses_what_it_cannot_hold(tmp_path: Path, value: object) -> None:
    path = tmp_path / "a.json"
    write_json(path, "old")
    with pytest.raises(TypeError, match=f"^{type(value).__name__} cannot be written as JSON$"):
        write_json(path, {"key": value})
    assert read_json(path) == "old"
    assert names(tmp_path) == ["a.json"]


def test_json_faults_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(InputError, match=r"a\.json does not exist$"):
        read_json(path)
    path.write_text('{\n  "a": 1,\n  "b": \n}\n')
    with pytest.raises(InputError, match=r"a\.json, line 4: not valid JSON \(Expecting value\)$"):
        read_json(path)
    path.write_text("")
    with pytest.raises(InputError, match=r"a\.json, line 1: not valid JSON"):
        read_json(path)


def test_table(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(InputError, match=r"a\.parquet does not exist$"):
        read_table(path)
    pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_parquet(path)
    assert read_table(path)["b"].tolist() == ["x", "y"]
    assert list(read_table(path, ["a"])) == ["a"]


def test_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "prepare"
    folder.mkdir()
    with pytest.raises(InputError, match=r"prepare holds no finished stage \(no manifest\.json\): run stage=prepare"):
        read_manifest(folder)
    write_json(folder / MANIFEST, {"stage": "prepare"})
    assert read_manifest(folder) == {"stage": "prepare"}


# ---------------------------------------------------------------- identity

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def backwards(value: object) -> object:
    """The same value, its dicts filled in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_fingerprint_is_canonical(value: object) -> None:
    print_ = fingerprint(value)
    assert len(print_) == 64
    assert fingerprint(backwards(value)) == print_
    assert fingerprint(json.loads(json.dumps(value))) == print_, "what a manifest gave back is the same value"
    assert fingerprint([value]) != print_


def test_fingerprint_tells_values_apart() -> None:
    values = [{}, {"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, {"a": None}, {"a": True}, [["a", 1]], {"a": [1]}, "a", None]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert fingerprint({"a": (1, 2)}) == fingerprint({"a": [1, 2]})
    assert fingerprint([np.float64(0.1), np.int32(3), Path("x")]) == fingerprint([0.1, 3, "x"])
    with pytest.raises(TypeError, match="set cannot be written as JSON"):
        fingerprint({1, 2})


def test_fingerprint_does_not_depend_on_the_process() -> None:
    value = {"genome": {"name": "x", "fasta": "y"}, "b": [0.1, 1e-9, None, "µ"], "a": True}
    program = f"from workflow.artifacts import fingerprint; print(hash('x'), fingerprint({value!r}))"
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert said[0][0] != said[1][0], "the two processes hash differently"
    assert said[0][1] == said[1][1] == fingerprint(value)


def test_describe_file(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(b"ACGT")
    assert describe_file(path) == {
        "path": str(path),
        "bytes": 4,
        "modified_ns": path.stat().st_mtime_ns,
        "sha256": "1dff3e84fe7877e0673b69bbddcf40124e396e3f9943dd890c91b6a09adb9af0",
    }
    with pytest.raises(InputError, match=r"none\.fa does not exist$"):
        describe_file(tmp_path / "none.fa")


def test_hash_of_more_than_one_chunk(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(np.random.default_rng(0).bytes((1 << 22) + 17))
    assert describe_file(path)["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_hash_is_computed_again_only_when_the_file_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.fa"
    path.write_bytes(b"ACGT")
    first = describe_file(path)
    status = path.stat()
    remembered = first | {"sha256": "remembered"}
    assert describe_file(path, remembered) == remembered

    path.write_bytes(b"ACGA")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert describe_file(path, remembered)["sha256"] not in {"remembered", first["sha256"]}

    path.write_bytes(b"ACGTA")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert describe_file(path, remembered)["sha256"] != "remembered", "the size alone tells it"

    path.write_bytes(b"ACGT")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert describe_file(path, remembered)["sha256"] == first["sha256"], "touched, and the same as before"

    other = tmp_path / "b.fa"
    other.write_bytes(b"TTTT")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert describe_file(other, remembered)["sha256"] != "remembered", "known of another path"


def test_describe_outputs(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "y").write_text("AC")
    (tmp_path / "x").write_text("ACGT")
    assert describe_outputs(tmp_path) == [{"path": "sub/y", "bytes": 2}, {"path": "x", "bytes": 4}]


# ---------------------------------------------------------------- per-base predictions


def windows_of(lengths: list[int]) -> pd.DataFrame:
    ends = np.cumsum(lengths, dtype=np.int64)
    return pd.DataFrame(
        {
            "sequence_id": [f"w{number}" for number in range(len(lengths))],
            "seqid": "chr1",
            "start": ends - lengths,
            "end": ends,
            "strand": "+",
            "length": lengths,
            "split": "test",
        },
        index=range(100, 100 + len(lengths)),
    )


def predictions(length: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    logprobs = np.log(chance.dirichlet(np.ones(4), size=length)).reshape(length, 4)
    logprobs[:1] = np.nan
    return logprobs, chance.choice(np.frombuffer(b"ACGTacgtN", np.uint8), length)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 70), max_size=8), st.randoms(use_true_random=False))
def test_predictions_round_trip(tmp_path: Path, lengths: list[int], chance) -> None:
    folder = tmp_path / str(len(names(tmp_path)))
    folder.mkdir()
    given_ = [predictions(length, seed) for seed, length in enumerate(lengths)]
    writer = PerBaseWriter(folder, windows_of(lengths))
    for row in chance.sample(range(len(lengths)), len(lengths)):
        writer.write(row, *given_[row])
    writer.close()

    scores = PerBaseScores(folder)
    assert len(scores) == len(lengths)
    assert scores.logprobs.shape == (sum(lengths), len(BASES))
    assert (scores.logprobs.dtype, scores.bases.dtype) == (np.float16, np.uint8)
    for row, (logprobs, bases) in enumerate(given_):
        read_logprobs, read_bases = scores.window(row)
        np.testing.assert_array_equal(read_logprobs, logprobs.astype(np.float16))
        np.testing.assert_array_equal(read_bases, bases)
    index = pd.read_parquet(folder / "index.parquet")
    assert list(index) == ["sequence_id", "seqid", "start", "end", "strand", "offset", "length"]
    assert index["sequence_id"].tolist() == [f"w{row}" for row in range(len(lengths))]
    assert index["length"].tolist() == lengths
    assert index["offset"].tolist() == [sum(lengths[:row]) for row in range(len(lengths))]


def test_window_is_a_view_of_the_file(tmp_path: Path) -> None:
    PerBaseWriter(tmp_path, windows_of([3, 2])).close()
    scores = PerBaseScores(tmp_path)
    assert all(isinstance(array, np.memmap) for array in (scores.logprobs, scores.bases, *scores.window(1)))
    with pytest.raises(ValueError, match="read-only"):
        scores.window(0)[0][:] = 0


@pytest.mark.parametrize(("rows", "letters"), [(2, 3), (3, 2), (4, 4), (1, 1)])
def test_window_of_another_length(tmp_path: Path, rows: int, letters: int) -> None:
    writer = PerBaseWriter(tmp_path, windows_of([5, 3]))
    with pytest.raises(ValueError, match=rf"^window 1 has 3 bases, got \({rows}, 4\) and \({letters},\)$"):
        writer.write(1, np.zeros((rows, 4)), np.zeros(letters, np.uint8))
    with pytest.raises(ValueError, match=r"window 1 has 3 bases, got \(3, 5\)"):
        writer.write(1, np.zeros((3, 5)), np.zeros(3, np.uint8))


@pytest.mark.parametrize("name", ["logprobs.npy", "bases.npy"])
def test_predictions_that_disagree_with_their_index(tmp_path: Path, name: str) -> None:
    PerBaseWriter(tmp_path, windows_of([3, 2])).close()
    array = np.load(tmp_path / name)
    np.save(tmp_path / name, array[:4])
    with pytest.raises(InputError, match=rf"{name} has 4 rows, index\.parquet says 5$"):
        PerBaseScores(tmp_path)


@pytest.mark.parametrize("name", ["logprobs.npy", "bases.npy", "index.parquet"])
def test_missing_predictions(tmp_path: Path, name: str) -> None:
    PerBaseWriter(tmp_path, windows_of([3])).close()
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=rf"{name} does not exist$"):
        PerBaseScores(tmp_path)


def test_predictions_hold_no_pickle(tmp_path: Path) -> None:
    PerBaseWriter(tmp_path, windows_of([1])).close()
    np.save(tmp_path / "bases.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="object"):
        PerBaseScores(tmp_path)


def test_new_array_is_written_through(tmp_path: Path) -> None:
    array = open_new_array(tmp_path / "a.npy", (3, 2), np.float32)
    array[:] = [[1, 2], [3, 4], [5, 6]]
    array.flush()
    read = np.load(tmp_path / "a.npy")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, array)


OUTLIVED = """
import os, signal, sys
from pathlib import Path
from workflow.artifacts import run_lock
from workflow.launch import Program, run_program

folder = Path(sys.argv[1])
tool = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]

def die(line):
    (folder / "tool").write_text(line)
    os.kill(os.getpid(), signal.SIGKILL)

with run_lock(folder):
    run_program(Program(tool, {}, folder / "log"), on_line=die)
"""


def test_lock_is_held_by_a_program_that_outlives_its_run(tmp_path: Path) -> None:
    """A tool goes on when the run that started it is killed, and must not be joined by a second one."""
    killed = subprocess.run([sys.executable, "-c", OUTLIVED, str(tmp_path)], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(InputError, match="another process works on"), run_lock(tmp_path):
        pass
    os.kill(int((tmp_path / "tool").read_text()), signal.SIGKILL)
    for _ in range(100):
        with contextlib.suppress(InputError), run_lock(tmp_path):
            return
        time.sleep(0.1)
    raise AssertionError("the lock was not let go")


def test_a_lock_is_waited_for_as_long_as_asked(tmp_path: Path) -> None:
    holds = "import sys, time; from pathlib import Path; from workflow.artifacts import run_lock\n"
    holds += "with run_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(2)"
    with subprocess.Popen([sys.executable, "-c", holds, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another process works on"), run_lock(tmp_path):
            pass
        with run_lock(tmp_path, patience_seconds=60):
            assert other.wait(5) == 0
