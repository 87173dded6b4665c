"""Gate `context_length`: how many bases the model is shown at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workflow.config import Config
from workflow.gates import GateLog

_SHORTEST_CONTEXT = 128


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
    check_length(config, gates, median, f"in {subject}")
    return median


def check_length(config: Config, gates: GateLog, length: int, subject: str) -> None:
    """Gate `context_length` on one length."""
    longest = config.model.context_length
    gates.check(
        "context_length",
        _SHORTEST_CONTEXT <= length <= longest,
        subject=subject,
        saw=f"{length} bases of context {subject}",
        limit=f"{_SHORTEST_CONTEXT} to {longest}",
        why="With less, the model cannot use its filters; with more than it was trained on, it guesses.",
    )
