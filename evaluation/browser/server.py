"""A web server for one folder that answers requests for parts of files, as igv.js makes them.

The server of Python's library sends whole files: a genome of ten billion bases for one screen of it.
"""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PIECE_BYTES = 1 << 20


def new_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server for this computer alone; port 0 takes any that is free. Raises OSError when the port is taken."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder)))


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with a part of a file where one is asked for (RFC 9110, section 14), else with all of it."""
        path, asked = Path(self.translate_path(self.path)), self.headers.get("Range")
        if asked is None or not path.is_file():
            super().do_GET()
            return
        size = path.stat().st_size
        part = requested_part(asked, size)
        if part is None:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, last = part
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        try:
            self._send(path, first, last)
        except ConnectionError:
            # A browser that has seen enough hangs up.
            self.close_connection = True

    def _send(self, path: Path, first: int, last: int) -> None:
        with path.open("rb") as file:
            file.seek(first)
            left = last - first + 1
            while left and (piece := file.read(min(left, _PIECE_BYTES))):
                self.wfile.write(piece)
                left -= len(piece)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a screen makes hundreds of requests."""


def requested_part(asked: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a header such as `bytes=0-99`, `bytes=100-` or `bytes=-5`; None for what is not there."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.strip())
    if match is None or match[0] == "bytes=-":
        return None
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    else:
        first, last = max(size - int(match[2]), 0), size - 1
    return (first, last) if first <= last else None
