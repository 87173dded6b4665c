"""Asking a web server for a file or for the rest of one: what may be asked, and what the answer means."""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from workflow import __version__
from workflow.provenance import mask_secrets

_CHUNK_BYTES = 1 << 20
#: Passed by soon, or so the server hopes (RFC 9110, RFC 6585).
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
_MENDS = {
    401: "wants a login: write https://USER:PASSWORD@… where it takes one in the URL",
    403: "refuses access: its terms may have to be accepted in a browser first",
    404: "has no such file: correct the URL",
    410: "no longer has this file: correct the URL",
}
_SECRET_PARAMETER = re.compile(
    r"([?&;][^?&;=\s]*(?:token|sig|signature|secret|passwd|password|pwd|key|credential|auth)=)[^&;#\s'\"]+",
    re.IGNORECASE,
)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class RefusalError(Exception):
    """The server cannot give the file: to ask again would not help."""


class TransferError(Exception):
    """The file did not come, or not all of it: to ask again may help.

    Attributes
    ----------
    wait : float
        Seconds that the server asks to wait.
    stale : bool
        Whether what has come so far is of no use.
    """

    def __init__(self, reason: str, wait: float = 0.0, stale: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.stale = wait, stale


@dataclass(frozen=True)
class Answer:
    """What a server answers when it gives the file.

    Attributes
    ----------
    response : HTTPResponse
        To be read with `read_chunk`.
    offset : int
        Where in the file its first byte belongs.
    total : int, optional
        Bytes of the whole file, where the server says so.
    validator : str, optional
        What tells this version of the file from another: its strong ETag, else its time.
    ends_itself : bool
        Whether the end of the answer can be told from a lost connection.
    """

    response: HTTPResponse
    offset: int
    total: int | None
    validator: str | None
    ends_itself: bool


def is_url(path: str) -> bool:
    """Whether a path of the configuration is a URL, of whatever kind."""
    return "://" in path


def is_allowed(url: str) -> bool:
    """Whether a URL may be asked for: https, or http from this machine itself (what is tried out there)."""
    if not url.isascii() or re.search(r"[\s\x00-\x1f]", url):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port is None or parts.port > 0 else None
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host or "")))


def file_name(url: str) -> str | None:
    """The last part of a URL's path; None when it cannot be the name of a file."""
    name = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    return name if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", name) else None


def hide_secrets(text: str) -> str:
    """A text in which the logins and the secret parameters of URLs are replaced by asterisks."""
    return _SECRET_PARAMETER.sub(r"\1***", str(mask_secrets(text)))


@contextmanager
def ask(url: str, offset: int, validator: str | None, timeout: float) -> Iterator[Answer]:
    """Ask for a file from byte `offset` on. Proxies are those of the environment.

    Parameters
    ----------
    url : str
        One that `is_allowed`. A login in it is sent to its host only, not to where that redirects.
    offset : int
        Bytes that are there already; 0 asks for all.
    validator : str, optional
        Of the version they are from: of another one the server is to send all (RFC 9110, If-Range).
    timeout : float
        Seconds without a byte after which the connection counts as lost.

    Raises
    ------
    RefusalError, TransferError
        The server gives no file.
    """
    request = _request(url)
    if offset:
        request.add_header("Range", f"bytes={offset}-")
        request.add_header("If-Range", validator or "")
    with _faults_named(urlsplit(url).hostname or ""):
        response = build_opener(_SafeRedirects).open(request, timeout=timeout)
    with response:
        yield _read_answer(response)


def read_chunk(answer: Answer, most: int | None) -> bytes:
    """The next bytes of an answer, `most` at most; none at its end. Raises TransferError when the connection fails."""
    size = _CHUNK_BYTES if most is None else min(_CHUNK_BYTES, most)
    try:
        return answer.response.read1(size)
    except (OSError, HTTPException) as error:
        raise TransferError(f"the connection was lost ({_in_words(error)})") from None


class _SafeRedirects(HTTPRedirectHandler):
    """Follows no redirect out of https."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        if not is_allowed(newurl):
            raise RefusalError(f"redirects to {hide_secrets(newurl)}, which is not https: give an https URL")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _request(url: str) -> Request:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    # `identity`: the bytes are to be those of the file, so that their number and their offset mean something.
    headers = {"User-Agent": f"evo2-adaptation/{__version__}", "Accept-Encoding": "identity"}
    request = Request(urlunsplit(parts._replace(netloc=host)), headers=headers)  # noqa: S310 - see is_allowed
    if login:
        encoded = b64encode(unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request


@contextmanager
def _faults_named(host: str) -> Iterator[None]:
    """Tells what cannot be mended by asking again from what can."""
    try:
        yield
    except HTTPError as error:
        with error:
            raise _of_status(error.code, error.headers) from None
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise RefusalError(
                f"the certificate of {host} is not trusted ({reason.verify_message}): check this machine's clock, "
                "or name your institution's certificates in the environment variable SSL_CERT_FILE"
            ) from None
        if isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN:
            raise RefusalError(
                f"no host is called {host}: correct the URL, or use a machine that reaches the network"
            ) from None
        raise TransferError(f"{host} cannot be reached ({_in_words(reason)})") from None


def _of_status(status: int, headers: Any) -> RefusalError | TransferError:
    if status == 416:
        return TransferError("the server has nothing where the part that is here ends", stale=True)
    if status in _PASSING_STATUS:
        return TransferError(f"the server answers {status}", wait=_seconds(headers.get("Retry-After")))
    return RefusalError(f"the server {_MENDS.get(status, 'gives no file: correct the URL')} (status {status})")


def _read_answer(response: HTTPResponse) -> Answer:
    headers = response.headers
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified")
    if response.status == 200:
        return Answer(response, 0, response.length, validator, response.length is not None or response.chunked)
    place = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if response.status == 206 and place:
        return Answer(response, int(place[1]), int(place[2]), validator, True)
    raise TransferError(f"the server answers {response.status} without saying which part this is", stale=True)


def _seconds(retry_after: str | None) -> float:
    """What a Retry-After header asks to wait: a number of seconds, or a date."""
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _in_words(error: BaseException | str) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
