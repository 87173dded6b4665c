"""The flags of a tool as its own `--help` tells them, against what its contract says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workflow.backends.contracts.flags import Tool

#: argparse puts each flag two columns in; what is deeper is explanation, even when it begins with a dash.
_ENTRY = re.compile(r"^  (-\S.*)$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class HelpDifference:
    """How an installed tool differs from a contract.

    Attributes
    ----------
    missing : tuple of str
        Spellings of the contract that the tool does not have.
    unknown : tuple of str
        Spellings of the tool that the contract does not have.
    """

    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.missing) + len(self.unknown)

    def __str__(self) -> str:
        parts = (("without", self.missing), ("with the unknown", self.unknown))
        return ", ".join(f"{what} {' '.join(flags)}" for what, flags in parts if flags) or "as expected"


def flags_of_help(text: str) -> frozenset[str]:
    """Every spelling of a flag in the text of argparse's `--help`, however it is wrapped."""
    found: set[str] = set()
    inside = False
    for line in _COLOUR.sub("", text).splitlines():
        if line and not line[0].isspace():
            # Sections have a title with a colon; usage has one too, but shows flags in brackets and wrapped.
            inside = line.endswith(":") and not line.startswith("usage:")
        elif inside and (entry := _ENTRY.match(line)):
            spellings = re.split(r" {2,}", entry[1])[0].split(", ")
            found |= {word for spelling in spellings if (word := re.split(r"[ =]", spelling)[0]).startswith("-")}
    return frozenset(found)


def compare_flags(tool: Tool, found: frozenset[str]) -> HelpDifference:
    """What an installed tool has more or less than its contract."""
    expected = {name for flag in tool.flags if not flag.positional for name in flag.names} | {"-h", "--help"}
    return HelpDifference(tuple(sorted(expected - found)), tuple(sorted(found - expected)))
