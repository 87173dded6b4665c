"""Which samples each process trains on and validates with.

A step takes the next samples of the one seeded order, as many as its plan says. They are cut into forward passes of
all processes together, and these among the processes: however many there are, they see the same samples in a step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, cast

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from workflow.config import StepPlan, TrainConfig
from workflow.dataset.samples import TrainingSamples
from workflow.striped_hyena.tokens import pad

#: Ids (B, L), and where they are valid (B, L).
Batch = tuple[Tensor, Tensor]


class Batches(lightning.LightningDataModule):
    """What one process gets of the training and validation samples.

    Parameters
    ----------
    samples : TrainingSamples
    validation : sequence of ndarray
        Each uint8 ASCII.
    config : TrainConfig
    plan : StepPlan
        Samples of each step over all processes.
    """

    def __init__(
        self, samples: TrainingSamples, validation: Sequence[np.ndarray], config: TrainConfig, plan: StepPlan
    ) -> None:
        super().__init__()
        self.samples, self.validation, self.settings, self.plan = samples, validation, config, plan

    def train_dataloader(self) -> DataLoader[list[Batch]]:
        """The steps from the one that the trainer has reached up to the next validation."""
        trainer = cast(lightning.Trainer, self.trainer)
        first = trainer.global_step
        steps = range(first, min(first + self.settings.validate_every, self.plan.steps))
        size, rank, ranks = self.settings.batch_size, trainer.global_rank, trainer.world_size
        return DataLoader(Stretch(self.samples, self.plan, steps, size, rank, ranks), batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """This process's share of the validation samples."""
        trainer = cast(lightning.Trainer, self.trainer)
        share = validation_share(self.validation, self.settings.batch_size, trainer.global_rank, trainer.world_size)
        return DataLoader(cast(Any, share), batch_size=None)


class Stretch(IterableDataset[list[Batch]]):
    """The forward passes of one process in each of the steps between two validations.

    Parameters
    ----------
    steps : range
        Numbers of the steps, from 0.
    batch_size : int
        Samples of a forward pass of one process.
    rank, ranks : int
        Which process, of how many.
    """

    def __init__(
        self, samples: TrainingSamples, plan: StepPlan, steps: range, batch_size: int, rank: int, ranks: int
    ) -> None:
        self.samples, self.plan, self.steps = samples, plan, steps
        self.batch_size, self.rank, self.ranks = batch_size, rank, ranks

    def __iter__(self) -> Iterator[list[Batch]]:
        drawn = self.samples.from_position(self.plan.samples_before(self.steps.start))
        mine = slice(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)
        together = self.batch_size * self.ranks
        for step in self.steps:
            passes = self.plan.samples_of(step) // together
            taken = [list(itertools.islice(drawn, together))[mine] for _ in range(passes)]
            yield [pad([_ids(self.samples[sample]) for sample in batch]) for batch in taken]


def validation_share(validation: Sequence[np.ndarray], batch_size: int, rank: int, ranks: int) -> list[Batch]:
    """One process's batches of the validation samples; each sample is in one process's alone.

    All get equally many batches, since with FSDP they compute each of them together. What is missing is a batch
    without a valid position, which adds nothing to any sum.
    """
    mine = validation[rank::ranks]
    count = -(-len(validation[::ranks]) // batch_size)
    batches = [
        pad([_ids(sequence) for sequence in mine[start : start + batch_size]])
        for start in range(0, len(mine), batch_size)
    ]
    ids, mask = pad([_ids(validation[0])])
    return batches + [(ids, torch.zeros_like(mask))] * (count - len(batches))


def _ids(sequence: np.ndarray) -> Tensor:
    return torch.tensor(sequence, dtype=torch.long)
