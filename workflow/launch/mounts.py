"""What of this machine a container has to see."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from workflow.errors import InputError

#: Where downloads are kept, below the home folder unless the variable is set: kept beyond the container.
_CACHES = {"HF_HOME": ".cache/huggingface", "BIONEMO_CACHE_DIR": ".cache/bionemo"}


def make_caches() -> dict[str, Path]:
    """The folders of downloads by their variables, made where they are missing.

    Raises
    ------
    InputError
        This user has no home, or it cannot be written.
    """
    caches = {}
    for variable, place in _CACHES.items():
        try:
            cache = Path(os.environ.get(variable) or Path.home() / place)
            cache.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"a container keeps downloads in your home, which cannot be used ({error}): "
                f"set {variable} to a folder that can be written"
            ) from None
        caches[variable] = cache
    return caches


def mounts_of(same_inside: Iterable[Path], others: Iterable[str]) -> list[str]:
    """HOST:CONTAINER of each place; where a path leads through links, that of its end too.

    Parameters
    ----------
    same_inside : iterable of Path
        Files and folders that have the same path inside.
    others : iterable of str
        `launcher.mounts`.

    Raises
    ------
    InputError
        The name of a place holds a colon.
    """
    places = {str(place): None for path in same_inside for place in (path.absolute(), path.resolve())}
    for place in places:
        if ":" in place:
            raise InputError(f"{place} cannot be mounted in a container: its name holds a colon")
    asked = []
    for mount in others:
        host, _, container = mount.partition(":")
        asked.append(f"{Path(host).expanduser().absolute()}:{container}")
    return [*(f"{place}:{place}" for place in places), *asked]
