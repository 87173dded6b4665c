"""Reads the files of wandb's offline runs: records of its own protocol in the log format of LevelDB."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_SECONDS_TO_WRITE = 20.0
_BLOCK, _FILE_HEADER, _HEADER = 32768, 7, 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """What one offline run holds."""

    name: str = ""
    identifier: str = ""
    project: str = ""
    group: str = ""
    host: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def read_offline_runs(folder: Path) -> list[OfflineRun]:
    """The offline runs below a folder, in the order in which they were begun.

    wandb's service, which is a process of its own, writes the end of a run a moment after it was told.
    """
    paths = sorted(folder.glob("**/offline-run-*/run-*.wandb"), key=lambda path: path.parent.name)
    until = time.monotonic() + _SECONDS_TO_WRITE
    while any((run := _read(path)).exit_code is None for path in paths):
        assert time.monotonic() < until, f"{run} has no end"
        time.sleep(0.05)
    return [_read(path) for path in paths]


def _read(path: Path) -> OfflineRun:
    run = OfflineRun()
    for content in _contents(path.read_bytes()):
        record = Record.FromString(content)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            told = record.run
            run.name, run.identifier, run.project = told.display_name, told.run_id, told.project
            run.group, run.host, run.tags = told.run_group, told.host, list(told.tags)
            run.config |= {item.key: json.loads(item.value_json) for item in told.config.update}
        elif kind == "history":
            run.history.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "summary":
            run.summary |= {_key(item): json.loads(item.value_json) for item in record.summary.update}
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _key(item: Any) -> str:
    return item.key or ".".join(item.nested_key)


def _contents(data: bytes) -> Iterator[bytes]:
    assert data.startswith(b":W&B") or not data
    place, parts = _FILE_HEADER, b""
    while place + _HEADER <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        if place + _HEADER + length > len(data):
            return  # not written to its end yet
        piece = data[place + _HEADER : place + _HEADER + length]
        place += _HEADER + length
        parts = piece if kind in (_WHOLE, _FIRST) else parts + piece
        if kind in (_WHOLE, _LAST):
            yield parts
