"""The settings of a run as dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Say where, when and how a run works, and nothing of what it computes.
_BOOKKEEPING = ("stage", "runs_folder", "run_name", "dry_run", "force", "debug", "tracking", "launcher", "gates")


def flatten(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings by dotted key; a mapping without entries stays one."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def computing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say what is computed."""
    return {name: value for name, value in settings.items() if name not in _BOOKKEEPING}
