"""The baseline that a genome language model must beat: an interpolated Markov model of the train split.

The probability of a base after a context of k bases is shrunk towards that after the last k−1 of them,

    p_k(b | context) = (c(context, b) + a · p_{k−1}(b | shorter context)) / (c(context) + a),    p_{−1} = 1/4,

the hierarchical Dirichlet model of MacKay & Peto (1995, Nat. Lang. Eng. 1:289) with one strength a. Counts are
taken on both strands, as the models are trained with reverse complements. Order k and strength a are those with
the lowest NLL on the val split.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from evaluation.per_base.scores import BASE_COLUMN
from workflow.artifacts import InputError

_STRENGTHS = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)


@dataclass(frozen=True)
class MarkovModel:
    """An interpolated Markov model.

    Attributes
    ----------
    tables : list of ndarray
        Natural-log probabilities; `tables[j]` is (4**j, 4) float32, its row the context of j bases as a base-4
        number, the earliest base first.
    strength : float
        The Dirichlet strength a.
    validation_nll : float
        On the val split, nats per base.
    """

    tables: list[np.ndarray]
    strength: float
    validation_nll: float

    @property
    def order(self) -> int:
        """Longest context, in bases."""
        return len(self.tables) - 1

    def logprobs(self, bases: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Natural-log probabilities of the next base, from what the window has shown so far.

        Base i of a window is predicted from the min(i, order) bases before it; a context ends at a letter other
        than A, C, G, T.

        Parameters
        ----------
        bases : ndarray, (n,) uint8
            Observed bases as ASCII of consecutive windows.
        starts : ndarray
            Where in `bases` each window begins; the first is 0.

        Returns
        -------
        ndarray, (n, 4) float32
        """
        codes = BASE_COLUMN[bases]
        breaks = np.zeros(len(bases), np.int64)
        breaks[starts] = starts
        after_gap = np.flatnonzero(codes[:-1] > 3) + 1
        breaks[after_gap] = after_gap
        seen = np.minimum(np.arange(len(bases)) - np.maximum.accumulate(breaks), self.order)
        predicted = np.empty((len(bases), 4), np.float32)
        contexts = _words(codes, self.order)
        whole = np.flatnonzero(seen == self.order)
        predicted[whole] = self.tables[self.order][contexts[whole - self.order]]
        partial = np.flatnonzero(seen < self.order)
        for length in range(self.order):
            at = partial[seen[partial] == length]
            context = np.zeros(len(at), np.int64)
            for back in range(length, 0, -1):
                context = context * 4 + codes[at - back]
            predicted[at] = self.tables[length][context]
        return predicted


def fit(train: Iterable[np.ndarray], val: Iterable[np.ndarray], max_order: int) -> MarkovModel:
    """Fit on the train split; choose order and strength on the val split.

    Parameters
    ----------
    train, val : iterable of (n,) uint8
        Bases as ASCII; contexts end with an array, and at letters other than A, C, G, T.
    max_order : int
        Largest order tried.

    Raises
    ------
    InputError
        One has no run of max_order + 1 bases.
    """
    seen = count_words(train, max_order + 1)
    seen += _other_strand(seen)
    counts = _shorter_words(seen)
    held_out = _shorter_words(count_words(val, max_order + 1))
    total = int(held_out[0].sum())
    best = (np.inf, 0, _STRENGTHS[0])
    for strength in _STRENGTHS:
        for order, table in enumerate(_log_tables(counts, strength)):
            nll = -float(np.einsum("ij,ij->", held_out[order], table, dtype=np.float64, casting="same_kind")) / total
            # A longer context must gain more than rounding to be chosen.
            if nll < best[0] - 1e-9:
                best = (nll, order, strength)
    nll, order, strength = best
    return MarkovModel(list(_log_tables(counts[: order + 1], strength)), strength, nll)


def count_words(pieces: Iterable[np.ndarray], length: int) -> np.ndarray:
    """Counts of all words of `length` bases.

    Returns
    -------
    ndarray, (4**length,) int64
        Indexed by the word as a base-4 number, the earliest base first.
    """
    counts = np.zeros(4**length, np.int64)
    for piece in pieces:
        codes = BASE_COLUMN[piece]
        gaps = np.concatenate([[0], np.cumsum(codes > 3)])
        words = _words(codes, length)
        whole = gaps[length : length + len(words)] == gaps[: len(words)]
        counts += np.bincount(words[whole], minlength=4**length)
    if not counts.any():
        raise InputError(
            f"a split has no run of {length} bases for the Markov model: lower evaluation.markov_max_order, or make "
            "split.fractions larger"
        )
    return counts


def _words(codes: np.ndarray, length: int) -> np.ndarray:
    """The word that begins at each position as a base-4 number, (n − length + 1,). Codes above 3 count as 0."""
    codes = np.where(codes > 3, 0, codes)
    size = max(len(codes) - length + 1, 0)
    words = np.zeros(size, np.int32)
    for place in range(length):
        words *= 4
        words += codes[place : place + size]
    return words


def _other_strand(counts: np.ndarray) -> np.ndarray:
    """Counts of the reverse complements: letters in reverse order, each turned to its complement (3 − code)."""
    length = round(np.log(len(counts)) / np.log(4))
    letters = counts.reshape((4,) * length)
    return np.flip(letters.transpose(tuple(reversed(range(length))))).reshape(-1)


def _shorter_words(counts: np.ndarray) -> list[np.ndarray]:
    """Counts as (4**j, 4) for j = 0 … order; each is the next one summed over the earliest base."""
    tables = [counts.reshape(-1, 4)]
    while len(tables[0]) > 1:
        tables.insert(0, tables[0].reshape(4, -1).sum(axis=0).reshape(-1, 4))
    return tables


def _log_tables(counts: list[np.ndarray], strength: float) -> Iterator[np.ndarray]:
    """Log-probabilities of order 0, 1, … by the recursion at the top of this module."""
    shorter = np.full((1, 4), 0.25, np.float32)
    for table in counts:
        by_context = table.reshape(-1, len(shorter), 4)
        mixed = np.add(by_context, np.float32(strength) * shorter, dtype=np.float32)
        mixed /= (by_context.sum(axis=2, keepdims=True) + strength).astype(np.float32)
        shorter = mixed.reshape(-1, 4)
        yield np.log(shorter)
