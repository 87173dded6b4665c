"""A rank that takes part in several trainings, one after another: PyTorch is imported once.

The arguments are files of jobs. `FILE@STEP` ends a training as step STEP would be made. What a gate says that stops a
training is left in its folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from workflow.backends.embedded.adaptation import Adaptation
from workflow.backends.embedded.processes import Job
from workflow.backends.embedded.work import take_part
from workflow.errors import GateError
from workflow.gates import GateLog


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours may catch it."""


def train(job: Job, until: int | None = None) -> None:
    """Take part in a training, to its end or until the optimizer step `until` is about to be made."""
    original = Adaptation.on_before_optimizer_step

    def die(self: Adaptation, optimizer: torch.optim.Optimizer) -> None:
        if self.global_step + 1 == until:
            raise Killed
        original(self, optimizer)

    Adaptation.on_before_optimizer_step = die  # type: ignore[method-assign]
    try:
        take_part(job.config, job.base, job.tokens, job.out, GateLog(vars(job.config.gates)), None)
    except Killed:
        pass
    except GateError as error:
        (job.out / f"stopped-{os.environ['RANK']}").write_text(str(error))
    finally:
        Adaptation.on_before_optimizer_step = original  # type: ignore[method-assign]


def main(arguments: list[str]) -> None:
    for argument in arguments:
        path, _, until = argument.partition("@")
        train(Job.read(Path(path)), int(until) if until else None)


if __name__ == "__main__":
    main(sys.argv[1:])
