"""A stretch of a sequence with what every model predicts there, put together from neighbouring windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import pandas as pd

from evaluation.per_base.scores import BASE_COLUMN
from evaluation.per_base.stream import Baseline
from workflow.artifacts import BASES, PerBaseScores


@dataclass(frozen=True)
class Region:
    """Predictions along a stretch of a sequence, base by base, on its forward strand.

    Attributes
    ----------
    seqid : str
    start : int
        0-based position of the first base.
    bases : ndarray, (n,) uint8
        Observed bases as ASCII; 0 where no window lies.
    logprobs : dict
        (n, 4) float32 natural-log probabilities of A, C, G, T by model, NaN where there are none. Where a window is on
        the reverse strand, they are turned: the probability of A is that of T on the other strand.
    """

    seqid: str
    start: int
    bases: np.ndarray
    logprobs: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.bases)

    @property
    def end(self) -> int:
        """One past the last base."""
        return self.start + len(self)

    def nll(self, model: str) -> np.ndarray:
        """(n,) negative log-likelihood of the observed bases in nats, NaN where there is none."""
        return -observed_logprobs(self.logprobs[model], self.bases)


def observed_logprobs(logprobs: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Log-probability of the observed base, (n,) float; NaN where it is none of A, C, G, T."""
    codes = BASE_COLUMN[bases]
    picked = logprobs[np.arange(len(codes)), np.minimum(codes, 3)].astype(float)
    observed: np.ndarray = np.where(codes < len(BASES), picked, np.nan)
    return observed


def read_region(
    predictions: Mapping[str, PerBaseScores], baselines: Mapping[str, Baseline], rows: np.ndarray
) -> Region:
    """Put windows together; where they overlap, the first of `rows` is taken.

    Parameters
    ----------
    predictions : mapping
        By model name; all hold the same windows.
    baselines : mapping
        Models that are computed here.
    rows : ndarray of int
        Windows of one sequence that are not spliced.
    """
    store = next(iter(predictions.values()))
    windows = store.index.iloc[rows]
    start, end = int(windows["start"].min()), int(windows["end"].max())
    bases = np.zeros(end - start, np.uint8)
    logprobs = {model: np.full((end - start, 4), np.nan, np.float32) for model in (*predictions, *baselines)}
    for row, first, strand in zip(rows, windows["start"].to_numpy() - start, windows["strand"], strict=True):
        observed = np.asarray(store.window(row)[1])
        place = slice(first, first + len(observed))
        free = bases[place] == 0
        read = {model: np.asarray(scores.window(row)[0]) for model, scores in predictions.items()}
        for model, baseline in baselines.items():
            read[model] = baseline.logprobs(observed, np.zeros(1, np.int64), slice(row, row + 1))
        bases[place] = np.where(free, _forward(observed, strand), bases[place])
        for model, values in read.items():
            turned = values[::-1, ::-1] if strand == "-" else values
            logprobs[model][place] = np.where(free[:, None], turned, logprobs[model][place])
    return Region(str(windows["seqid"].iloc[0]), start, bases, logprobs)


_COMPLEMENT = np.arange(256, dtype=np.uint8)
for _base, _other in zip(b"ACGTacgt", b"TGCAtgca", strict=True):
    _COMPLEMENT[_base] = _other


def _forward(bases: np.ndarray, strand: str) -> np.ndarray:
    """Bases of a window as the forward strand has them."""
    return _COMPLEMENT[bases[::-1]] if strand == "-" else bases


def neighbours(index: pd.DataFrame, row: int, longest: int) -> np.ndarray:
    """Windows that follow each other without a gap around one of them, by start.

    The run is cut at both ends, so that it spans `longest` bases at most and `row` stays near its middle.

    Parameters
    ----------
    index : DataFrame
        seqid, start, end, length of all windows.
    row : int
        A window that is not spliced.
    longest : int
        Bases. The window itself is kept however long.
    """
    near = index["seqid"].to_numpy() == index["seqid"].iloc[row]
    near &= (index["end"] - index["start"] == index["length"]).to_numpy()
    rows = np.flatnonzero(near)
    rows = rows[np.lexsort((rows, index["end"].to_numpy()[rows], index["start"].to_numpy()[rows]))]
    starts, ends = (index[name].to_numpy()[rows] for name in ("start", "end"))
    reached = np.maximum.accumulate(ends)
    run = np.cumsum(np.concatenate([[0], starts[1:] > reached[:-1]]))
    place = int(np.flatnonzero(rows == row)[0])
    here = run == run[place]
    rows, starts, ends = rows[here], starts[here], ends[here]
    middle = (int(index["start"].iloc[row]) + int(index["end"].iloc[row])) / 2
    # The nearest ones are taken first, as long as what they span is short enough.
    distance = np.where(rows == row, 0.0, np.maximum(abs(starts - middle), abs(ends - middle)))
    by_distance = np.argsort(distance, kind="stable")
    low, high = np.minimum.accumulate(starts[by_distance]), np.maximum.accumulate(ends[by_distance])
    fitting = len(list(takewhile(lambda span: span <= longest, (high - low).tolist())))
    run_of_row: np.ndarray = rows[np.sort(by_distance[: max(fitting, 1)])]
    return run_of_row
