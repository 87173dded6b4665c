"""Files that come from a URL: fetched in as many pieces as it takes, checked, and only then given their name.

While `<file>` is on its way its bytes are in `<file>.part`, and `<file>.part.json` says which version of the
file they are from. `<file>.json` stays beside the finished one: where it came from, and its hash.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from workflow.artifacts import read_json, run_lock, write_json
from workflow.console import Progress, say
from workflow.errors import InputError
from workflow.genome.files import describe, is_gzip, read_blocks
from workflow.genome.web import Answer, RefusalError, TransferError, ask, hide_secrets, read_chunk

_ATTEMPTS = 6
_LONGEST_DELAY = 60.0
_LONGEST_WAIT = 600.0
_TIMEOUT = 60.0
_HEAD_BYTES = 64
_HTML = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class SourceFile:
    """A file that the configuration names.

    Attributes
    ----------
    key : str
        Where: `genome.fasta` or `genome.annotation`.
    path : Path
        Where it lies, or will once it is downloaded.
    url : str, optional
        Where it is downloaded from. None for a local file.
    sha256 : str, optional
        What it has to have.
    size : int, optional
        Bytes that it has to have.
    """

    key: str
    path: Path
    url: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def shown_url(self) -> str | None:
        """The URL without its secrets."""
        return hide_secrets(self.url) if self.url else None


def recorded(path: Path) -> dict[str, Any] | None:
    """What was written beside a file when it was downloaded, as `describe` takes it; None when nothing was."""
    record = _beside(path, ".json")
    told = _read_own(record) if record.exists() else {}
    return {**told, "path": str(path)} if "sha256" in told else None


def check(file: SourceFile) -> dict[str, Any]:
    """The description of a file that is there, when it is the one that the configuration means.

    Raises
    ------
    InputError
        It has another size or hash than the configuration or its own record says, or is from another URL.
    """
    record = recorded(file.path)
    description = describe(file.path, record)
    mend = f"delete {file.path} to have it downloaded again, or" if file.url else "copy it again, or"
    if file.size not in (None, description["bytes"]):
        raise InputError(
            f"{file.path} has {description['bytes']} bytes, not {file.size}: {mend} correct {file.key}_bytes"
        )
    if file.sha256 not in (None, description["sha256"]):
        raise InputError(
            f"{file.path} has the SHA-256 {description['sha256']}, not {file.sha256}: {mend} correct {file.key}_sha256"
        )
    if file.url and record and not file.sha256:
        if record["sha256"] != description["sha256"]:
            raise InputError(f"{file.path} was changed after its download: {mend} set {file.key}_sha256 to keep it")
        if record.get("url") != file.shown_url:
            raise InputError(
                f"{file.path} was downloaded from {record.get('url')}, and {file.key} is now {file.shown_url}: {mend} "
                "give another genome.name"
            )
    return description


def fetch(
    file: SourceFile, seed: int = 0, timeout: float = _TIMEOUT, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Download a file, or what an earlier attempt left of it to download.

    After a fault that may pass it is tried again, with growing delays (doubled from 1 s to at most 60 s, times a
    random half to whole, or as long as the server asks), until `_ATTEMPTS` in a row have brought nothing new.

    Parameters
    ----------
    file : SourceFile
        With a URL that `web.is_allowed`.
    seed : int
        Of the delays.
    timeout : float
        Seconds without a byte after which a connection counts as lost.
    sleep : callable
        Waits so many seconds.

    Raises
    ------
    InputError
        The file cannot be had, is not the right one, or does not fit on the disk; or another process downloads
        it. Nothing has the file's name then. What came is kept for the next attempt, unless it is wrong.
    """
    file.path.parent.mkdir(parents=True, exist_ok=True)
    with run_lock(file.path.parent):
        try:
            _Download(file, timeout).run(np.random.default_rng(seed), sleep)
        except RefusalError as refusal:
            raise InputError(
                f"{file.key}={file.shown_url}: {refusal}; or put the file at {file.path} yourself"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise InputError(f"{file.path.parent}: {error.strerror}; make room, what has come is kept") from None


class _Download:
    """One file on its way."""

    def __init__(self, file: SourceFile, timeout: float) -> None:
        assert file.url
        self.file, self.url, self.timeout = file, file.url, timeout
        self.part = _beside(file.path, ".part")
        self._version_file = _beside(file.path, ".part.json")

    def run(self, random: np.random.Generator, sleep: Callable[[float], None]) -> None:
        """Try until the file is there, or nothing new comes."""
        furthest, failures = self._came(), 0
        while True:
            try:
                self._continue()
                break
            except TransferError as error:
                if error.stale:
                    self._discard()
                # Bytes that were lost and came again are no progress: a server may drop every connection half-way.
                failures = 0 if self._came() > furthest else failures + 1
                furthest = max(furthest, self._came())
                if failures == _ATTEMPTS:
                    raise RefusalError(f"given up, {error}; the same command goes on from what has come") from None
                delay = max(error.wait, min(_LONGEST_DELAY, 2.0**failures) * random.uniform(0.5, 1))
                if delay > _LONGEST_WAIT:
                    raise RefusalError(f"{error} and asks to wait {delay / 60:.0f} minutes: try again then") from None
                say(f"  {self.file.path.name}: {error}; trying again in {delay:.0f} s")
                sleep(delay)
        self._check()
        self._publish()

    # ------------------------------------------------------------ the bytes

    def _continue(self) -> None:
        """Ask for what is missing and append it to the part."""
        version = self._version()
        came = self._came()
        if version["bytes"] == came > 0:
            return
        with ask(self.url, came, version["validator"], self.timeout) as answer:
            if answer.offset == 0:
                self._start(answer)
            elif (answer.offset, answer.total, answer.validator) != (came, version["bytes"], version["validator"]):
                raise TransferError("the file on the server has changed", stale=True)
            else:
                with self.part.open("ab") as part:
                    self._receive(answer, part, came)

    def _version(self) -> dict[str, Any]:
        """Which version of the file the part is from; a part that nothing can be added to is thrown away."""
        if self.part.exists() and self._version_file.exists():
            version = _read_own(self._version_file)
            if version.get("url") == self.file.shown_url and version.get("validator") and version.get("bytes"):
                return version
        self._discard()
        return {"bytes": None, "validator": None}

    def _start(self, answer: Answer) -> None:
        """Take an answer that brings the file from its beginning."""
        self._discard()
        head = b""
        while len(head) < _HEAD_BYTES and (chunk := read_chunk(answer, _left(answer.total, len(head)))):
            head += chunk
        if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:_HEAD_BYTES].lower().startswith(_HTML):
            raise RefusalError("the server sends a web page instead of the file (a login or landing page?)")
        if self.file.size and answer.total not in (None, self.file.size):
            raise RefusalError(
                f"the file on the server has {answer.total} bytes, {self.file.key}_bytes is {self.file.size}"
            )
        if not answer.ends_itself and not (self.file.size or self.file.sha256):
            raise RefusalError(
                f"the server does not say how large the file is, so that a part cannot be told from the whole: give "
                f"{self.file.key}_bytes or {self.file.key}_sha256"
            )
        write_json(
            self._version_file, {"url": self.file.shown_url, "bytes": answer.total, "validator": answer.validator}
        )
        with self.part.open("wb") as part:
            part.write(head)
            self._receive(answer, part, len(head))

    def _receive(self, answer: Answer, part: BinaryIO, came: int) -> None:
        """Write what comes until the answer ends."""
        left, free = _left(answer.total, came), shutil.disk_usage(self.part.parent).free
        if left is not None and left > free:
            raise OSError(errno.ENOSPC, f"{left} more bytes are needed and {free} are free")
        with Progress(f"downloading {self.file.path.name}", answer.total, "bytes") as progress:
            progress.skip(came)
            while left != 0 and (chunk := read_chunk(answer, left)):
                part.write(chunk)
                came += len(chunk)
                left = _left(answer.total, came)
                progress.advance(len(chunk))
        if left:
            raise TransferError(f"the connection ended after {came} of {answer.total} bytes")

    def _came(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self._version_file.unlink(missing_ok=True)

    # ------------------------------------------------------------ the file

    def _check(self) -> None:
        """Whether the part is the file, whole and right; it is thrown away when not."""
        fault = self._fault()
        if fault:
            self._discard()
            raise RefusalError(f"{fault}; what came was deleted")

    def _fault(self) -> str | None:
        came, file = self._came(), self.file
        if came == 0:
            return "the file on the server is empty"
        if file.size not in (None, came):
            return f"{came} bytes came, {file.key}_bytes={file.size}"
        if file.sha256 and (sha256 := describe(self.part)["sha256"]) != file.sha256:
            return f"what came has the SHA-256 {sha256}, {file.key}_sha256={file.sha256}"
        if is_gzip(self.part):
            try:
                for _ in read_blocks(self.part):
                    pass
            except InputError:
                return "the gzip data on the server are cut short or damaged"
        return None

    def _publish(self) -> None:
        """Give the file its name, after its record: one without the other is a record of a file not there."""
        version = _read_own(self._version_file)
        with self.part.open("rb") as part:
            os.fsync(part.fileno())
        record = {"url": version["url"], "validator": version["validator"]} | describe(self.part)
        write_json(_beside(self.file.path, ".json"), {key: record[key] for key in record if key != "path"})
        os.replace(self.part, self.file.path)
        self._version_file.unlink()
        folder = os.open(self.file.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _left(total: int | None, came: int) -> int | None:
    return None if total is None else total - came


def _read_own(path: Path) -> dict[str, Any]:
    """A small JSON file of this module; empty when it is none."""
    try:
        content = read_json(path)
    except (InputError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) else {}
