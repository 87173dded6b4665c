from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from evaluation import browse
from evaluation.browser.server import new_server, requested_part

CONTENT = bytes(range(256)) * 10


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server of a folder with one file, outside of which lies another."""
    (tmp_path / "outside.txt").write_text("secret")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "track.bw").write_bytes(CONTENT)
    with new_server(tmp_path / "run", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(port: int, path: str, part: str | None = None) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Range": part} if part else {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


@pytest.mark.parametrize(
    ("part", "expected", "said"),
    [
        ("bytes=0-99", CONTENT[:100], "bytes 0-99/2560"),
        ("bytes=2550-", CONTENT[2550:], "bytes 2550-2559/2560"),
        ("bytes=2550-9999", CONTENT[2550:], "bytes 2550-2559/2560"),
        ("bytes=-5", CONTENT[-5:], "bytes 2555-2559/2560"),
        ("bytes=7-7", CONTENT[7:8], "bytes 7-7/2560"),
    ],
    ids=["first", "rest", "beyond", "last", "one"],
)
def test_parts_of_files(port: int, part: str, expected: bytes, said: str) -> None:
    response, body = ask(port, "/track.bw", part)
    assert (response.status, body, response.getheader("Content-Range")) == (206, expected, said)


def test_whole_files_and_what_is_not_there(port: int) -> None:
    assert ask(port, "/track.bw")[1] == CONTENT
    assert ask(port, "/track.bw", "bytes=2560-")[0].status == 416
    assert ask(port, "/none.bw", "bytes=0-1")[0].status == 404
    assert ask(port, "/../outside.txt")[0].status == 404
    assert ask(port, "/../outside.txt", "bytes=0-1")[0].status == 404


@pytest.mark.parametrize("header", ["bytes=", "bytes=-", "bytes=5-3", "lines=1-2", "bytes=0-1,4-5", "bytes=-0"])
def test_requests_that_make_no_sense(header: str) -> None:
    assert requested_part(header, 100) is None


def test_a_run_without_a_browser_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert browse.main([str(tmp_path)]) == 2
    assert "browser.html does not exist: run stage=evaluate" in capsys.readouterr().err


def test_a_port_in_use_is_refused(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "evaluate" / "browser" / "browser.html"
    page.parent.mkdir(parents=True)
    page.write_text("")
    assert browse.main([str(tmp_path), "--port", str(port)]) == 2
    assert f"port {port} cannot be used" in capsys.readouterr().err
