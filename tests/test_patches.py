"""The command that applies patches: its lines and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workflow import patches, patching
from workflow.patching import PatchStatus, State

NAME = "nemo2-lora-recompute"


def pretend(monkeypatch: pytest.MonkeyPatch, before: State, after: State | None = None) -> list[str]:
    """Let the shipped patch stand as said, and `after` once it is applied or reverted; returns what was done."""
    done: list[str] = []

    def change(verb: str, state: State | None) -> PatchStatus:
        done.append(verb)
        assert state is not None
        return PatchStatus(NAME, state, "seen")

    monkeypatch.setattr(patches, "look", lambda patch: PatchStatus(patch.name, before, "seen"))
    monkeypatch.setattr(patches, "apply", lambda patch: change("apply", after))
    monkeypatch.setattr(patches, "revert", lambda patch: change("revert", after))
    return done


@pytest.mark.parametrize(
    ("verb", "before", "after", "code", "done"),
    [
        ("check", "applied", None, 0, []),
        ("check", "not installed", None, 0, []),
        ("check", "applicable", None, 1, []),
        ("check", "unknown", None, 1, []),
        ("check", "wrong version", None, 1, []),
        ("apply", "applicable", "applied", 0, ["apply"]),
        ("apply", "applied", "applied", 0, ["apply"]),
        ("apply", "not installed", None, 0, []),
        ("apply", "unknown", None, 1, []),
        ("apply", "wrong version", None, 1, []),
        ("revert", "applied", "applicable", 0, ["revert"]),
        ("revert", "applicable", "applicable", 0, ["revert"]),
        ("revert", "not installed", None, 0, []),
        ("revert", "unknown", None, 1, []),
    ],
)
def test_exit_codes(
    verb: str,
    before: State,
    after: State | None,
    code: int,
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    did = pretend(monkeypatch, before, after)
    assert patches.main([verb, NAME]) == code
    assert did == done
    printed = capsys.readouterr()
    told = printed.err if code else printed.out
    expected = "reverted" if after == "applicable" else f"{after or before}: seen"
    assert told == f"{NAME}: {expected}\n"


def test_all_when_none_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(monkeypatch, "applicable")
    assert patches.main(["check"]) == 1
    assert capsys.readouterr().err.count("\n") == len(patching.load_patches())


def test_list_is_one_line_a_patch(capsys: pytest.CaptureFixture[str]) -> None:
    assert patches.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(patching.load_patches())
    assert lines[0].startswith(f"{NAME}: nemo-toolkit 2.3.0-2.7.3, nemo/collections/llm/")
    assert "issues/1136" in lines[0]


def test_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert patches.main(["apply", "other"]) == 2
    assert capsys.readouterr().err == f"error: no patch other; there are: {NAME}\n"


def test_a_site_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(monkeypatch, "applicable")

    def refuse(patch: patching.Patch) -> PatchStatus:
        raise patching.InputError("the folder cannot be written")

    monkeypatch.setattr(patches, "apply", refuse)
    assert patches.main(["apply"]) == 2
    assert capsys.readouterr().err == "error: the folder cannot be written\n"


def test_from_the_shell_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nimport workflow.patches as patches\ncode = patches.main(['list'])\n"
        "assert not {'torch', 'nemo'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{NAME}: ")
