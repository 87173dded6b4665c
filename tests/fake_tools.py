"""Programs with the names of NVIDIA's tools that show the help of a contract, and else say what they were given."""

from __future__ import annotations

from pathlib import Path

from workflow.backends.contracts import Contract

#: Shows a kept help text and leaves a mark that it was asked; or prints its arguments and ends with code 7.
_SCRIPT = """#!/bin/sh
if [ "$1" = "--help" ]; then echo asked >> '{asked}'; exec cat '{help_file}'; fi
printf '%s|' "${{0##*/}}" "$@"
exit 7
"""


def install(contract: Contract, folder: Path, old: str = "", new: str = "") -> Path:
    """Put every tool of a contract into a folder; in each help, a text may be replaced by another."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in contract.tools:
        help_file = folder / f"{name}.help"
        text = contract.parser(name).format_help()
        help_file.write_text(text.replace(old, new) if old else text)
        write_program(folder / name, _SCRIPT.format(help_file=help_file, asked=folder / "asked"))
    return folder


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def times_asked(folder: Path) -> int:
    """How often a help was shown."""
    asked = folder / "asked"
    return len(asked.read_text().splitlines()) if asked.exists() else 0
