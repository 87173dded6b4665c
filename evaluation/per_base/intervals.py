"""Mean scores of stretches of the genome that the user names: genes, enhancers, introgressed segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from evaluation.per_base.stream import Baseline, Chunk, stream
from workflow.artifacts import InputError, PerBaseScores

_NEEDED = ("seqid", "start", "end")


def score_intervals(
    predictions: Mapping[str, PerBaseScores], baselines: Mapping[str, Baseline], intervals: pd.DataFrame
) -> pd.DataFrame:
    """Mean NLL and entropy of every model over the scored bases of each interval.

    Intervals may overlap, and may lie partly or wholly outside the windows; a base that lies in several windows counts
    once for each. Windows that join exons are left out: their bases lie at no one place of the genome.

    Parameters
    ----------
    predictions : mapping
        Published per-base predictions by model name.
    baselines : mapping
        Models that are computed on the fly.
    intervals : DataFrame
        seqid, start, end (0-based half-open, forward strand), and any other columns.

    Returns
    -------
    DataFrame
        The same rows and columns, bases (scored ones), and for each model nll_<model> (nats per base) and
        entropy_<model> (bits); NaN where no base is scored.

    Raises
    ------
    InputError
        A column is missing, an interval ends before it starts, or as `evaluation.per_base.stream.stream`.
    """
    _require_intervals(intervals)
    windows = next(iter(predictions.values())).index
    names = [f"{kind}_{model}" for model in (*predictions, *baselines) for kind in ("nll", "entropy")]
    sums = np.zeros((len(intervals), 1 + len(names)))
    found = _Finder(intervals)
    for chunk in stream(predictions, baselines):
        totals = _running_totals(chunk)
        columns = [windows[name].to_numpy()[chunk.rows] for name in ("seqid", "start", "end", "strand", "length")]
        for first, seqid, begin, stop, strand, length in zip(chunk.starts[:-1], *columns, strict=True):
            if stop - begin != length:
                continue
            for row, start, end in found.within(str(seqid), int(begin), int(stop)):
                part = (start, end) if strand != "-" else (length - end, length - start)
                sums[row] += totals[first + part[1]] - totals[first + part[0]]
    bases = sums[:, 0]
    means = np.divide(sums[:, 1:], bases[:, None], out=np.full(sums[:, 1:].shape, np.nan), where=bases[:, None] > 0)
    return intervals.assign(bases=bases.astype(np.int64), **dict(zip(names, means.T, strict=True)))


class _Finder:
    """Finds the intervals that overlap a window, in time that grows with their number alone."""

    def __init__(self, intervals: pd.DataFrame) -> None:
        self._of_sequence: dict[str, tuple[np.ndarray, ...]] = {}
        start, end = (intervals[name].to_numpy(np.int64) for name in ("start", "end"))
        for seqid, rows in intervals.groupby(intervals["seqid"].astype(str)).indices.items():
            ordered = np.asarray(rows)[np.argsort(start[rows], kind="stable")]
            # What ends farthest among all before: below it nothing can reach a window.
            reached = np.maximum.accumulate(end[ordered])
            self._of_sequence[str(seqid)] = ordered, start[ordered], end[ordered], reached

    def within(self, seqid: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Row of each interval that overlaps a window, and start and end of the overlap, counted from the window's."""
        if seqid not in self._of_sequence:
            return
        rows, starts, ends, reached = self._of_sequence[seqid]
        for place in range(int(np.searchsorted(reached, start, "right")), int(np.searchsorted(starts, end, "left"))):
            low, high = max(int(starts[place]), start), min(int(ends[place]), end)
            if low < high:
                yield int(rows[place]), low - start, high - start


def _running_totals(chunk: Chunk) -> np.ndarray:
    """(n + 1, 1 + 2 · models): scored bases, NLL and entropy of each model, summed over the bases before each row."""
    columns = [chunk.scored.astype(float)]
    for model in chunk.models.values():
        columns += [np.where(chunk.scored, values, 0.0) for values in (model.nll, model.entropy)]
    totals = np.zeros((len(chunk.scored) + 1, len(columns)))
    np.cumsum(np.column_stack(columns), axis=0, out=totals[1:])
    return totals


def _require_intervals(intervals: pd.DataFrame) -> None:
    missing = [name for name in _NEEDED if name not in intervals]
    if missing:
        raise InputError(
            f"the table of intervals has no column {missing[0]}: it needs seqid, start, end (0-based, half-open); "
            f"it has {', '.join(map(str, intervals.columns)) or 'none'}"
        )
    wrong = np.flatnonzero(~(intervals["start"] <= intervals["end"]).to_numpy(bool))
    if len(wrong):
        row = intervals.iloc[int(wrong[0])]
        raise InputError(
            f"the table of intervals, row {int(wrong[0])} (counted from 0): start {row['start']} is not before "
            f"end {row['end']}; coordinates are 0-based half-open on the forward strand, whatever the strand"
        )
