from pathlib import Path

import pytest

from workflow import artifacts
from workflow.artifacts import describe_file, write_json
from workflow.genome import files
from workflow.identity import are_awaited, describe_inputs, difference, lookup


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "_described", {})
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    return tmp_path / "x.fa"


def test_file_that_is_not_there_yet_is_told_by_its_path(file: Path) -> None:
    absent = file.with_name("y.fa")
    inputs = describe_inputs([file, absent], {})
    assert inputs == [describe_file(file), {"path": str(absent)}]
    assert are_awaited(inputs) and not are_awaited(inputs[:1]) and not are_awaited([])


@pytest.mark.parametrize("where", ["manifest", "record", "record of a file that came anew", "this process"])
def test_nothing_is_hashed_twice(file: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = describe_file(file)
    known = {"manifest": {str(file): told}, "record of a file that came anew": {str(file): told | {"modified_ns": 1}}}
    if where.startswith("record"):
        write_json(file.with_name("x.fa.json"), {key: told[key] for key in ("bytes", "modified_ns", "sha256")})
    if where == "this process":
        describe_inputs([file], {})
    monkeypatch.setattr(artifacts, "_HASH_CHUNK_BYTES", None)  # hashing would be a fault
    assert describe_inputs([file], known.get(where, {})) == [told]


def test_changed_file_is_hashed_again(file: Path) -> None:
    told = describe_file(file)
    file.write_text(">a\nACGTA\n")
    (again,) = describe_inputs([file], {str(file): told})
    assert again == describe_file(file) and again["sha256"] != told["sha256"]


def test_lookup() -> None:
    assert lookup({"a": {"b": {"c": 1}}}, "a.b.c") == 1
    assert lookup({"a": {"b": 2}}, "a") == {"b": 2}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"config": {"a": {"b": 2}, "c": None}}, "a.b was 1, is 2"),
        ({"config": {"a": {"b": 1}}}, "c was None, is absent"),
        ({"files": ["y"]}, "an input file changed"),
        ({"stages": {"prepare": "q"}}, "prepare changed; convert is no longer part of the run"),
        ({"version": 2, "files": []}, "an input file changed; the format is now version 2"),
        ({}, "a masked setting changed"),
    ],
)
def test_difference(changes: dict[str, object], told: str) -> None:
    old = {
        "version": 1,
        "config": {"a": {"b": 1}, "c": None},
        "files": ["x"],
        "stages": {"prepare": "p", "convert": "c"},
    }
    assert difference(old, old | changes) == told
