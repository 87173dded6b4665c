"""What a stage's fingerprint is made of: the files that it reads and its settings; and what changed of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workflow.genome.download import recorded
from workflow.genome.files import describe

_ABSENT = "absent"


def describe_inputs(paths: Sequence[Path], known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Descriptions of files; of one that is yet to be downloaded, its path alone.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    known : dict
        Earlier descriptions by path. A file is not hashed again as long as its own, or that which was written
        when it was downloaded, still holds.
    """
    return [_describe(path, known.get(str(path), {})) if path.exists() else {"path": str(path)} for path in paths]


def _describe(path: Path, known: dict[str, Any]) -> dict[str, Any]:
    holds = "sha256" in known and known["modified_ns"] == path.stat().st_mtime_ns
    return describe(path, known if holds else recorded(path))


def are_awaited(inputs: Sequence[dict[str, Any]]) -> bool:
    """Whether some of the files described are yet to be downloaded."""
    return any("sha256" not in item for item in inputs)


def lookup(settings: dict[str, Any], key: str) -> Any:
    """Value of a dotted key."""
    value: Any = settings
    for part in key.split("."):
        value = value[part]
    return value


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What changed between two identities (version, config, files, stages), in words."""
    told = []
    before, after = _flatten(old["config"]), _flatten(new["config"])
    for key in sorted(before.keys() | after.keys()):
        old_value, new_value = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if old_value != new_value:
            told.append(f"{key} was {old_value}, is {new_value}")
    if old["files"] != new["files"]:
        told.append("an input file changed")
    told += [f"{name} changed" for name, value in new["stages"].items() if old["stages"].get(name) != value]
    told += [f"{name} is no longer part of the run" for name in old["stages"] if name not in new["stages"]]
    if old["version"] != new["version"]:
        told.append(f"the format is now version {new['version']}")
    return "; ".join(told) or "a masked setting changed"


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of nested dicts by dotted key."""
    if not isinstance(value, dict):
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= _flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return leaves
