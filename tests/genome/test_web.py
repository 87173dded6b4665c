import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.error import URLError

import pytest

from tests.server import Server, serving, status
from workflow.genome import web
from workflow.genome.web import (
    RefusalError,
    TransferError,
    ask,
    file_name,
    hide_secrets,
    is_allowed,
    is_url,
    read_chunk,
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(b"0123456789") as server:
        yield server


def read(url: str, offset: int = 0, validator: str | None = None) -> bytes:
    with ask(url, offset, validator, 5) as answer:
        return b"".join(iter(lambda: read_chunk(answer, None), b""))


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://ftp.example.org/a/b.fa.gz", True),
        ("https://user:secret@example.org:8443/b.fa", True),
        ("http://127.0.0.1:8000/b.fa", True),
        ("http://localhost/b.fa", True),
        ("http://[::1]/b.fa", True),
        ("http://example.org/b.fa", False),
        ("http://127.0.0.1.example.org/b.fa", False),
        ("http://localhost@example.org/b.fa", False),
        ("ftp://example.org/b.fa", False),
        ("file:///etc/passwd", False),
        ("s3://bucket/b.fa", False),
        ("https:///b.fa", False),
        ("https://example.org:port/b.fa", False),
        ("https://example.org/a b.fa", False),
        ("https://example.org/é.fa", False),
        ("https://[::1/b.fa", False),
    ],
)
def test_what_may_be_asked_for(url: str, allowed: bool) -> None:
    assert is_url(url)
    assert is_allowed(url) == allowed


def test_paths_are_no_urls() -> None:
    assert not any(is_url(path) for path in ("data/x.fa", "/data/x.fa", "C:/x.fa", "x"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/b.fa.gz", "b.fa.gz"),
        ("https://h/b.fa?download=1&x=/c.fa#top", "b.fa"),
        ("https://h/b%2B.fa", "b+.fa"),
        ("https://h/a/", None),
        ("https://h", None),
        ("https://h/..", None),
        ("https://h/..%2F..%2Fetc", None),
        ("https://h/.hidden", None),
        ("https://h/a%20b.fa", None),
    ],
)
def test_name_of_the_file(url: str, name: str | None) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ana:hunter2@h/x.fa", "https://***@h/x.fa"),
        ("https://h/x.fa?token=hunter2", "https://h/x.fa?token=***"),
        ("https://h/x.fa?id=7&access_token=hunter2&format=fasta", "https://h/x.fa?id=7&access_token=***&format=fasta"),
        (
            "https://h/x.fa?X-Amz-Signature=hunter2&X-Amz-Credential=hunter2",
            "https://h/x.fa?X-Amz-Signature=***&X-Amz-Credential=***",
        ),
        (
            "python -m x 'genome.fasta=https://h/x?key=hunter2' seed=1",
            "python -m x 'genome.fasta=https://h/x?key=***' seed=1",
        ),
        ("https://h/x.fa?keyword=a&design=b", "https://h/x.fa?keyword=a&design=b"),
        ("data/x.fa", "data/x.fa"),
    ],
)
def test_secrets_are_hidden(url: str, shown: str) -> None:
    assert hide_secrets(url) == shown


def test_a_file_and_the_rest_of_one(server: Server) -> None:
    assert read(server.url()) == b"0123456789"
    with ask(server.url(), 4, '"v1"', 5) as answer:
        assert (answer.offset, answer.total, answer.validator, answer.ends_itself) == (4, 10, '"v1"', True)
        assert read_chunk(answer, 2) == b"45"
    assert read(server.url(), 4, '"other"') == b"0123456789"
    assert server.asked[0]["Accept-Encoding"] == "identity"


def test_validator_is_a_strong_etag_or_a_time(server: Server) -> None:
    for headers, validator in (
        ({"ETag": 'W/"v1"', "Last-Modified": "Sat"}, "Sat"),
        ({"ETag": 'W/"v1"'}, None),
        ({"ETag": '"v1"', "Last-Modified": "Sat"}, '"v1"'),
    ):
        server.faults = [status(200, b"x", **headers)]
        with ask(server.url(), 0, None, 5) as answer:
            assert (answer.validator, answer.total, answer.ends_itself) == (validator, None, False)


def test_login_is_sent_to_its_host_only(server: Server) -> None:
    server.faults = [status(302, Location="/y.fa")]
    assert read(server.url().replace("//", "//ana:p%40ss@")) == b"0123456789"
    assert server.asked[0]["Authorization"] == "Basic YW5hOnBAc3M="
    assert "Authorization" not in server.asked[1] and server.asked[1]["path"] == "/y.fa"
    assert server.asked[0]["Host"] == f"127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("place", ["http://example.org/x.fa?token=hunter2", "ftp://example.org/x.fa"])
def test_no_redirect_leaves_https(server: Server, place: str) -> None:
    server.faults = [status(302, Location=place)]
    with pytest.raises(RefusalError) as caught:
        read(server.url())
    assert str(caught.value) == f"redirects to {hide_secrets(place)}, which is not https: give an https URL"
    assert "hunter2" not in str(caught.value)


def test_redirects_in_a_circle(server: Server) -> None:
    server.faults = [status(302, Location="/x.fa")] * 20
    with pytest.raises(RefusalError, match=r"gives no file: correct the URL \(status 302\)$"):
        read(server.url())


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (401, "wants a login: write https://USER:PASSWORD@"),
        (403, "refuses access: its terms may have to be accepted in a browser"),
        (404, "has no such file: correct the URL"),
        (410, "no longer has this file"),
        (451, "gives no file"),
    ],
)
def test_final_answers(server: Server, code: int, message: str) -> None:
    server.faults = [status(code)]
    with pytest.raises(RefusalError, match=f"^the server {message}.*status {code}"):
        read(server.url())


def test_passing_answers(server: Server) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    for retry_after, wait in ((None, 0), ("7", 7), (soon, 100), ("soon", 0), ("Sat, 01 Jan 2000 00:00:00 GMT", 0)):
        server.faults = [status(503, **{"Retry-After": retry_after})]
        with pytest.raises(TransferError, match=r"^the server answers 503$") as caught:
            read(server.url())
        assert caught.value.wait == pytest.approx(wait, abs=3) and not caught.value.stale


def test_useless_answers(server: Server) -> None:
    for fault in (status(416), status(206, b"x"), status(206, b"x", **{"Content-Range": "bytes 1-1/*"}), status(204)):
        server.faults = [fault]
        with pytest.raises(TransferError) as caught:
            read(server.url(), 3, '"v1"')
        assert caught.value.stale


def test_lost_connections(server: Server) -> None:
    for fault in (
        lambda handler: handler.connection.close(),
        lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"),
        lambda handler: handler.answer(200, b"5\r\nab", **{"Transfer-Encoding": "chunked"}),
    ):
        server.faults = [fault]
        with pytest.raises(TransferError):
            read(server.url())
    url = server.url()
    server.server_close()
    with pytest.raises(TransferError, match=r"127\.0\.0\.1 cannot be reached \(Connection re"):
        read(url)


def test_silence_is_a_fault_that_may_pass(server: Server) -> None:
    server.faults = [lambda handler: handler.answer(200, b"01", **{"Content-Length": 10}) or handler.rfile.read(1)]
    with pytest.raises(TransferError, match="no answer in time"), ask(server.url(), 0, None, 0.2) as answer:
        while read_chunk(answer, None):
            pass


@pytest.mark.parametrize(
    ("reason", "error", "message"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            RefusalError,
            "^no host is called h.org: corr",
        ),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), TransferError, "^h.org cannot be reached .*Temporary"),
        (
            ssl.SSLCertVerificationError(1, "no"),
            RefusalError,
            "^the certificate of h.org is not trusted .*SSL_CERT_FILE",
        ),
        (ssl.SSLEOFError(8, "EOF"), TransferError, "^h.org cannot be reached .*EOF"),
        (TimeoutError(), TransferError, "^h.org cannot be reached .no answer in time"),
    ],
)
def test_faults_of_the_network(monkeypatch, reason: OSError, error: type[Exception], message: str) -> None:
    class Opener:
        def open(self, *arguments: object, **options: object) -> None:
            if isinstance(reason, ssl.SSLCertVerificationError):
                reason.verify_message = "self-signed certificate"
            raise URLError(reason)

    monkeypatch.setattr(web, "build_opener", lambda *handlers: Opener())
    with pytest.raises(error, match=message):
        read("https://h.org/x.fa")
