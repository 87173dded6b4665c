"""The process that passes a metric stream on, as the one who starts it sees it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field

from workflow.console import complain
from workflow.genome.web import hide_secrets
from workflow.tracking.tracked import TrackedRun

#: How long a tracker may take to open, and at the end of a training to take what is still to be sent.
_SECONDS_TO_OPEN, SECONDS_TO_END = 20.0, 30


@dataclass(frozen=True)
class End:
    """How a training ended.

    Attributes
    ----------
    succeeded : bool
    summary : dict
        What is known of the whole run, by name.
    """

    succeeded: bool = False
    summary: dict[str, float | str] = field(default_factory=dict)


class Relay:
    """The process that passes the stream of a run on to a tracker; it can neither stop nor hold up the run.

    Parameters
    ----------
    run : TrackedRun
    """

    def __init__(self, run: TrackedRun) -> None:
        self._name, self._opens_until = run.place.name, time.monotonic() + _SECONDS_TO_OPEN
        self._remedy = "what it did not take is passed on when the training is started again"
        if self._name == "wandb":
            self._remedy += f"; what it took and did not send, `wandb sync` sends from {run.offline_folder}"
        # With a service of its own, which dies with it, where this process uses wandb too.
        environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
        # In a session of its own, so that Ctrl-C does not end it before the run.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workflow.tracking.relay"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._order(asdict(run))

    def close(self, end: End) -> None:
        """Tell the end, and wait for what is still to be sent, for half a minute at most."""
        self._order(asdict(end))
        try:
            if self._process.wait(self._patience()) < 0:
                warn(self._name, "its process was killed")
        except subprocess.TimeoutExpired:
            warn(self._name, f"it does not answer; {self._remedy}")
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _patience(self) -> float:
        """Seconds to wait for the process: fewer where it has not come as far as to open the tracker."""
        assert self._process.stdout is not None
        to_open = max(0.0, self._opens_until - time.monotonic())
        ready, _, _ = select.select([self._process.stdout], [], [], to_open)
        return SECONDS_TO_END if ready else 0.0

    def _order(self, value: dict[str, object]) -> None:
        """Write one line, which is less than a pipe holds; a process that is gone has told why."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass


def warn(name: str, what: str) -> None:
    """Tell, in one line, that a tracker is given up."""
    complain(f"  WARNING tracking by {name} is given up, the run goes on: {hide_secrets(what)}")
