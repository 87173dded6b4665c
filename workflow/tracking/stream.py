"""The metric stream: what a training tells while it runs, one JSON object a line.

Whoever follows a training (a sweep that prunes, a registry, a person with `tail -f`) reads this one file,
whichever backend writes it. After a resume a step may come again: the later line counts.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workflow.errors import InputError
from workflow.provenance import now

#: Name of the stream in a run's `train` folder.
STREAM = "stream.jsonl"


@dataclass(frozen=True)
class StreamRecord:
    """One line of the stream.

    Attributes
    ----------
    step : int
        Optimizer steps done.
    metrics : dict of float
        By name: `train_loss`, `val_loss`, `val_loss_nonrepeat` (nats per base), `grad_norm`, `learning_rate`, …;
        may hold NaN and infinities.
    time : str
        UTC, ISO 8601.
    """

    step: int
    metrics: dict[str, float]
    time: str


class MetricStream:
    """Appends to the stream of one training.

    Parameters
    ----------
    path : Path
        The file; made with its first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line with one write, so that a reader never sees two lines mixed.

        A part of a line that a killed process left is ended first; `read_stream` passes it over.
        """
        record = {"time": now(), "step": int(step), "metrics": {name: _told(value) for name, value in metrics.items()}}
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(file).st_size
            is_torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            os.write(file, b"\n" + line if is_torn else line)
        finally:
            os.close(file)


def read_stream(path: Path, offset: int = 0) -> tuple[list[StreamRecord], int]:
    """The complete lines from byte `offset` on, and the offset to go on from.

    A line that is still being written is left for the next call. One that a killed process left half written
    is passed over.

    Parameters
    ----------
    path : Path
        The file; where it does not exist there are no lines.
    offset : int
        0, or what an earlier call returned.

    Raises
    ------
    InputError
        A complete line is no record of a stream.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return [], offset
    complete = content[: content.rfind(b"\n") + 1]
    records, place = [], offset
    for line in complete.split(b"\n")[:-1]:
        record = _parse(line)
        if record is not None:
            records.append(record)
        elif line and not line.startswith(b"{"):  # else half a line, which the process that went on has ended
            raise InputError(f"{path}, byte {place}: not a line of a metric stream: move the file away")
        place += len(line) + 1
    return records, place


def _told(value: float) -> float | str:
    """JSON has no NaN and no infinities."""
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _parse(line: bytes) -> StreamRecord | None:
    try:
        value = json.loads(line)
        metrics = {str(name): float(number) for name, number in value["metrics"].items()}
        return StreamRecord(int(value["step"]), metrics, str(value["time"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
