"""Passes a metric stream on to wandb or mlflow: `python -m workflow.tracking.relay`, started by `Relay`.

It is a process of its own, because these libraries wait where a network does not answer, hold up the end of the
process that they are in, and change its settings. What it could not pass on, the next start does.

Its standard input is two lines of JSON: the run (`TrackedRun`), and at the end of the training an `End`. It answers
with a line when the tracker is open.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from workflow.tracking.relaying import SECONDS_TO_END, End, warn
from workflow.tracking.stream import read_stream
from workflow.tracking.tracked import Memory, TrackedRun

_SECONDS_BETWEEN_LOOKS = 2.0


class Sink(Protocol):
    """A tracker's run that is open.

    Attributes
    ----------
    identifier : str
        What the tracker calls it.
    """

    identifier: str

    def log(self, step: int, metrics: Mapping[str, float], line: int) -> None:
        """Take the metrics of one step, which are line `line` of the stream."""

    def summarise(self, values: Mapping[str, float | str]) -> None:
        """Take what is known of the whole run."""

    def close(self, succeeded: bool) -> None:
        """Finish; `succeeded` tells whether the training reached its end."""


def main() -> int:
    """Relay until the training has ended. Returns the exit code: 1, and one line, when the tracker has failed."""
    # It ends when its input does: a training that is told to stop still has something to say.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)  # what the libraries print is no answer
    orders = os.fdopen(0, "rb", buffering=0)
    run = TrackedRun.from_plain(json.loads(orders.readline()))
    try:
        sink = open_sink(run)
        os.write(answers, b"open\n")
        relay(run, sink, orders)
    # Whatever a library of others raises, it is no more than a warning to the training.
    except Exception as error:
        warn(run.place.name, f"{type(error).__name__}: {' '.join(str(error).split())}")
        return 1
    return 0


def open_sink(run: TrackedRun) -> Sink:
    """The run of the tracker that is asked for, which is gone on with where it remembers one."""
    if run.place.name == "wandb":
        from workflow.tracking.wandb_sink import WandbSink

        return WandbSink(run, run.recall().id)
    from workflow.tracking.mlflow_sink import MlflowSink

    return MlflowSink(run, run.recall().id)


def relay(run: TrackedRun, sink: Sink, orders: RawIOBase) -> None:
    """Pass on the stream as it grows, until the end is told, or the one who would tell it is gone."""
    got = replace(run.recall(), id=sink.identifier)
    run.remember(got)
    end = None
    while end is None:
        ready, _, _ = select.select([orders], [], [], _SECONDS_BETWEEN_LOOKS)
        if ready:
            told = orders.readline()
            if not told:
                # Nobody is left to end this process when the tracker does not.
                signal.alarm(SECONDS_TO_END)
            end = End(**json.loads(told)) if told else End()
        got = _pass_on(run, sink, got)
    sink.summarise(end.summary)
    sink.close(end.succeeded)


def _pass_on(run: TrackedRun, sink: Sink, got: Memory) -> Memory:
    records, offset = read_stream(Path(run.stream), got.offset)
    if not records:
        return got
    for line, record in enumerate(records, got.lines):
        sink.log(record.step, record.metrics, line)
    now = Memory(got.id, offset, got.lines + len(records))
    run.remember(now)
    return now


if __name__ == "__main__":
    sys.exit(main())
