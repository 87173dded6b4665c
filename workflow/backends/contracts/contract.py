"""The contract of one version: its tools, and commands that are checked against them before anything runs."""

from __future__ import annotations

import argparse
import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workflow.backends.contracts import parsing
from workflow.backends.contracts.command import Command
from workflow.backends.contracts.flags import Flag, Tool
from workflow.backends.contracts.spelling import spell_option
from workflow.errors import InputError

TOOLCHAINS = ("nemo2", "mbridge")
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Contract:
    """What the tools of one version accept.

    Attributes
    ----------
    toolchain : str
        `nemo2` or `mbridge`.
    version : str
        Such as 2.7.1.
    tools : dict
        By the names of the programs.
    preprocess_keys : tuple of str, optional
        Keys of the YAML file of `preprocess_evo2`, which passes over others in silence; None where unknown.
    """

    toolchain: str
    version: str
    tools: dict[str, Tool]
    preprocess_keys: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"{self.toolchain} {self.version}"

    def tool(self, name: str) -> Tool:
        """The tool of this name.

        Raises
        ------
        InputError
            This version has none; the message names the versions that do.
        """
        if name in self.tools:
            return self.tools[name]
        raise InputError(f"{name} is not a tool of {self}{self._elsewhere(name, None) or _close(name, self.tools)}")

    def has_flag(self, tool: str, flag: str) -> bool:
        """Whether this version has the tool and the tool this flag."""
        return tool in self.tools and flag in self.tools[tool].by_name

    def spell(self, command: Command) -> list[str]:
        """The words of a command, the tool first, as they are typed.

        None and False leave an option out, also one that this version does not have. The launcher's own words
        (torchrun, docker) are not part of it.

        Raises
        ------
        InputError
            What this version would refuse or misread: an unknown tool or flag, a wrong type, choice or number
            of values, a required argument that is missing, arguments that exclude each other.
        """
        tool = self.tool(command.tool)
        where = f"{tool.name} of {self}"
        typed = [
            (flag.name, spell_option(flag, value, where))
            for name, value in command.options.items()
            # What is left out need not exist: a builder need not know each version.
            if name in tool.by_name or not (value is None or value is False)
            for flag in [self._flag(tool, name, where)]
        ]
        _check_presence(tool, [name for name, words in typed if words], where)
        words = [word for _, words in typed for word in words]
        # Whatever is still wrong, such as a positional value that a list before it would swallow, argparse sees.
        parsing.refusing(tool, where).parse_args(words)
        return [tool.name, *words]

    def check(self, tool: str, words: Sequence[str]) -> argparse.Namespace:
        """Read words that a user typed behind a tool, as the tool would.

        Raises
        ------
        InputError
            This version would refuse or misread them.
        """
        definition = self.tool(tool)
        where = f"{tool} of {self}"
        for word in words:
            if word == "--":
                break
            name = word.partition("=")[0]
            # argparse takes the beginning of a flag for the flag; it refuses it itself where that is ambiguous. What
            # holds a space is no flag to it.
            may_be_flag = word.startswith("--") and " " not in name
            if may_be_flag and not any(known.startswith(name) for known in (*definition.by_name, "--help")):
                self._flag(definition, name, where)
        return parsing.refusing(definition, where).parse_args(words)

    def ignored(self, command: Command) -> list[str]:
        """The flags of a command that the tool accepts and never reads."""
        tool = self.tool(command.tool)
        where = f"{tool.name} of {self}"
        unread = {name: self._flag(tool, name, where) for name in command.options if name in tool.ignored}
        return [name for name, flag in unread.items() if spell_option(flag, command.options[name], where)]

    def parser(self, tool: str) -> argparse.ArgumentParser:
        """A parser that behaves like the tool's own, its faults included."""
        return parsing.like_the_tool(self.tool(tool))

    def _flag(self, tool: Tool, name: str, where: str) -> Flag:
        flag = tool.by_name.get(name)
        if flag is None:
            hint = self._elsewhere(tool.name, name) or _close(name, tool.by_name)
            raise InputError(f"{where}: {name} is not a flag of this version{hint}")
        return flag

    def _elsewhere(self, tool: str, flag: str | None) -> str:
        """In brackets, the versions that have a tool or a flag of it; of the other toolchain where none here does."""
        for toolchain in (self.toolchain, *(other for other in TOOLCHAINS if other != self.toolchain)):
            contracts = (load_contract(toolchain, version) for version in contract_versions(toolchain))
            versions = [
                contract.version
                for contract in contracts
                if (tool in contract.tools if flag is None else contract.has_flag(tool, flag))
            ]
            if versions:
                owner = "" if toolchain == self.toolchain else f"{toolchain} "
                return f" ({owner}{_and(versions)} {'has' if len(versions) == 1 else 'have'} it)"
        return ""


def contract_versions(toolchain: str) -> tuple[str, ...]:
    """The versions of a toolchain whose flags are known, oldest first; unreleased ones last.

    Raises
    ------
    InputError
        There is no such toolchain.
    """
    if toolchain not in TOOLCHAINS:
        raise InputError(f"{toolchain} is not a toolchain of NVIDIA's: use one of {', '.join(TOOLCHAINS)}")
    names = (path.stem.removeprefix(f"{toolchain}-") for path in _FOLDER.glob(f"{toolchain}-*.json"))
    return tuple(sorted(names, key=lambda name: (not is_release(name), _numbers(name))))


@cache
def load_contract(toolchain: str, version: str) -> Contract:
    """The contract of a version whose flags are known.

    Raises
    ------
    InputError
        They are not; the message lists those that are.
    """
    versions = contract_versions(toolchain)
    if version not in versions:
        raise InputError(f"the flags of {toolchain} {version} are not known: use one of {', '.join(versions)}")
    data = json.loads((_FOLDER / f"{toolchain}-{version}.json").read_text(encoding="utf-8"))
    keys = data.get("preprocess_keys")
    tools = {name: Tool.from_json(name, entry) for name, entry in data["tools"].items()}
    return Contract(toolchain, version, tools, tuple(keys) if keys else None)


def nearest_version(toolchain: str, asked: str) -> tuple[str, str | None]:
    """The version whose flags stand for those of `asked`, and a sentence where it is another one.

    It is the newest release that is not newer than the one asked for; the oldest release where all are newer.

    Raises
    ------
    InputError
        `asked` is neither a known version nor a number, or of a generation that no contract is near to.
    """
    versions = contract_versions(toolchain)
    if asked in versions:
        return asked, None
    releases = [version for version in versions if is_release(version)]
    numbers = _numbers(asked)
    if not is_release(asked) or numbers[0] not in {_numbers(version)[0] for version in releases}:
        load_contract(toolchain, asked)  # refuses
    not_newer = [version for version in releases if _padded(version) <= _padded(asked)]
    nearest = not_newer[-1] if not_newer else releases[0]
    if _padded(nearest) == _padded(asked):
        return nearest, None
    return nearest, f"the flags of {toolchain} {asked} are not known: commands are checked against those of {nearest}"


def is_release(version: str) -> bool:
    """Whether a version is a number, not a state between releases."""
    return re.fullmatch(r"\d+(\.\d+)*", version) is not None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _padded(version: str) -> tuple[int, ...]:
    """Numbers in which 2.7 and 2.7.0 are the same."""
    numbers = _numbers(version)
    return numbers + (0,) * (4 - len(numbers))


def _and(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _check_presence(tool: Tool, given: Sequence[str], where: str) -> None:
    """Refuse what is there twice, what is missing, and what cannot be together."""
    for name in given:
        if given.count(name) > 1:
            raise InputError(f"{where}: {name} is given twice, in its short and its long form")
    missing = [flag.name for flag in tool.flags if flag.required and flag.name not in given]
    if missing:
        raise InputError(f"{where}: {_and(missing)} must be given")
    for group in tool.exclusive:
        together = [name for name in group.flags if name in given]
        if len(together) > 1:
            raise InputError(f"{where}: {_and(together)} exclude each other: give one of them")
        if group.required and not together:
            raise InputError(f"{where}: one of {', '.join(group.flags)} must be given")


def _close(name: str, known: Iterable[str]) -> str:
    """What may have been meant."""
    close = difflib.get_close_matches(name, list(known), cutoff=0.75)
    return f": did you mean {' or '.join(close)}?" if close else ""
