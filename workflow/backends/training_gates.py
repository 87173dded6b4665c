"""The gates that watch a training."""

from __future__ import annotations

import math

from torch import nn

from workflow.gates import GateLog
from workflow.striped_hyena.adapters import adapter_shifts

_UNIFORM_NLL = math.log(4)


def check_adapters_move(model: nn.Module, gates: GateLog, step: int) -> None:
    """Gate `adapters_move`: every adapter must have left its initial value of zero."""
    shifts = adapter_shifts(model)
    if not shifts:
        return
    unmoved = [name for name, shift in shifts.items() if shift == 0]
    gates.check(
        "adapters_move",
        not unmoved,
        saw=f"{len(unmoved)} of {len(shifts)} adapters unmoved after {step} steps"
        + (f", such as {unmoved[0]}" if unmoved else ""),
        limit="0 unmoved",
        why="An adapter that stays at zero changes nothing: the score would be that of the base model.",
    )


def check_first_validation_loss(loss: float, gates: GateLog) -> None:
    """Gate `first_validation_loss`: the base model must know more of the genome than nothing."""
    gates.check(
        "first_validation_loss",
        loss < _UNIFORM_NLL,
        saw=f"{loss:.4f} nats per base before the first step",
        limit=f"below ln 4 = {_UNIFORM_NLL:.4f}, a uniform guess",
        why="The base weights were not loaded, do not fit the precision, or know nothing of such sequence"
        " (6.24 = ln 512 means random weights).",
    )
