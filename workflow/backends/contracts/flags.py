"""What one tool of one version accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

#: What the text of a value is read as. `bool` is Python's: every text but the empty one is true. `names` is a
#: list with commas.
FlagType = Literal["str", "int", "float", "Path", "bool", "names"]
Action = Literal["store", "store_true", "store_false"]


@dataclass(frozen=True)
class Flag:
    """One flag, or one positional argument.

    Attributes
    ----------
    names : tuple of str
        All its spellings, such as `-d` and `--dataset-config`; the name alone of a positional argument.
    positional, required : bool
    action : str
        `store` takes a value; `store_true` and `store_false` are switches.
    type : str
        What its value is read as.
    nargs : str, optional
        `+` for one value or more, `?` for one or none; None for exactly one.
    default : object
        Of what the tool makes of it, when it is not given.
    choices : tuple
        Values of `type` that are allowed; empty for any.
    dest : str
        Name of the tool's own variable.
    """

    names: tuple[str, ...]
    positional: bool
    required: bool
    action: Action
    type: FlagType
    nargs: str | None
    default: Any
    choices: tuple[str | int, ...]
    dest: str

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Flag:
        """A flag from its entry in the data, where what is usual is left out."""
        names, action = tuple(entry["names"]), entry.get("action", "store")
        positional, nargs = entry.get("positional", False), entry.get("nargs")
        usual = {"store": None, "store_true": False, "store_false": True}
        return cls(
            names=names,
            positional=positional,
            required=entry.get("required", positional and nargs != "?"),
            action=action,
            type=entry.get("type", "str"),
            nargs=nargs,
            default=entry.get("default", usual[action]),
            choices=tuple(entry.get("choices", ())),
            dest=entry.get("dest", _main_name(names).lstrip("-").replace("-", "_")),
        )

    @property
    def name(self) -> str:
        """The spelling that commands use: the long one."""
        return _main_name(self.names)

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return self.action != "store"


@dataclass(frozen=True)
class ExclusiveGroup:
    """Arguments of which one at most may be given; exactly one where the group is required."""

    flags: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class Tool:
    """One program.

    Attributes
    ----------
    name : str
        Name of the program on PATH.
    entry_point : str
        Module and function that it starts.
    flags : tuple of Flag
        In upstream's order, without `--help`.
    exclusive : tuple of ExclusiveGroup
    ignored : frozenset of str
        Flags that are accepted and never read.
    torchrun : bool
        Whether torchrun has to start it.
    """

    name: str
    entry_point: str
    flags: tuple[Flag, ...]
    exclusive: tuple[ExclusiveGroup, ...] = ()
    ignored: frozenset[str] = field(default_factory=frozenset)
    torchrun: bool = False

    @classmethod
    def from_json(cls, name: str, entry: Mapping[str, Any]) -> Tool:
        """A tool from its entry in the data."""
        return cls(
            name=name,
            entry_point=entry["entry_point"],
            flags=tuple(Flag.from_json(flag) for flag in entry["flags"]),
            exclusive=tuple(ExclusiveGroup(tuple(group["flags"]), group["required"]) for group in entry["exclusive"]),
            ignored=frozenset(entry["ignored"]),
            torchrun=entry.get("torchrun", False),
        )

    @cached_property
    def by_name(self) -> dict[str, Flag]:
        """The flags by each of their spellings."""
        return {name: flag for flag in self.flags for name in flag.names}


def _main_name(names: tuple[str, ...]) -> str:
    return next((name for name in names if name.startswith("--")), names[0])
