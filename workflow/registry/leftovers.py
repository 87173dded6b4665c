"""What lies in a run folder and is part of no published stage, or is no longer needed by one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workflow.registry.places import subfolders

#: What is found, by what it is called on the command line.
KINDS = {
    "superseded": "a stage that was begun anew with other settings",
    "refused": "a training that a gate stopped",
    "incomplete": "a checkpoint that was not written to its end",
    "killed": "left by a process that was killed",
    "raw": "raw output of a tool, which the stage has converted",
    "weights": "weights of a trial that is not among the best",
    "failed": "a trial that failed",
}
_SUPERSEDED = re.compile(r"[a-z]+\.superseded-\d+")
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.tmp-(?P<process>\d+)(?P<old>-old)?")
_RAW = "raw"
_INDEX = ".index-"


@dataclass(frozen=True)
class Leftover:
    """Something that may go.

    Attributes
    ----------
    path : Path
    kind : str
        A key of `KINDS`.
    """

    path: Path
    kind: str


def find_leftovers(run: Path) -> list[Leftover]:
    """What may go from a run whatever its worth, in the order of its paths; links are not followed."""
    found = [Leftover(path, "superseded") for path in subfolders(run) if _SUPERSEDED.fullmatch(path.name)]
    stages = [path for path in subfolders(run) if "." not in path.name and not path.is_symlink()]
    for stage in stages:
        found += [Leftover(path, "refused") for path in stage.glob("refused-*")]
        found += [Leftover(path, "incomplete") for path in stage.glob("results/incomplete-*")]
        found += [Leftover(path, "killed") for path in stage.glob(f"{_INDEX}*")]
        found += [Leftover(path, "raw") for path in (stage / _RAW,) if path.is_dir()]
    found += [Leftover(path, "killed") for folder in (run, *stages) for path in killed_builds(folder)]
    return sorted(found, key=lambda item: item.path)


def killed_builds(folder: Path) -> Iterator[Path]:
    """What processes that are gone were building in a folder, or were about to replace.

    A stage whose replacement was killed half-way is the only copy that there is; the next run puts it back.
    """
    for path in folder.iterdir():
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or _is_alive(int(match["process"])):
            continue
        if match["old"] is None or (folder / match["name"]).exists():
            yield path


def bytes_of(path: Path) -> int:
    """Bytes of the files in a folder, or of a file; what is linked to is not counted."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    total = 0
    for folder, _, files in os.walk(path):
        total += sum(os.lstat(os.path.join(folder, file)).st_size for file in files)  # noqa: PTH118
    return total


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to somebody else
        return True
    return True
