"""A command of one of NVIDIA's tools, before it is checked and spelt out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: Value of a flag. True switches it on; None and False leave it out.
Option = str | int | float | Path | bool | None | Sequence[str | int | float]


@dataclass(frozen=True)
class Command:
    """One call of a tool.

    Attributes
    ----------
    tool : str
        Name of the program, such as `train_evo2`.
    options : mapping
        Value by long flag with its dashes, such as `{"--seq-length": 8192, "--fp8": True}`, in the order in
        which they are to be typed. A key without dashes is a positional argument, of which only the value is
        typed.
    environment : mapping
        Environment variables that it needs.
    why : mapping
        For flags and environment variables that need one: a sentence of explanation, for the manifest.
    folder : Path, optional
        Where it has to be started; by default where this process runs.
    processes : int, optional
        Ranks on each machine that torchrun has to start; None for a plain start.
    """

    tool: str
    options: Mapping[str, Option] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    processes: int | None = None
