"""What a call of a tool is told by the emulator, beside its flags."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.emulator.faults import Fault

if TYPE_CHECKING:
    import torch


class Refused(Exception):  # noqa: N818
    """The tool ends with a traceback and exit code 1, as the real one does."""


@dataclass(frozen=True)
class Setting:
    """Which tool of which version, and how it is to go wrong."""

    toolchain: str
    version: str
    tool: str
    fault: Fault

    @property
    def is_nemo2(self) -> bool:
        """Of the older generation."""
        return self.toolchain == "nemo2"

    @property
    def in_bf16(self) -> bool:
        """Whether numbers are those of the real tools or full precision."""
        return os.environ.get("EMULATOR_PRECISION", "bf16") != "fp32"

    @property
    def dtype(self) -> torch.dtype:
        """Of stored weights."""
        import torch

        return torch.bfloat16 if self.in_bf16 else torch.float32


def is_on(name: str) -> bool:
    """Whether an environment variable is set to 1."""
    return os.environ.get(name) == "1"


def dawdle() -> None:
    """Take as long as a test wants."""
    time.sleep(float(os.environ.get("EMULATOR_STEP_SECONDS", "0")))


def log(text: str) -> None:
    """A line of standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def ranks(model_parallel: int, nodes: int, devices: int | None) -> int:
    """Data-parallel ranks of so many GPUs.

    Raises
    ------
    Refused
        The GPUs do not divide by what a copy of the model takes.
    """
    world = nodes * (devices or model_parallel)
    if world % model_parallel:
        raise Refused(f"RuntimeError: world_size ({world}) is not divisible by total_model_size {model_parallel}")
    return world // model_parallel


def world_of_torchrun() -> int:
    """Number of ranks that torchrun started.

    Raises
    ------
    Refused
        It was not torchrun that started this tool.
    """
    if "RANK" not in os.environ:
        raise Refused(
            "ValueError: Error initializing torch.distributed using env:// rendezvous: environment variable RANK "
            "expected, but not set"
        )
    return int(os.environ["WORLD_SIZE"])
