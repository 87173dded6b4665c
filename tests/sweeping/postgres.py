"""A PostgreSQL server of Debian's on loopback, which asks for a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "searcher", "correct horse battery staple"


def programs() -> Path:
    """Folder of the server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise AssertionError("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def server() -> Iterator[int]:
    """Run a server whose data lie in a new folder; yields its port."""
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are closed to the user of the server
        yield from _serve(Path(made))


def _serve(folder: Path) -> Iterator[int]:
    given = folder / "password"
    given.write_text(PASSWORD)
    data, as_user = folder / "data", list[str]()
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
        shutil.chown(given, "postgres")
    options = ["--auth=scram-sha-256", f"--pwfile={given}", "--no-sync", "--encoding=UTF8", "--locale=C"]
    run(*as_user, programs() / "initdb", "-D", data, "-U", USER, *options)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    line = [*as_user, programs() / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", folder, "-F"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([str(part) for part in line], cwd=folder, stdout=log, stderr=log)
        try:
            wait_for(port, process, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        if subprocess.run([programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"the server did not start: {log.read_text()}")


def run(*line: object) -> None:
    subprocess.run([str(part) for part in line], check=True, capture_output=True, cwd="/")
