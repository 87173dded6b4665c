"""What a program prints: kept byte for byte, and read line by line as it comes."""

from __future__ import annotations

import codecs
import os
import re
import selectors
import time
from collections import deque
from typing import IO, BinaryIO

from workflow.launch.diagnosis import tells_preemption

_CHUNK_BYTES = 1 << 16
#: Text without a line end is taken for a line when it gets longer than this.
_LONGEST_LINE = 1 << 16
#: Of a longer line, as one that shows a sequence or a tensor, the beginning tells what it is about.
_LONGEST_KEPT = 2000
#: Several ranks print their tracebacks one after another: the first is what matters.
_LINES_KEPT = 2000
_LINE_END = re.compile(r"(\r\n|\r|\n)")


class Output:
    """The lines of a pipe, on their way into a log.

    Parameters
    ----------
    pipe : binary file
        What the program's output comes from.
    log : binary file
        Gets all of it at once.

    Attributes
    ----------
    lines : deque of str
        The last lines, long ones cut. Of a progress bar, which returns to the start of its line, only the latest state.
    last_heard : float
        When something came last, by the monotonic clock.
    ended : bool
        Nobody holds the other end any more.
    preempted : bool
        Whether a line told that the program was asked to stop and saves its state.
    """

    def __init__(self, pipe: IO[bytes], log: BinaryIO) -> None:
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self.last_heard = time.monotonic()
        self.ended = self.preempted = False
        self._pipe, self._log = pipe, log
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""
        self._last_is_bar = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(pipe, selectors.EVENT_READ)

    def close(self) -> None:
        """Close the pipe."""
        self._selector.close()
        self._pipe.close()

    def read(self, timeout: float) -> list[str]:
        """Lines that have come, waiting `timeout` seconds at most; blank ones are left out."""
        if self.ended:
            time.sleep(timeout)
            return []
        if not self._selector.select(timeout):
            return []
        chunk = os.read(self._pipe.fileno(), _CHUNK_BYTES)
        self.ended = not chunk
        if chunk:
            self.last_heard = time.monotonic()
            self._log.write(chunk)
            self._log.flush()
        self._pending += self._decoder.decode(chunk, final=self.ended)
        return self._split()

    def rest(self, quiet: float, limit: float) -> list[str]:
        """Lines until the end, or until nothing comes for `quiet` seconds, in `limit` seconds at most."""
        until = time.monotonic() + limit
        lines = []
        while not self.ended and (now := time.monotonic()) < until:
            lines += self.read(quiet)
            if self.last_heard < now:
                break
        return lines + self._split(all_of_it=True)

    def _split(self, all_of_it: bool = False) -> list[str]:
        """Take the complete lines off the pending text."""
        everything = all_of_it or self.ended
        # A "\r" at the very end may be half of a "\r\n".
        unsure = "\r" if self._pending.endswith("\r") and not everything else ""
        *parts, last = _LINE_END.split(self._pending.removesuffix(unsure))
        complete = list(zip(parts[::2], parts[1::2], strict=True))
        self._pending = last + unsure
        if everything or len(self._pending) > _LONGEST_LINE:
            complete.append((self._pending, "\n"))
            self._pending = ""
        return [line for line, end in complete if self._keep(line, is_bar=end == "\r")]

    def _keep(self, line: str, is_bar: bool) -> bool:
        """Remember a line, in place of the bar's earlier state; whether there is anything on it."""
        if not line.strip():
            return False
        if self._last_is_bar:
            self.lines.pop()
        self.lines.append(line[:_LONGEST_KEPT])
        self._last_is_bar = is_bar
        self.preempted |= tells_preemption(line)
        return True
