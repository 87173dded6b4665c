import errno
import gzip
import hashlib
import json
import random
import re
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server import Server, drop_after, serving, status
from workflow.artifacts import run_lock
from workflow.errors import InputError
from workflow.genome import download, files
from workflow.genome.download import SourceFile, check, fetch, recorded

CONTENT = b">chr1\n" + b"\n".join(bytes(random.Random(7).choices(b"ACGTacgt", k=60)) for _ in range(5_000)) + b"\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"\xef\xbb\xbf\n  <!DOCTYPE html><html><body>Please log in</body></html>"
GET = "genome.fasta={url}: {reason}; or put the file at {path} yourself"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def source(server: Server, tmp_path: Path) -> Callable[..., SourceFile]:
    """The served file as the configuration names it."""

    def make(name: str = "x.fa", **options: Any) -> SourceFile:
        return SourceFile("genome.fasta", tmp_path / "data" / name, server.url(name), **options)

    return make


def get(file: SourceFile) -> list[float]:
    """Fetch without waiting; the delays."""
    delays: list[float] = []
    fetch(file, seed=1, timeout=5, sleep=delays.append)
    return delays


def refused(file: SourceFile) -> str:
    """Why the file cannot be had; it is one line, and nothing has the file's name."""
    with pytest.raises(InputError) as caught:
        get(file)
    assert "\n" not in str(caught.value)
    assert not file.path.exists() and recorded(file.path) is None
    before, after = GET.format(url=file.shown_url, reason="\0", path=file.path).split("\0")
    assert str(caught.value).startswith(before) and str(caught.value).endswith(after), str(caught.value)
    return str(caught.value).removeprefix(before).removesuffix(after)


def names(file: SourceFile) -> list[str]:
    return sorted(path.name for path in file.path.parent.iterdir() if path.name != ".lock")


def is_right(file: SourceFile, content: bytes = CONTENT) -> bool:
    return file.path.read_bytes() == content and names(file) == [file.path.name, f"{file.path.name}.json"]


# ---------------------------------------------------------------- what comes


def test_file_and_its_record(source: Callable[..., SourceFile], monkeypatch: pytest.MonkeyPatch) -> None:
    file = source(sha256=SHA256, size=len(CONTENT))
    assert get(file) == []
    assert is_right(file)
    record = json.loads((file.path.parent / "x.fa.json").read_text())
    assert record == {
        "url": file.url,
        "validator": '"v1"',
        "bytes": len(CONTENT),
        "modified_ns": file.path.stat().st_mtime_ns,
        "sha256": SHA256,
    }
    monkeypatch.setattr(files, "_described", {})
    monkeypatch.setattr(hashlib, "sha256", None)
    assert check(file) == record | {"path": str(file.path)}, "not hashed again"


def test_no_secret_is_written_or_told(server: Server, source: Callable[..., SourceFile]) -> None:
    url = server.url("x.fa?token=hunter2").replace("//", "//ana:hunter3@")
    file = SourceFile("genome.fasta", source().path, url)
    server.faults = [drop_after(1000), status(404)]
    assert "has no such file" in refused(file)
    get(file)
    assert not any("hunter" in path.read_text() for path in file.path.parent.iterdir())
    assert server.asked[-1]["path"] == "/x.fa?token=hunter2"


def test_dropped_connections_are_resumed(server: Server, source: Callable[..., SourceFile]) -> None:
    server.faults = [drop_after(70_000), drop_after(1), drop_after(100_000)]
    file = source()
    assert all(0.5 <= delay <= 1 for delay in get(file)), "there was progress each time"
    assert is_right(file)
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=70000-", "bytes=70001-", "bytes=170001-"]
    assert {asked.get("If-Range") for asked in server.asked[1:]} == {'"v1"'}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drops=st.lists(st.integers(0, 120_000), max_size=5))
def test_any_drops_give_the_same_bytes(server: Server, source: Callable[..., SourceFile], drops: list[int]) -> None:
    file = source()
    shutil.rmtree(file.path.parent, ignore_errors=True)
    server.faults = [drop_after(most) for most in drops]
    get(file)
    server.faults = []
    assert is_right(file)


def test_a_later_command_goes_on(server: Server, source: Callable[..., SourceFile]) -> None:
    server.faults = [drop_after(70_000), status(404)]
    file = source()
    assert "status 404" in refused(file)
    assert names(file) == ["x.fa.part", "x.fa.part.json"]
    get(file)
    assert is_right(file)
    assert server.asked[-1]["Range"] == "bytes=70000-"


def test_whole_part_is_not_asked_for_again(server: Server, source: Callable[..., SourceFile], monkeypatch) -> None:
    """Killed after the last byte, or between the two files of the publication."""
    file = source()
    monkeypatch.setattr(download.os, "replace", replace_but(file.path))
    with pytest.raises(KeyboardInterrupt):
        get(file)
    assert names(file) == ["x.fa.json", "x.fa.part", "x.fa.part.json"]
    monkeypatch.undo()
    get(file)
    assert is_right(file) and len(server.asked) == 1


def replace_but(target: Path) -> Callable[..., None]:
    """`os.replace` that is interrupted when it is about to give the file its name."""
    original = download.os.replace

    def replace(source: Any, to: Any) -> None:
        if Path(to) == target:
            raise KeyboardInterrupt
        original(source, to)

    return replace


def test_file_that_changes_between_attempts(server: Server, source: Callable[..., SourceFile]) -> None:
    def change(handler: Any) -> None:
        server.content, server.etag = CONTENT[::-1], '"v2"'
        handler.give()

    server.faults = [drop_after(70_000), change]
    file = source()
    get(file)
    assert is_right(file, CONTENT[::-1])


def test_changed_file_from_a_server_that_resumes_all_the_same(server: Server, source) -> None:
    def change(handler: Any) -> None:
        server.content, server.etag = CONTENT[::-1], '"v2"'
        handler.give(start=70_000)

    server.faults = [drop_after(70_000), change]
    file = source()
    get(file)
    assert is_right(file, CONTENT[::-1])
    assert "Range" not in server.asked[-1]


@pytest.mark.parametrize(
    "fault", [lambda handler: handler.give(start=0), lambda handler: handler.give(start=69_999), status(416)]
)
def test_server_that_does_not_go_on_where_it_should(server: Server, source, fault) -> None:
    server.faults = [drop_after(70_000), fault]
    file = source()
    get(file)
    assert is_right(file)


def test_without_a_validator_nothing_is_resumed(server: Server, source: Callable[..., SourceFile]) -> None:
    server.etag = None
    server.faults = [drop_after(70_000)]
    file = source()
    get(file)
    assert is_right(file)
    assert "Range" not in server.asked[1]


@pytest.mark.parametrize("damage", ["{", "[]", '{"url": "https://other.org/x.fa", "validator": "a", "bytes": 9}'])
def test_part_of_unknown_origin_is_not_used(server: Server, source: Callable[..., SourceFile], damage: str) -> None:
    file = source()
    file.path.parent.mkdir()
    (file.path.parent / "x.fa.part").write_bytes(b"other")
    (file.path.parent / "x.fa.part.json").write_text(damage)
    get(file)
    assert is_right(file)


def test_redirect(server: Server, source: Callable[..., SourceFile]) -> None:
    server.faults = [status(302, Location="/elsewhere/x.fa"), drop_after(5000), status(307, Location="/elsewhere")]
    file = source()
    get(file)
    assert is_right(file)
    assert server.asked[3]["Range"] == "bytes=5000-", "also after a redirect"


def test_gzip_of_several_members(server: Server, source: Callable[..., SourceFile]) -> None:
    server.content = gzip.compress(CONTENT) + gzip.compress(b"")
    file = source("x.fa.gz")
    get(file)
    assert is_right(file, server.content)


def test_chunked_answer(server: Server, source: Callable[..., SourceFile]) -> None:
    def chunked(handler: Any, end: bytes = b"0\r\n\r\n") -> None:
        body = b"%x\r\n%s\r\n%s" % (len(CONTENT), CONTENT, end)
        handler.answer(200, body, **{"Transfer-Encoding": "chunked"})

    server.faults = [lambda handler: chunked(handler, b""), chunked]
    file = source()
    assert len(get(file)) == 1
    assert is_right(file)


# ---------------------------------------------------------------- waiting


def test_delays_grow_and_are_reproducible(server: Server, source: Callable[..., SourceFile]) -> None:
    server.faults = [status(503)] * 5
    delays = get(source())
    assert [0.5 < delay / 2**n <= 1 for n, delay in enumerate(delays, 1)] == [True] * 5
    source().path.unlink()
    server.faults = [status(503)] * 5
    assert get(source()) == delays


def test_retry_after_is_honoured(server: Server, source: Callable[..., SourceFile]) -> None:
    server.faults = [status(429, **{"Retry-After": "90"})]
    assert get(source()) == [90]


def test_too_long_a_wait(server: Server, source: Callable[..., SourceFile]) -> None:
    server.faults = [status(503, **{"Retry-After": "7200"})]
    assert refused(source()) == "the server answers 503 and asks to wait 120 minutes: try again then"


def test_unavailable_forever(server: Server, source: Callable[..., SourceFile]) -> None:
    server.faults = [status(503)] * 50
    assert refused(source()) == "given up, the server answers 503; the same command goes on from what has come"
    assert len(server.asked) == 6


def test_every_connection_dropped_half_way_by_a_server_that_cannot_resume(server: Server, source) -> None:
    server.faults = [lambda handler: handler.give(70_000, start=0)] * 50
    message = refused(source())
    assert message.startswith(f"given up, the connection ended after 70000 of {len(CONTENT)} bytes")
    assert len(server.asked) == 7


# ---------------------------------------------------------------- what is not published


def test_length_that_is_too_long(server: Server, source: Callable[..., SourceFile]) -> None:
    def lie(handler: Any) -> None:
        handler.give(length=len(CONTENT) + 10)

    server.faults = [lie] * 50
    refused(source(sha256=SHA256))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("x.fa", {"size": len(CONTENT)}, f"the file on the server has 99 bytes, genome.fasta_bytes is {len(CONTENT)}"),
        (
            "x.fa",
            {"sha256": SHA256},
            f"what came has the SHA-256 .*genome.fasta_sha256={SHA256}; what came was deleted",
        ),
        ("x.fa.gz", {}, "the gzip data on the server are cut short or damaged; what came was deleted"),
    ],
)
def test_length_that_is_too_short(server: Server, source, name: str, options: dict, message: str) -> None:
    if name.endswith("gz"):
        server.content = gzip.compress(CONTENT)
    server.faults = [lambda handler: handler.give(length=99)]
    file = source(name, **options)
    assert re.fullmatch(message, refused(file))
    assert names(file) == []


def test_truncated_gzip(server: Server, source: Callable[..., SourceFile]) -> None:
    server.content = gzip.compress(CONTENT)[:-20]
    file = source("x.fa.gz")
    assert refused(file) == "the gzip data on the server are cut short or damaged; what came was deleted"
    server.content, server.etag = gzip.compress(CONTENT), '"v2"'
    get(file)
    assert is_right(file, server.content)


def test_wrong_checksum(server: Server, source: Callable[..., SourceFile]) -> None:
    file = source(sha256="0" * 64)
    assert refused(file).startswith(f"what came has the SHA-256 {SHA256}, genome.fasta_sha256=000")
    assert names(file) == [], "a wrong file is not gone on with"


@pytest.mark.parametrize("page", [PAGE, b"<HTML>" + b" " * 100, b"<!doctype HTML>"])
@pytest.mark.parametrize("options", [{}, {"size": len(CONTENT)}, {"sha256": SHA256}])
def test_web_page_instead_of_the_file(server: Server, source, page: bytes, options: dict) -> None:
    server.content = page
    file = source(**options)
    assert refused(file) == "the server sends a web page instead of the file (a login or landing page?)"
    assert names(file) == []


def test_empty_file(server: Server, source: Callable[..., SourceFile]) -> None:
    server.content = b""
    assert refused(source()) == "the file on the server is empty; what came was deleted"


def test_end_that_cannot_be_told_from_a_lost_connection(server: Server, source: Callable[..., SourceFile]) -> None:
    server.faults = [status(200, CONTENT[:-100])]
    assert refused(source()).endswith("give genome.fasta_bytes or genome.fasta_sha256")
    for options in ({"size": len(CONTENT)}, {"sha256": SHA256}):
        server.faults = [status(200, CONTENT[:-100])]
        assert refused(source(**options)).endswith("what came was deleted")
        server.faults = [status(200, CONTENT)]
        file = source(**options)
        get(file)
        assert is_right(file)
        shutil.rmtree(file.path.parent)


def test_full_disk_is_seen_beforehand(server: Server, source: Callable[..., SourceFile], monkeypatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000))
    with pytest.raises(InputError, match=r"data: \d+ more bytes are needed and 1000 are free; make room") as caught:
        get(source())
    assert "\n" not in str(caught.value) and not source().path.exists()


def test_disk_that_fills_up(server: Server, source: Callable[..., SourceFile], monkeypatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.Progress, "advance", full)
    with pytest.raises(InputError, match=r"data: No space left on device; make room, what has come is kept$"):
        get(source())
    assert not source().path.exists()
    monkeypatch.undo()
    get(source())
    assert is_right(source())


def test_two_downloads_of_one_genome(source: Callable[..., SourceFile]) -> None:
    with run_lock(source().path.parent), pytest.raises(InputError, match="another process works on"):
        get(source())


# ---------------------------------------------------------------- files that are there


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, rf"^/.*/x\.fa has {len(CONTENT)} bytes, not 1: delete /.* or correct genome\.fasta_bytes$"),
        (
            {"sha256": "0" * 64},
            rf"^/.*/x\.fa has the SHA-256 {SHA256}, not 0+: delete .* or correct genome\.fasta_sha256$",
        ),
    ],
)
def test_file_that_is_not_the_right_one(source, options: dict, message: str) -> None:
    get(source())
    with pytest.raises(InputError, match=message):
        check(source(**options))
    with pytest.raises(
        InputError,
        match=message.replace("delete", "copy it again").replace(" /.* or", ", or").replace(" .* or", ", or"),
    ):
        check(SourceFile("genome.fasta", source().path, **options))


def test_file_from_another_url(source: Callable[..., SourceFile]) -> None:
    get(source())
    other = SourceFile("genome.fasta", source().path, "https://other.org/x.fa")
    with pytest.raises(
        InputError, match=r"was downloaded from http://127.*, and genome\.fasta is now https://other\.org"
    ):
        check(other)
    assert check(SourceFile("genome.fasta", other.path, other.url, SHA256))["sha256"] == SHA256


def test_file_that_was_changed(source: Callable[..., SourceFile]) -> None:
    get(source())
    source().path.write_bytes(b">a\nACGT\n")
    with pytest.raises(
        InputError, match=r"x\.fa was changed after its download: delete .* or set genome\.fasta_sha256"
    ):
        check(source())


@pytest.mark.parametrize("record", [None, "{", "[1]", '{"sequences": 3}'])
def test_file_that_was_put_there(source: Callable[..., SourceFile], record: str | None) -> None:
    file = source()
    file.path.parent.mkdir()
    file.path.write_bytes(CONTENT)
    if record:
        (file.path.parent / "x.fa.json").write_text(record)
    assert check(file)["sha256"] == SHA256
