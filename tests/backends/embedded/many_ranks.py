"""Ranks that take part in several trainings, one after another, as torchrun would start them.

They are forks of one process that has imported PyTorch and computed nothing. What a gate says that stops a training
is left in its folder.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
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


def take_part_in(trainings: Sequence[tuple[Path, int | None]], rank: int, ranks: int, meeting: Path) -> None:
    """What each rank does: all trainings, given by the file of the job and the step at which one ends."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    torch.distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=ranks)
    for path, until in trainings:
        train(Job.read(path), until)


def start(trainings: Sequence[tuple[Path, int | None]], ranks: int, meeting: Path) -> list[int | None]:
    """Run them in so many processes; `meeting` is a file that is not there. Returns their exit codes."""
    clean = multiprocessing.get_context("forkserver")
    clean.set_forkserver_preload([__name__])
    started = [clean.Process(target=take_part_in, args=(trainings, rank, ranks, meeting)) for rank in range(ranks)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    return [process.exitcode for process in started]
