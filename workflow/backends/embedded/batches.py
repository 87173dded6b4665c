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
from workflow.dataset.codons import Coding
from workflow.dataset.samples import Sample, TrainingSamples
from workflow.striped_hyena.tokens import pad

#: Ids (B, L), and where they are valid (B, L); with a codon objective also the codons in frame (n, 6): row, and what
#: `Coding.codons` gives.
Batch = tuple[Tensor, ...]


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
    coding : Coding, optional
        The coding sequences of both, with a codon objective.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        validation: Sequence[np.ndarray],
        config: TrainConfig,
        plan: StepPlan,
        coding: Coding | None = None,
    ) -> None:
        super().__init__()
        self.samples, self.validation, self.settings, self.plan = samples, validation, config, plan
        self.coding = coding

    def train_dataloader(self) -> DataLoader[list[Batch]]:
        """The steps from the one that the trainer has reached up to the next validation."""
        trainer = cast(lightning.Trainer, self.trainer)
        first = trainer.global_step
        steps = range(first, min(first + self.settings.validate_every, self.plan.steps))
        size, rank, ranks = self.settings.batch_size, trainer.global_rank, trainer.world_size
        return DataLoader(Stretch(self.samples, self.plan, steps, size, rank, ranks, self.coding), batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """This process's share of the validation samples."""
        trainer = cast(lightning.Trainer, self.trainer)
        codons = None if self.coding is None else self.coding.validation
        size, rank, ranks = self.settings.batch_size, trainer.global_rank, trainer.world_size
        share = validation_share(self.validation, size, rank, ranks, codons)
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
    coding : Coding, optional
        Which of the samples are coding sequences.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        plan: StepPlan,
        steps: range,
        batch_size: int,
        rank: int,
        ranks: int,
        coding: Coding | None = None,
    ) -> None:
        self.samples, self.plan, self.steps, self.coding = samples, plan, steps, coding
        self.batch_size, self.rank, self.ranks = batch_size, rank, ranks

    def __iter__(self) -> Iterator[list[Batch]]:
        drawn = self.samples.from_position(self.plan.samples_before(self.steps.start))
        mine = slice(self.rank * self.batch_size, (self.rank + 1) * self.batch_size)
        together = self.batch_size * self.ranks
        for step in self.steps:
            passes = self.plan.samples_of(step) // together
            taken = [list(itertools.islice(drawn, together))[mine] for _ in range(passes)]
            yield [self._read(batch) for batch in taken]

    def _read(self, batch: list[Sample]) -> Batch:
        bases = [self.samples[sample] for sample in batch]
        if self.coding is None:
            return _together(bases)
        return _together(bases, [self.coding.codons(*read) for read in zip(batch, bases, strict=True)])


def validation_share(
    validation: Sequence[np.ndarray],
    batch_size: int,
    rank: int,
    ranks: int,
    codons: Sequence[np.ndarray] | None = None,
) -> list[Batch]:
    """One process's batches of the validation samples; each sample is in one process's alone.

    All get equally many batches, since with FSDP they compute each of them together. What is missing is a batch
    without a valid position, which adds nothing to any sum.

    Parameters
    ----------
    codons : sequence of ndarray, optional
        Codons of each sample, as `Coding.codons` gives them.
    """
    mine = slice(rank, None, ranks)
    bases, of_bases = validation[mine], None if codons is None else codons[mine]
    count = -(-len(validation[::ranks]) // batch_size)
    parts = [slice(start, start + batch_size) for start in range(0, len(bases), batch_size)]
    batches = [_together(bases[part], None if of_bases is None else of_bases[part]) for part in parts]
    ids, mask, *rest = _together(validation[:1], None if codons is None else [codons[0][:0]])
    return batches + [(ids, torch.zeros_like(mask), *rest)] * (count - len(batches))


def _together(sequences: Sequence[np.ndarray], codons: Sequence[np.ndarray] | None = None) -> Batch:
    """One batch of sequences and, where they are given, of their codons."""
    padded = pad([torch.tensor(sequence, dtype=torch.long) for sequence in sequences])
    if codons is None:
        return padded
    row = np.repeat(np.arange(len(codons)), [len(of_row) for of_row in codons])
    return *padded, torch.from_numpy(np.column_stack([row, np.concatenate(codons)]))
