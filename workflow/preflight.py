"""The gates that need nothing but the configuration: checked for all stages before any of them runs."""

from __future__ import annotations

from dataclasses import asdict

from workflow.config import Config
from workflow.gates import GateLog

_SHORTEST_CONTEXT = 128


def preflight(config: Config, stage: str) -> GateLog:
    """The gate log of a stage, with the gates that can be told beforehand.

    Raises
    ------
    GateError
        One fired and its action is `stop`.
    """
    gates = GateLog(asdict(config.gates))
    if stage == "convert" and config.train.method != "scratch":
        _check_precision(config, gates)
    lengths = {"train": config.train.context_length, "predict": config.windows.length}
    if stage in lengths:
        gates.check(
            "context_length",
            lengths[stage] >= _SHORTEST_CONTEXT,
            saw=f"{lengths[stage]} bases of context for {stage}",
            limit=f"at least {_SHORTEST_CONTEXT}",
            why="With less, the model cannot use its medium filters, and a score says nothing of its knowledge.",
        )
    return gates


def _check_precision(config: Config, gates: GateLog) -> None:
    model, backend = config.model, config.backend.name
    gates.check(
        "checkpoint_precision",
        not (model.needs_fp8 and backend == "local"),
        saw=f"{model.name} on backend {backend}, which computes in float32 or bfloat16"
        + (", while these weights need FP8" if model.needs_fp8 else ""),
        limit="weights that keep their quality without FP8",
        why="Without FP8 such a checkpoint scores near random: use evo2_7b, or weights tuned for bfloat16.",
    )
