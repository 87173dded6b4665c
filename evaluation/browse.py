"""Show the tracks of a run in a web browser: `python -m evaluation.browse runs/NAME`."""

from __future__ import annotations

import argparse
import sys
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from evaluation.browser.folder import FOLDER, PAGE
from evaluation.browser.server import new_server
from workflow.artifacts import InputError

_PAGE = f"evaluate/{FOLDER}/{PAGE}"


def main(arguments: list[str] | None = None) -> int:
    """Serve a run folder to the web browsers of this computer until Ctrl-C. Returns the exit code.

    Needed where the page is too large to hold its data; others open by a double click.
    """
    parser = argparse.ArgumentParser(prog="python -m evaluation.browse", description=main.__doc__)
    parser.add_argument("run", type=Path, help="run folder, runs/NAME")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free")
    given = parser.parse_args(arguments)
    try:
        if not (given.run / _PAGE).exists():
            raise InputError(
                f"{given.run / _PAGE} does not exist: run stage=evaluate with evaluation.track_bin of at least 1"
            )
        server = _server(given.run, given.port)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    with server:
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}/{quote(_PAGE)}\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _server(run: Path, port: int) -> ThreadingHTTPServer:
    try:
        return new_server(run, port)
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} cannot be used ({error}): give another with --port, or 0 for any") from None


if __name__ == "__main__":
    sys.exit(main())
