"""Per-window scores of several models over exactly the same bases.

A model's score is the negative log-likelihood (NLL) that it gave to the observed bases, in nats, with its raw
probabilities: what it gave to other tokens than A, C, G and T counts against it. A base is scored when it is A,
C, G or T in either case and *every* model has a prediction for it, so that all differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import pandas as pd

from workflow.artifacts import BASES, InputError, PerBaseScores

#: NLL per base of a guess that knows nothing, in nats.
UNIFORM_NLL = float(np.log(4))
_CHUNK_POSITIONS = 1 << 18
# float16 has 11 significant bits, so that four rounded probabilities may add up to a little more than 1.
_LARGEST_TOTAL = 1.01
_NOT_A_BASE = 4

#: Column of a byte in a (…, 4) array, 4 for everything that is not A, C, G, T in either case.
BASE_COLUMN = np.full(256, _NOT_A_BASE, np.uint8)
for _code, _base in enumerate(BASES):
    BASE_COLUMN[[ord(_base), ord(_base.lower())]] = _code


class Baseline(Protocol):
    """A model that is computed here rather than read."""

    def logprobs(self, bases: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """(n, 4) natural-log probabilities for `bases` (n,) uint8, with windows beginning at `starts`."""
        ...


@dataclass(frozen=True)
class WindowScores:
    """Scores of each window.

    Attributes
    ----------
    table : DataFrame
        sequence_id, seqid, start, end (0-based half-open), strand, bases (scored), and for each model
        `nll_<model>` (sum over the scored bases, nats) and `correct_<model>` (expected number of bases for which
        the most probable one is right; n models that tie share the point).
    models : tuple of str
        In the order of the columns.
    not_acgt, undefined : int
        Positions left out because the observed base is none of A, C, G, T; because a model has no prediction.
    empty_windows : int
        Windows without any scored base; they have no row in `table`.
    """

    table: pd.DataFrame
    models: tuple[str, ...]
    not_acgt: int
    undefined: int
    empty_windows: int

    @property
    def bases(self) -> int:
        """Number of scored bases."""
        return int(self.table["bases"].sum())

    @property
    def typical_length(self) -> int:
        """Base-weighted median of the windows' lengths: half of all bases lie in windows at least this long."""
        lengths = np.sort((self.table["end"] - self.table["start"]).to_numpy(np.int64))[::-1]
        covered = np.cumsum(lengths)
        return int(lengths[np.searchsorted(covered, covered[-1] / 2)])

    def nll_sums(self) -> np.ndarray:
        """(windows, models) sums of NLL in nats."""
        sums: np.ndarray = np.column_stack([self.table[f"nll_{model}"].to_numpy(float) for model in self.models])
        return sums

    def per_base(self, model: str) -> np.ndarray:
        """(windows,) mean NLL of a model in nats per base."""
        per_base: np.ndarray = self.table[f"nll_{model}"].to_numpy(float) / self.table["bases"].to_numpy(float)
        return per_base

    def gain(self, model: str, reference: str) -> np.ndarray:
        """(windows,) nats per base that `model` explains more than `reference`."""
        gain: np.ndarray = self.per_base(reference) - self.per_base(model)
        return gain

    @property
    def main_pair(self) -> tuple[str, str]:
        """Model and reference of the run's main question: adapted over base, or its only model over Markov."""
        return ("adapted", "base") if {"adapted", "base"} <= set(self.models) else (self.models[0], "markov")


def score_windows(predictions: dict[str, PerBaseScores], baselines: dict[str, Baseline] | None = None) -> WindowScores:
    """Score every window under every model.

    Parameters
    ----------
    predictions : dict
        Published per-base predictions by model name. All must hold the same windows.
    baselines : dict, optional
        Models that are computed on the fly.

    Raises
    ------
    InputError
        The models were scored on different windows; what is stored are not log-probabilities; an observed base
        has probability 0; nothing could be scored.
    """
    stores = list(predictions.values())
    for other in stores[1:]:
        _require_same_windows(stores[0], other)
    computed = baselines or {}
    index = stores[0].index
    models = (*predictions, *computed)
    totals = {f"{kind}_{model}": np.zeros(len(index)) for model in models for kind in ("nll", "correct")}
    scored = np.zeros(len(index), np.int64)
    not_acgt = undefined = 0
    for first, last in _chunks(index["length"].to_numpy()):
        lengths = index["length"].to_numpy()[first:last]
        begin = int(index["offset"].iloc[first])
        rows = slice(begin, begin + int(lengths.sum()))
        bases = np.asarray(stores[0].bases[rows])
        logprobs = {model: _by_base(store.logprobs[rows]) for model, store in predictions.items()}
        starts = np.cumsum(lengths) - lengths
        logprobs |= {model: _by_base(baseline.logprobs(bases, starts)) for model, baseline in computed.items()}

        codes = BASE_COLUMN[bases]
        is_base = codes != _NOT_A_BASE
        defined = np.logical_and.reduce([~np.isnan(array.sum(axis=0)) for array in logprobs.values()])
        keep = is_base & defined
        not_acgt += int((~is_base).sum())
        undefined += int((is_base & ~defined).sum())
        scored[first:last] = np.add.reduceat(keep, starts, dtype=np.int64)
        for model, store in predictions.items():
            _require_probabilities(logprobs[model], keep, store)
        for model, array in logprobs.items():
            nll, correct = _per_base(array, codes)
            totals[f"nll_{model}"][first:last] = np.add.reduceat(np.where(keep, nll, 0), starts, dtype=np.float64)
            totals[f"correct_{model}"][first:last] = np.add.reduceat(np.where(keep, correct, 0), starts)

    table = index[["sequence_id", "seqid", "start", "end", "strand"]].assign(bases=scored, **totals)
    table = table[table["bases"] > 0].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{stores[0].folder}: no base could be scored; run stage=predict again with force=true")
    for model, store in predictions.items():
        _require_finite(table, model, store)
    return WindowScores(table, models, not_acgt, undefined, len(index) - len(table))


def entropy_bits(logprobs: np.ndarray) -> np.ndarray:
    """Shannon entropy of the next-base distribution, in bits: 0 is certain, 2 knows nothing.

    The four probabilities are renormalised to add up to 1 first: the entropy is that of the model's choice among
    A, C, G and T, whatever it gave to other tokens.

    Parameters
    ----------
    logprobs : ndarray, (n, 4)
        Natural-log probabilities; a row with NaN gives NaN.
    """
    raised = np.exp(logprobs.astype(np.float64))
    share = raised / raised.sum(axis=1, keepdims=True)
    terms = np.zeros_like(share)
    np.log2(share, out=terms, where=~(share <= 0))
    entropy: np.ndarray = np.maximum(-(share * terms).sum(axis=1), 0.0)
    return entropy


def _chunks(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of windows [first, last) with about `_CHUNK_POSITIONS` positions; a longer window stands alone."""
    chunk = (np.cumsum(lengths) - lengths) // _CHUNK_POSITIONS
    borders = np.flatnonzero(np.diff(chunk)) + 1
    edges = [0, *borders.tolist(), len(lengths)]
    yield from ((first, last) for first, last in pairwise(edges) if last > first)


def _by_base(logprobs: np.ndarray) -> np.ndarray:
    """(n, 4) as (4, n) float32, each base's values side by side: numpy is several times faster along them."""
    return np.ascontiguousarray(logprobs.T).astype(np.float32)


def _per_base(logprobs: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NLL (n,) and share of the point for the most probable base (n,); of no meaning where there is no base."""
    picked = np.minimum(codes, 3)[None].astype(np.intp)
    observed = np.take_along_axis(logprobs, picked, axis=0)[0]
    best = logprobs.max(axis=0)
    ties = (logprobs == best).sum(axis=0, dtype=np.uint8)
    return -observed, (observed == best) / np.maximum(ties, 1)


def _require_same_windows(first: PerBaseScores, second: PerBaseScores) -> None:
    columns = ["sequence_id", "seqid", "start", "end", "strand", "offset", "length"]
    same = len(first) == len(second) and bool((first.index[columns] == second.index[columns]).to_numpy().all())
    if not same or not np.array_equal(first.bases, second.bases):
        raise InputError(
            f"{first.folder} and {second.folder} hold different windows: a paired comparison needs the same; "
            "run stage=predict again with force=true"
        )


def _require_probabilities(logprobs: np.ndarray, keep: np.ndarray, store: PerBaseScores) -> None:
    total = np.exp(logprobs).sum(axis=0)
    if np.any(total[keep] > _LARGEST_TOTAL):
        raise InputError(
            f"{store.folder / 'logprobs.npy'}: the probabilities of A, C, G, T add up to more than 1; "
            "these are no log-probabilities, write them normalised over the vocabulary"
        )


def _require_finite(table: pd.DataFrame, model: str, store: PerBaseScores) -> None:
    broken = ~np.isfinite(table[f"nll_{model}"].to_numpy())
    if broken.any():
        raise InputError(
            f"{store.folder / 'logprobs.npy'}: an observed base of window "
            f"{table['sequence_id'][int(broken.argmax())]} has probability 0, so that the likelihood is 0; "
            "score in fp32"
        )
