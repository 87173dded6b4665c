"""How a search went: the best so far, whether it still improved, and which trials nothing beats."""

from __future__ import annotations

import numpy as np

from evaluation.search.reading import Study

#: The last part of the trials, in which a search that has found its optimum should find nothing better.
LATE = 0.2
#: Fewest complete trials of which something can be said.
_FEWEST = 10


def running_best(study: Study, objective: int) -> np.ndarray:
    """Best value up to each trial, (trials,); NaN before the first complete one."""
    sign = study.objectives[objective].sign
    found: np.ndarray = sign * np.fmin.accumulate(sign * study.values[:, objective])
    return found


def late_gain(study: Study, objective: int) -> float:
    """How much the last fifth of the complete trials improved on those before; NaN with fewer than 10 of them."""
    values = study.objectives[objective].sign * study.values[:, objective]
    values = values[np.isfinite(values)]
    if len(values) < _FEWEST:
        return float("nan")
    before = len(values) - int(np.ceil(LATE * len(values)))
    return float(max(values[:before].min() - values[before:].min(), 0.0))


def pareto_front(study: Study) -> np.ndarray:
    """Complete trials that no other beats in one objective without being worse in another, (trials,) bool."""
    costs = study.values * [objective.sign for objective in study.objectives]
    front = np.zeros(len(costs), bool)
    rows = np.flatnonzero(np.isfinite(costs).all(axis=1))
    for row in rows:
        others = costs[rows]
        beaten = (others <= costs[row]).all(axis=1) & (others < costs[row]).any(axis=1)
        front[row] = not beaten.any()
    return front
