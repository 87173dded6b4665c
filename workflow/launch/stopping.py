"""The wish of a person or a scheduler that this process ends: noted, and followed where it does no harm."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

_POLL_SECONDS = 0.2


class StopRequest:
    """Holds SIGINT, SIGTERM and SIGHUP back within a block; afterwards they have their effect, whatever happened there.

    Python lets only the main thread have them. One that is ignored, as SIGHUP under nohup, stays so.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(signum) not in (signal.SIG_IGN, None):
                    self._handlers[signum] = signal.signal(signum, self._receive)
        return self

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.received.append(signum)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self.obey()

    def obey(self) -> None:
        """End this process as its first signal asks, where one came.

        Raises
        ------
        KeyboardInterrupt, SystemExit
        """
        if signal.SIGINT in self.received:
            raise KeyboardInterrupt
        if self.received:
            raise SystemExit(128 + self.received[0])

    @property
    def is_there(self) -> bool:
        """Whether this process was asked to end."""
        return bool(self.received)

    @property
    def is_urgent(self) -> bool:
        """Whether it was asked twice."""
        return len(self.received) > 1

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than until the process is asked to end."""
        until = time.monotonic() + seconds
        while not self.is_there and (left := until - time.monotonic()) > 0:
            time.sleep(min(_POLL_SECONDS, left))
