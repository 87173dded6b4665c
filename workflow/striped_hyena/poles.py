"""Training of the long filters' poles, which must keep decaying."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from workflow.striped_hyena.model import HyenaBlock, StripedHyena2


class NegativeExponential(nn.Module):
    """log_poles = −exp θ: training θ keeps the poles decaying; a positive pole explodes."""

    def forward(self, theta: Tensor) -> Tensor:
        """θ → log poles."""
        return -torch.exp(theta)

    def right_inverse(self, log_poles: Tensor) -> Tensor:
        """Log poles → θ."""
        return torch.log(-log_poles)


def make_filters_trainable(model: StripedHyena2) -> None:
    """Put the long filters' poles under `NegativeExponential`."""
    for block in model.blocks:
        if isinstance(block, HyenaBlock) and hasattr(block.filter, "log_poles"):
            parametrize.register_parametrization(block.filter, "log_poles", NegativeExponential())
