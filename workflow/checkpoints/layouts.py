"""The numbers of one dialect from those of another, rule by rule. Works on tensors without numbers as well.

Products and exponentials are taken in float32 whatever the precision of the file, and stay in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workflow.checkpoints.names import Correspondence, Dialect, Rule
from workflow.errors import InputError
from workflow.striped_hyena.config import MEDIUM_FILTER_LENGTH, POLES


def to_vortex(entry: Correspondence, tensors: Sequence[Tensor], dialect: Dialect) -> tuple[Tensor, ...]:
    """The tensors under `entry.vortex`, from those under `entry.names(dialect)`.

    Raises
    ------
    RuntimeError
        The shapes do not allow it.
    """
    if dialect is Dialect.VORTEX:
        return tuple(tensors)
    first = tensors[0]
    match entry.rule:
        case Rule.TAPS:
            return (first.reshape(first.shape[0], 1, first.shape[-1]),)
        case Rule.GATED if dialect is not Dialect.SAVANNA:
            return tuple(first.chunk(2))
        case Rule.DECAYED:
            filters = (first.float() * tensors[1].float()).reshape(first.shape[0], 1, -1)
            return (filters[..., :MEDIUM_FILTER_LENGTH].contiguous(),)
        case Rule.POLES:
            p, gamma = (tensor.float().reshape(-1, POLES, 1) for tensor in tensors)
            return (-torch.exp(p) * torch.exp(gamma),)
        case Rule.RESIDUES:
            return (first.float().reshape(-1, POLES),)
        case _:
            return tuple(tensors)


def to_savanna(entry: Correspondence, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The tensors under `entry.savanna`, from those under `entry.vortex`.

    Savanna's parametrisation has more numbers than functions: p = −1 and decay = 1 are chosen, and the filters are
    equal to float32 rounding.

    Raises
    ------
    InputError
        A pole is positive: no savanna parameters give it.
    """
    first = tensors[0]
    match entry.rule:
        case Rule.TAPS:
            # The projections' filter has two axes in savanna, the short filter three.
            return (first if entry.vortex[0].endswith("filter.h") else first[:, 0],)
        case Rule.DECAYED:
            filters = first[:, 0].float()
            return filters, torch.ones_like(filters)
        case Rule.POLES:
            poles = first[..., 0].float()
            if (poles > 0).any():
                raise InputError(f"{entry.vortex[0]} holds a growing pole (above 0), which savanna cannot express")
            return torch.full_like(poles, -1.0), torch.log(-poles) + 1
        case Rule.RESIDUES:
            return (first.float(),)
        case _:
            return tuple(tensors)
