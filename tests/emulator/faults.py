"""Ways in which a tool goes wrong on demand."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

#: In the words of EMULATOR_FAULT.
KINDS = {
    "exit": "a traceback and exit code 1",
    "empty": "exit code 0 and an empty output",
    "kill": "kills itself midway, when a checkpoint or some of the predictions are written",
    "hang": "prints nothing more and waits; ends on SIGTERM",
    "hang-stubborn": "the same, but takes no notice of SIGTERM",
    "truncate": "the last prediction file is cut",
    "missing-rank": "the prediction files of the last rank are not written",
    "nan": "the losses are NaN from the first validation on",
    "ln512": "the validation loss is near ln 512, as if the base weights had not been loaded",
    "oom": "the message of a GPU that is out of memory, and exit code 1",
    "frozen": "adapters stay as they began",
}
_OUTPUTS = ("output_dir", "mbridge_ckpt_dir", "dst_ckpt_dir", "result_dir")


@dataclass(frozen=True)
class Fault:
    """How one tool is to go wrong: a key of `KINDS`, or None."""

    kind: str | None = None

    @classmethod
    def asked(cls, tool: str) -> Fault:
        """What EMULATOR_FAULT says of a tool."""
        for entry in filter(None, os.environ.get("EMULATOR_FAULT", "").split(",")):
            name, _, kind = entry.partition(":")
            if kind not in KINDS:
                raise ValueError(f"EMULATOR_FAULT={entry}: the kinds are {', '.join(KINDS)}")
            if name == tool:
                return cls(kind)
        return cls()

    def at_start(self, arguments: argparse.Namespace) -> int | None:
        """Go wrong before any work. Returns an exit code when that ends the tool."""
        if self.kind in ("hang", "hang-stubborn"):
            _hang(stubborn=self.kind == "hang-stubborn")
        if self.kind == "empty":
            _leave_nothing(arguments)
            return 0
        texts = {
            "exit": "Traceback (most recent call last):\n  ...\nRuntimeError: told to fail\n",
            "oom": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity "
            "of 79.11 GiB of which 1.02 GiB is free.\n",
        }
        if self.kind in texts:
            sys.stderr.write(texts[self.kind])
            return 1
        return None

    def midway(self) -> None:
        """Called when some of the output is written and some is not."""
        if self.kind == "kill":
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def _hang(*, stubborn: bool) -> None:
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.1)


def _leave_nothing(arguments: argparse.Namespace) -> None:
    for name in _OUTPUTS:
        if getattr(arguments, name, None):
            Path(getattr(arguments, name)).mkdir(parents=True, exist_ok=True)
    if getattr(arguments, "output_file", None):
        Path(arguments.output_file).touch()
