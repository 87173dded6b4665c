"""Sums over each window, while the predictions pass by."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import pandas as pd

from evaluation.per_base.decoding import NOT_A_BASE
from evaluation.per_base.scores import WindowScores
from evaluation.per_base.stream import Chunk
from workflow.artifacts import InputError

_COLUMNS = ("nll", "nll_repeat", "correct", "correct_repeat")


class WindowTally:
    """Adds up the scores of each window.

    Parameters
    ----------
    index : DataFrame
        Windows of the stream, in its order.
    models : sequence of str
        All models of the stream, in its order.
    """

    def __init__(self, index: pd.DataFrame, models: Sequence[str]) -> None:
        self._index, self._models = index, tuple(models)
        self._bases = np.zeros((len(index), 2), np.int64)
        self._sums = {model: np.zeros((len(index), len(_COLUMNS))) for model in self._models}
        self._average: dict[str, np.ndarray] = {}
        self._block = np.zeros(len(index), np.int64)
        self._positions = self._acgt = 0

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """See `evaluation.per_base.stream.Tally`."""
        self._block[chunk.rows] = blocks
        self._positions += len(chunk.codes)
        self._acgt += int(np.count_nonzero(chunk.codes != NOT_A_BASE))
        _count(chunk.starts, chunk.scored, chunk.repeat, self._bases[chunk.rows])
        for model, of_model in chunk.models.items():
            sums = self._sums[model][chunk.rows]
            _sum(chunk.starts, chunk.scored, chunk.repeat, of_model.nll, of_model.correct, sums)
        for model, backwards in chunk.reverse.items():
            average = self._average.setdefault(model, np.zeros(len(self._index)))
            _sum_average(chunk.starts, chunk.scored, chunk.models[model].nll, backwards.nll, average[chunk.rows])

    def result(self) -> WindowScores:
        """The table, without windows in which nothing was scored.

        Raises
        ------
        InputError
            No base could be scored at all.
        """
        scored = np.flatnonzero(self._bases[:, 0])
        if not len(scored):
            raise InputError("predict: no base could be scored; run stage=predict again with force=true")
        columns: dict[str, np.ndarray] = {
            "block": self._block,
            "bases": self._bases[:, 0],
            "bases_repeat": self._bases[:, 1],
        }
        for model, sums in self._sums.items():
            columns |= {f"{kind}_{model}": sums[:, place] for place, kind in enumerate(_COLUMNS)}
        columns |= {f"nll_average_{model}": sums for model, sums in self._average.items()}
        table = self._index[["sequence_id", "seqid", "start", "end", "strand"]].iloc[scored].reset_index(drop=True)
        table = table.assign(**{name: values[scored] for name, values in columns.items()})
        return WindowScores(
            table,
            self._models,
            not_acgt=self._positions - self._acgt,
            undefined=self._acgt - int(self._bases[:, 0].sum()),
            empty_windows=len(self._index) - len(scored),
        )


@numba.njit(nogil=True, cache=True)
def _count(starts: np.ndarray, scored: np.ndarray, repeat: np.ndarray, bases: np.ndarray) -> None:
    for window in range(len(starts) - 1):
        whole = inside = 0
        for at in range(starts[window], starts[window + 1]):
            whole += scored[at]
            inside += scored[at] & repeat[at]
        bases[window, 0] = whole
        bases[window, 1] = inside


@numba.njit(nogil=True, cache=True)
def _sum(
    starts: np.ndarray,
    scored: np.ndarray,
    repeat: np.ndarray,
    nll: np.ndarray,
    correct: np.ndarray,
    sums: np.ndarray,
) -> None:
    for window in range(len(starts) - 1):
        whole = inside = right = right_inside = 0.0
        for at in range(starts[window], starts[window + 1]):
            if scored[at]:
                # Without a branch, which would often be guessed wrongly.
                is_repeat = np.float64(repeat[at])
                whole += nll[at]
                inside += is_repeat * nll[at]
                right += correct[at]
                right_inside += is_repeat * correct[at]
        sums[window, 0] = whole
        sums[window, 1] = inside
        sums[window, 2] = right
        sums[window, 3] = right_inside


@numba.njit(nogil=True, cache=True)
def _sum_average(
    starts: np.ndarray, scored: np.ndarray, forward: np.ndarray, backward: np.ndarray, sums: np.ndarray
) -> None:
    for window in range(len(starts) - 1):
        for at in range(starts[window], starts[window + 1]):
            if scored[at]:
                sums[window] += 0.5 * (np.float64(forward[at]) + np.float64(backward[at]))
