"""A web server on this machine that serves one file, and faults by order."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Serves the server's content with ETag, Range and If-Range; the next fault of the list comes before."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers.items()) | {"path": self.path})
        if self.server.faults:
            self.server.faults.pop(0)(self)
        else:
            self.give()

    def log_message(self, *arguments: object) -> None:
        pass

    def place(self) -> int:
        """Where in the file to begin."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(asked[1]) if asked and self.headers.get("If-Range") in (None, self.server.etag) else 0

    def give(self, most: int | None = None, length: int | None = None, start: int | None = None) -> None:
        """Send the file from where it is asked for; only `most` bytes, and as if `length` were to come."""
        content, place = self.server.content, self.place() if start is None else start
        if place >= len(content) > 0:
            self.answer(416)
            return
        body = content[place:]
        headers = {"Content-Length": len(body) if length is None else length, "ETag": self.server.etag}
        if place:
            headers["Content-Range"] = f"bytes {place}-{len(content) - 1}/{len(content)}"
        self.answer(206 if place else 200, body[:most], **headers)

    def answer(self, status: int, body: bytes = b"", **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """`faults` are taken one a request; `asked` are the headers of the requests."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = content, '"v1"'
        self.faults: list[Fault] = []
        self.asked: list[dict[str, str]] = []

    def url(self, name: str = "x.fa") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


@contextmanager
def serving(content: bytes) -> Iterator[Server]:
    """A server that runs in a thread."""
    server = Server(content)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status(code: int, body: bytes = b"", **headers: object) -> Fault:
    """Answer with this status."""
    return lambda handler: handler.answer(code, body, **headers)


def drop_after(most: int) -> Fault:
    """Send so many bytes of what is asked for and hang up."""
    return lambda handler: handler.give(most)
