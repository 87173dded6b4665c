import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workflow.launch import family
from workflow.launch.family import Family

#: Starts a process in a session of its own, tells that, and waits.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""


def start(members: Family) -> tuple[subprocess.Popen[str], int]:
    """A program and the process id of its child."""
    parent = subprocess.Popen(
        [sys.executable, "-S", "-c", PARENT],
        env=members.environment({"PATH": "/usr/bin:/bin"}),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    members.adopt(parent.pid)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def test_members_in_other_sessions_are_found() -> None:
    members, strangers = Family(), Family()
    parent, child = start(members)
    other, _ = start(strangers)
    assert set(members._members()) == {parent.pid, child}
    assert members.signal(signal.SIGKILL)
    parent.communicate()
    assert not members.signal(0)
    assert strangers.signal(0), "others live on"
    strangers.signal(signal.SIGKILL)
    other.communicate()


def test_orphans_are_found() -> None:
    members = Family()
    parent, child = start(members)
    parent.kill()
    parent.wait()
    # While it begins, the system does not show its environment.
    until = time.monotonic() + 10
    while list(members._members()) != [child]:
        assert time.monotonic() < until
    assert members.signal(signal.SIGKILL)
    parent.communicate()


def test_marks_add_up() -> None:
    outer, inner = Family(), Family()
    environment = inner.environment(outer.environment({"PATH": "/bin"}))
    mark = next(value for name, value in environment.items() if name != "PATH")
    assert environment["PATH"] == "/bin"
    assert outer._mark in mark and inner._mark in mark


def test_without_process_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on macOS: at least the group is reached."""
    monkeypatch.setattr(family, "_PROC", tmp_path / "proc")
    members = Family()
    alone = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
    members.adopt(alone.pid)
    assert members.signal(signal.SIGTERM)
    assert alone.wait(timeout=10) == -signal.SIGTERM
    assert not members.signal(0)
