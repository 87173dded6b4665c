"""Settings by dotted keys: nested ones made flat, changed in a configuration, written as one would type them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from workflow.command import resolve
from workflow.config import Config
from workflow.errors import InputError

_PLAIN = re.compile(r"[A-Za-z_/.][A-Za-z0-9_/.+-]*")
#: Words that Hydra takes for something else than text.
_NOT_TEXT = ("true", "false", "null", "nan", "inf", "none")


def flatten(value: Any, key: str = "", is_leaf: Callable[[Any], bool] = lambda value: False) -> dict[str, Any]:
    """Leaves of nested mappings by dotted key; an empty mapping in another is a leaf.

    Raises
    ------
    InputError
        A leaf is there twice, nested and by a dotted key.
    """
    if not isinstance(value, Mapping) or (key and not value) or is_leaf(value):
        return {key: value}
    leaves: dict[str, Any] = {}
    for name, item in value.items():
        for leaf, content in flatten(item, f"{key}.{name}" if key else str(name), is_leaf).items():
            if leaf in leaves:
                raise InputError(f"{leaf} is given twice, nested and with dots: leave one of them out")
            leaves[leaf] = content
    return leaves


def known_keys(settings: DictConfig) -> dict[str, Any]:
    """Every key of a configuration, of sections too, with its value, interpolations resolved."""
    plain = OmegaConf.to_container(settings, resolve=True)
    found: dict[str, Any] = {}

    def visit(value: Any, key: str) -> None:
        found[key] = value
        if isinstance(value, dict):
            for name, item in value.items():
                visit(item, f"{key}.{name}" if key else str(name))

    visit(plain, "")
    return found


def unknown_key(key: str, where: str, known: Mapping[str, Any]) -> InputError:
    """That a key is not there, with those that are spelt nearly so."""
    end = key.rpartition(".")[2]
    near = [name for name in known if name.rpartition(".")[2] == end] or get_close_matches(key, known, n=2)
    hint = f"; did you mean {' or '.join(near[:2])}?" if near else ""
    return InputError(f"{where}: {key} is no key of this configuration{hint}")


def changed(settings: DictConfig, changes: Mapping[str, Any]) -> DictConfig:
    """A copy with other values, before its interpolations are resolved: what follows from a value follows the new one.

    Raises
    ------
    InputError
        The schema refuses a key or a value.
    """
    copied = copy.deepcopy(settings)
    for key, value in changes.items():
        try:
            OmegaConf.update(copied, key, value, merge=False)
        except OmegaConfBaseException as error:
            raise InputError(f"{key}={typed(value)}: {str(error).splitlines()[0]}") from None
    return copied


def resolved(settings: DictConfig, changes: Mapping[str, Any]) -> Config:
    """The typed configuration with other values.

    Raises
    ------
    InputError
        As `changed`; or values do not go with each other.
    """
    return resolve(changed(settings, changes))


def typed(value: Any) -> str:
    """A value as Hydra's command line has it."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{typed(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(typed, value)) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
        return value if plain else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return repr(value)


def overrides(changes: Mapping[str, Any], settings: DictConfig) -> list[str]:
    """The arguments that make the same changes on the command line."""
    lines = []
    for key, value in changes.items():
        lines.append(f"{key}={typed(value)}")
        if isinstance(value, Mapping):  # Hydra puts it into what is there: what is not in it has to go
            there = OmegaConf.select(settings, key) or {}
            lines += [f"~{key}.{name}" for name in there if name not in value]
    return lines
