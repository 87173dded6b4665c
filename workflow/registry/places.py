"""Where runs lie: on their own in the folder of runs, or as the members of a study."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

#: What makes a folder a study.
STUDY = "study.json"
#: Folders of a study's runs, and what a run in them is to the study.
_MEMBERS = {"trials": "trial", "repeats": "repeat"}
_FINAL = "final"


@dataclass(frozen=True)
class Membership:
    """What a run is to a study.

    Attributes
    ----------
    study : str
        Name of the study.
    role : str
        `trial`, `repeat` or `final`.
    """

    study: str
    role: str


def membership(run: Path) -> Membership | None:
    """The study that a run belongs to; None for a run of its own."""
    above = run.absolute().parent
    if run.name == _FINAL and (above / STUDY).exists():
        return Membership(above.name, _FINAL)
    if (role := _MEMBERS.get(above.name)) and (above.parent / STUDY).exists():
        return Membership(above.parent.name, role)
    return None


def member_folders(study: Path) -> list[Path]:
    """The run folders of a study: trials, repeats, and the final run, in this order."""
    folders = [folder for name in _MEMBERS for folder in subfolders(study / name)]
    final = study / _FINAL
    return [*folders, final] if final.is_dir() else folders


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted by name, without those that are hidden; none where it does not exist."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    return [folder / name for name in names]
