"""The gates that watch a training, whatever runs it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from workflow.gates import GateLog

_UNIFORM_NLL = math.log(4)


def check_adapters_move(shifts: Mapping[str, float], gates: GateLog, step: int) -> None:
    """Gate `adapters_move`: every adapter must have left its initial value of zero.

    Parameters
    ----------
    shifts : mapping
        How far each adapter has moved, by its name; empty where there are none.
    """
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


def check_first_validation_loss(loss: float, gates: GateLog, step: int = 0) -> None:
    """Gate `first_validation_loss`: the base model must know more of the genome than nothing."""
    gates.check(
        "first_validation_loss",
        loss < _UNIFORM_NLL,
        saw=f"{loss:.4f} nats per base " + (f"after {step} steps" if step else "before the first step"),
        limit=f"below ln 4 = {_UNIFORM_NLL:.4f}, a uniform guess",
        why="The base weights were not loaded, do not fit the precision, or know nothing of such sequence"
        " (6.24 = ln 512 means random weights).",
    )


def check_finite(loss: float, gates: GateLog, step: int, kind: str) -> None:
    """Gate `finite_loss`: neither NaN nor infinite.

    Parameters
    ----------
    kind : str
        Which loss: training or validation.
    """
    gates.check(
        "finite_loss",
        math.isfinite(loss),
        saw=f"a {kind} loss of {loss} at step {step}",
        limit="a finite loss",
        why="The weights are spoilt from here on: use a smaller train.learning_rate, more train.warmup_steps, or bf16.",
        subject=kind,
    )
