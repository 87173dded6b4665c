"""What the training of a classifier minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Objective:
    """Σ over levels of weight · mean loss: cross-entropy, or the squared error of standardised numbers.

    With class weights the mean is the weighted one, Σ w·loss / Σ w. What has no target is left out of it.

    Parameters
    ----------
    level_weights : sequence of float
        One a level.
    class_weights : sequence of Tensor, optional
        (K,) of each level; 1 each by default.
    regression : bool
    """

    def __init__(
        self,
        level_weights: Sequence[float],
        class_weights: Sequence[Tensor] | None = None,
        *,
        regression: bool = False,
    ) -> None:
        self.level_weights = torch.tensor(list(level_weights), dtype=torch.float32)
        self.class_weights, self.regression = class_weights, regression

    def __call__(self, outputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        """The loss of a batch."""
        return self.combine(self.terms(outputs, targets))

    def terms(self, outputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Σ w·loss and Σ w of each level, (levels, 2): these add up over batches.

        Parameters
        ----------
        outputs : sequence of Tensor
            (B, K) of each level.
        targets : Tensor
            (B, levels): int64, −1 where there is none; or float, NaN where there is none.
        """
        targets = targets.to(outputs[0].device)
        return torch.stack([self._level(level, output, targets[:, level]) for level, output in enumerate(outputs)])

    def combine(self, terms: Tensor) -> Tensor:
        """The loss that sums of `terms` make; a level without any target counts 0."""
        means = terms[:, 0] / torch.where(terms[:, 1] > 0, terms[:, 1], 1.0)
        return (means * self.level_weights.to(means.device)).sum()

    def _level(self, level: int, output: Tensor, target: Tensor) -> Tensor:
        if self.regression:
            known = ~target.isnan()
            losses = (output[:, 0] - torch.where(known, target, 0.0).float()).square()
            weights = known.float()
        else:
            known = target >= 0
            losses = F.cross_entropy(output, target.clamp(min=0), reduction="none")
            weights = known.float()
            if self.class_weights is not None:
                weights = weights * self.class_weights[level].to(output.device)[target.clamp(min=0)].float()
        return torch.stack([(losses * weights).sum(), weights.sum()])
