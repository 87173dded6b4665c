"""One vector of the hidden states of a sequence."""

from __future__ import annotations

import torch
from torch import Tensor

POOLINGS = ("mean", "max", "first", "last")


def pool(hidden: Tensor, mask: Tensor, method: str) -> Tensor:
    """Pool the hidden states of each sequence over its own positions: padding never counts.

    Differentiable. A mean is summed in float32, whatever the precision of the states.

    Parameters
    ----------
    hidden : Tensor, (B, L, D)
    mask : Tensor, (B, L) bool
        True at the positions that count, which follow one another; at least one in each row.
    method : str
        `mean`, `max`, `first` (position that counts) or `last`.

    Returns
    -------
    Tensor, (B, D) float32

    Raises
    ------
    ValueError
        No such method, or a row without a position that counts.
    """
    if not bool(mask.any(dim=1).all()):
        raise ValueError("a sequence has no position that counts")
    if method == "mean":
        return torch.where(mask[..., None], hidden, 0).sum(1, dtype=torch.float32) / mask.sum(1, keepdim=True)
    if method == "max":
        # Padding is no candidate; amax would share the gradient of equal values among positions.
        return hidden.masked_fill(~mask[..., None], -torch.inf).max(dim=1).values.float()
    if method not in POOLINGS:
        raise ValueError(f"pooling {method} does not exist: use one of {', '.join(POOLINGS)}")
    first = mask.int().argmax(dim=1)
    place = first if method == "first" else first + mask.sum(1) - 1
    return hidden[torch.arange(len(hidden), device=hidden.device), place].float()
