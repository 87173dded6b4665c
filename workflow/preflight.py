"""Gates on what a run is about to do: those that need the configuration only, before any stage runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

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
        _check_context(config, gates, lengths[stage], f"asked for in {stage}")
    return gates


def check_context(config: Config, gates: GateLog, lengths: Sequence[int] | np.ndarray, subject: str) -> int:
    """Gate `context_length` on what the model is really shown.

    Parameters
    ----------
    lengths : sequence of int
        Bases of each sample or window.
    subject : str
        What these are.

    Returns
    -------
    int
        Half of all bases lie in sequences at least this long.
    """
    ordered = np.sort(np.asarray(lengths, dtype=np.int64))[::-1]
    median = int(ordered[np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)])
    _check_context(config, gates, median, f"in {subject}")
    return median


def _check_context(config: Config, gates: GateLog, length: int, subject: str) -> None:
    longest = config.model.context_length
    gates.check(
        "context_length",
        _SHORTEST_CONTEXT <= length <= longest,
        subject=subject,
        saw=f"{length} bases of context {subject}",
        limit=f"{_SHORTEST_CONTEXT} to {longest}",
        why="With less, the model cannot use its filters; with more than it was trained on, it guesses.",
    )


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
