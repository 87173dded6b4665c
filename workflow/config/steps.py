"""How many samples each optimizer step has: the budget of a training, and the ramp at its beginning."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StepPlan:
    """The samples of every step.

    A full step has `samples`. Over the first `ramp` steps it grows to that: step t, from 0, has
    min(samples, first · (⌊samples · t / (ramp · first)⌋ + 1)), the next multiple of `first` above the straight line
    from nothing at step 0 to `samples` at step `ramp`.

    Attributes
    ----------
    steps : int
        Optimizer steps of the whole training.
    samples : int
        Samples of a full step, over all processes.
    first : int
        Samples of the first step, and by how many it grows at a time.
    ramp : int
        Steps before the first full one.
    """

    steps: int
    samples: int
    first: int
    ramp: int = 0

    @classmethod
    def of(cls, steps: int, samples: int, first: int, ramp_share: float) -> StepPlan:
        """The plan whose ramp is a share of the steps, rounded to whole ones."""
        return cls(steps, samples, first, round(ramp_share * steps))

    @classmethod
    def within(cls, budget: int, samples: int, first: int, ramp_share: float) -> StepPlan:
        """The plan that spends a budget of samples: one step more would exceed it. It may have no steps."""

        def needed(steps: int) -> int:
            return cls.of(steps, samples, first, ramp_share).all_samples

        # A ramp lies on or above its straight line, and so leaves more than half of the full steps' samples.
        least = budget // samples
        steps = least - 1 + bisect_right(range(least, 2 * least + 5), budget, key=needed)
        return cls.of(steps, samples, first, ramp_share)

    def samples_of(self, step: int) -> int:
        """Samples of a step, counted from 0."""
        if step >= self.ramp:
            return self.samples
        return min(self.samples, self.first * (self.samples * step // (self.ramp * self.first) + 1))

    def samples_before(self, step: int) -> int:
        """Samples of all steps before one: where its own begin."""
        ramped = np.arange(min(step, self.ramp), dtype=np.int64)
        grown = self.first * (self.samples * ramped // max(self.ramp * self.first, 1) + 1)
        return int(np.minimum(grown, self.samples).sum()) + (step - len(ramped)) * self.samples

    @property
    def all_samples(self) -> int:
        """Samples of the whole training."""
        return self.samples_before(self.steps)
