"""Parsers made from the data: one that behaves like the tool's own, and one that refuses in one line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from workflow.backends.contracts.flags import Flag, FlagType, Tool
from workflow.errors import InputError


def like_the_tool(tool: Tool) -> argparse.ArgumentParser:
    """A parser with the tool's types, defaults, abbreviations and exit code 2, faults included."""
    return _fill(argparse.ArgumentParser(prog=tool.name), tool, _READERS)


def refusing(tool: Tool, where: str) -> argparse.ArgumentParser:
    """A parser that raises InputError beginning with `where`, also on texts that the tool would misread."""
    return _fill(_Refusing(where, tool.name), tool, _READERS | {"bool": _read_truth})


class _Refusing(argparse.ArgumentParser):
    def __init__(self, where: str, prog: str) -> None:
        super().__init__(prog=prog)
        self._where = where

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self._where}: {message.removeprefix('argument ')}")


def _fill(
    parser: argparse.ArgumentParser, tool: Tool, readers: dict[FlagType, Callable[[str], Any]]
) -> argparse.ArgumentParser:
    groups = {
        name: group
        for exclusive in tool.exclusive
        for group in [parser.add_mutually_exclusive_group(required=exclusive.required)]
        for name in exclusive.flags
    }
    for flag in tool.flags:
        groups.get(flag.name, parser).add_argument(*flag.names, **_settings(flag, readers))
    return parser


def _settings(flag: Flag, readers: dict[FlagType, Callable[[str], Any]]) -> dict[str, Any]:
    """Keywords of `add_argument`."""
    default = list(flag.default) if isinstance(flag.default, list) else flag.default
    settings: dict[str, Any] = {"action": flag.action, "default": default}
    if not flag.positional:
        settings |= {"dest": flag.dest, "required": flag.required}
    if not flag.is_switch:
        settings |= {"type": readers[flag.type], "nargs": flag.nargs, "choices": flag.choices or None}
    return settings


def _read_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _read_truth(text: str) -> bool:
    """What `bool` makes of a text, where that is what the writer can have meant."""
    if text not in ("", "True", "true", "1"):
        raise argparse.ArgumentTypeError(
            f"this version takes every text but the empty one for true, {text!r} too: give True, or '' for false"
        )
    return bool(text)


# The names show in argparse's own messages: "invalid int value".
_READERS: dict[FlagType, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "Path": Path,
    "bool": bool,
    "names": _read_names,
}
