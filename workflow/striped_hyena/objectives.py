"""What training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from workflow.striped_hyena.tokens import in_tag, is_base, is_lower, to_upper


def base_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each target base, in nats.

    Parameters
    ----------
    logits : Tensor
        (B, L, vocabulary); position i predicts target i.
    targets : Tensor
        (B, L) ids in either case; the model is asked for the upper-case letter.

    Returns
    -------
    Tensor
        (B, L) float32; 0 where the target is not A, C, G or T.
    """
    flat = F.cross_entropy(logits.float().flatten(0, 1), to_upper(targets).flatten(), reduction="none")
    return torch.where(is_base(targets), flat.view(targets.shape), 0.0)


def base_weights(targets: Tensor, mask: Tensor, repeat_weight: float) -> Tensor:
    """Weight of each target: 0 outside A, C, G, T, in tags and in padding, `repeat_weight` in lower case, else 1.

    Parameters
    ----------
    targets, mask : Tensor
        (B, L) ids, and True where they are not padding.
    repeat_weight : float
        Evo 2 was trained with 0.1 (Brixi et al. 2025).
    """
    weights = torch.where(is_lower(targets), repeat_weight, 1.0)
    return weights * (is_base(targets) & ~in_tag(targets) & mask)
