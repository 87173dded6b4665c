"""A run by its name or its folder."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from workflow.errors import InputError
from workflow.registry.places import STUDY, subfolders
from workflow.registry.records import is_run


def find_run(name: str, folder: Path) -> Path:
    """The folder of a run.

    Parameters
    ----------
    name : str
        Its name in the folder of runs, such as `rice-tiny-lora` or `search/trials/0007`; or the path of its folder.
    folder : Path
        The folder of runs.

    Raises
    ------
    InputError
        There is none such.
    """
    places = (folder / name, Path(name)) if Path(name).is_dir() else (folder / name,)
    for place in places:
        if place.is_dir() and is_run(place):
            return place
        if (place / STUDY).exists():
            raise InputError(f"{place} is a study: its runs are {place}/trials/NUMBER, {place}/final")
    near = get_close_matches(Path(name).name, [place.name for place in subfolders(folder)], n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "python -m workflow.runs list shows those that there are"
    raise InputError(f"{places[-1]} is not the folder of a run; {hint}")
