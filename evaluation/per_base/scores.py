"""Per-window scores of several models over exactly the same bases.

A model's score is the negative log-likelihood (NLL) that it gave to the observed bases, in nats, with its raw
probabilities: what it gave to other tokens than A, C, G and T counts against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.per_base.decoding import NOT_A_BASE
from evaluation.statistics.blocks import block_sums
from workflow.artifacts import BASES

#: NLL per base of a guess that knows nothing, in nats.
UNIFORM_NLL = float(np.log(4))  #: Which bases a number is about: all, those that are not soft-masked, those that are.
ALL, OUTSIDE, INSIDE = "all bases", "outside repeats", "in repeats"
REPEATS = (ALL, OUTSIDE, INSIDE)

#: Column of a byte in a (…, 4) array, 4 for everything that is not A, C, G, T in either case.
BASE_COLUMN = np.full(256, NOT_A_BASE, np.uint8)
for _code, _base in enumerate(BASES):
    BASE_COLUMN[[ord(_base), ord(_base.lower())]] = _code


@dataclass(frozen=True)
class WindowScores:
    """Scores of each window.

    Attributes
    ----------
    table : DataFrame
        sequence_id, seqid, start, end (0-based half-open), strand, block (that it is resampled with), bases (scored),
        bases_repeat (of these, soft-masked), and for each model `nll_<model>` (sum over the scored bases, nats),
        `correct_<model>` (expected number of bases for which the most probable one is right; n bases that tie share
        the point), and `nll_repeat_<model>`, `correct_repeat_<model>` over the soft-masked bases alone. For models that
        were also read as the reverse complement `nll_average_<model>`: the sum of the mean of both NLLs.
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

    @property
    def both_directions(self) -> tuple[str, ...]:
        """Models that were also read as the reverse complement."""
        return tuple(model for model in self.models if f"nll_average_{model}" in self.table)

    def by_block(self, stratum: np.ndarray, strata: int) -> tuple[np.ndarray, np.ndarray]:
        """Sums over the windows of each block and stratum.

        Parameters
        ----------
        stratum : ndarray, (windows,) int
            Number of each window's stratum.
        strata : int
            How many there are.

        Returns
        -------
        bases : ndarray, (blocks, strata, 3)
            Scored bases, for each of `REPEATS`.
        sums : ndarray, (blocks, strata, 3, 2 · models)
            NLL of each model, then `correct` of each.
        """
        kinds = [(kind, model) for kind in ("nll", "correct") for model in self.models]
        names = [("bases", "bases_repeat"), *((f"{kind}_{model}", f"{kind}_repeat_{model}") for kind, model in kinds)]
        columns = []
        for whole, inside in names:
            of_whole, of_inside = (self.table[name].to_numpy(float) for name in (whole, inside))
            columns += [of_whole - of_inside, of_inside]
        cell = self.table["block"].to_numpy(np.int64) * strata + stratum
        blocks = int(self.table["block"].max()) + 1
        sums = block_sums(np.column_stack(columns), cell, blocks * strata)
        both = with_all(np.moveaxis(sums.reshape(blocks, strata, -1, 2), 2, 3))
        return both[..., 0], both[..., 1:]

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


def with_all(values: np.ndarray) -> np.ndarray:
    """From (blocks, strata, 2, …), outside and inside repeats, to (blocks, strata, 3, …) in the order of `REPEATS`."""
    return np.concatenate([values.sum(axis=2, keepdims=True), values], axis=2)


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
