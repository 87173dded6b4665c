"""What a classifier says of the test sequences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """Of each test sequence, in order; of labels by base, of each base.

    Attributes
    ----------
    probabilities : list of ndarray, (n, K) float32
        Of each level; empty of a regression.
    values : ndarray, (n, columns) float64, or None
        Of a regression.
    codes : ndarray, (n, levels) int64, or None
        The labels that a method chose itself where it does not leave that to the decoding, −1 where its path has
        ended.
    parameters : int
        Numbers that were fitted.
    settings : dict
        What was chosen, and by what.
    notes : list of str
        Sentences for whoever reads the result.
    """

    probabilities: list[np.ndarray] = field(default_factory=list)
    values: np.ndarray | None = None
    codes: np.ndarray | None = None
    parameters: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
