"""The baseline that a genome language model must beat: an interpolated Markov model of the train split.

The probability of a base after a context of k bases is shrunk towards that after the last k−1 of them,

    p_k(b | context) = (c(context, b) + a · p_{k−1}(b | shorter context)) / (c(context) + a),    p_{−1} = 1/4,

the hierarchical Dirichlet model of MacKay & Peto (1995, Nat. Lang. Eng. 1:289) with one strength a. Counts are
taken on both strands, as the models are trained with reverse complements. Order k and strength a are those with
the lowest NLL on the val split. Orders above log₄(bases of train) + 1 are not tried: most of their contexts would
have been seen less than once.

Order 12 takes 0.4 GB, and 1.2 GB while it is fitted, whatever the genome's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit

from evaluation.artefacts.sequences import encode, regions_of_split, reverse_complement
from evaluation.baselines.words import add_other_strand, count_words, require_words, shorter_words
from evaluation.per_base.scores import BASE_COLUMN
from workflow.artifacts import read_table

_STRENGTHS = (0.25, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)
_LETTERS = np.frombuffer(b"ACGTN", np.uint8)
_NOT_KEPT = np.empty((0, 4), np.float32)


@dataclass(frozen=True)
class MarkovModel:
    """An interpolated Markov model.

    Attributes
    ----------
    table : ndarray, ((4**(order + 1) − 1) / 3, 4) float32
        Natural-log probabilities of A, C, G, T: the row of the empty context, then the rows of the contexts of
        1, 2, … bases, each by its context as a base-4 number, the earliest base first.
    strength : float
        The Dirichlet strength a.
    validation_nll : float
        On the val split, nats per base.
    """

    table: np.ndarray
    strength: float
    validation_nll: float

    @property
    def order(self) -> int:
        """Longest context, in bases."""
        order = 0
        while _first_row(order + 1) < len(self.table):
            order += 1
        return order

    @property
    def tables(self) -> list[np.ndarray]:
        """The same by length of the context: `tables[j]` is (4**j, 4)."""
        return [_level(self.table, length) for length in range(self.order + 1)]

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice | None = None) -> np.ndarray:
        """Natural-log probabilities of the next base, from what the window has shown so far.

        Base i of a window is predicted from the min(i, order) bases before it; a context ends at a letter other
        than A, C, G, T.

        Parameters
        ----------
        bases : ndarray, (n,) uint8
            Observed bases as ASCII of consecutive windows.
        starts : ndarray
            Where in `bases` each window begins; the first is 0.
        rows : slice, optional
            Which windows these are; not needed.

        Returns
        -------
        ndarray, (n, 4) float32
        """
        predicted = np.empty((len(bases), 4), np.float32)
        borders = np.append(starts, len(bases)).astype(np.int64)
        _predict(np.asarray(bases), BASE_COLUMN, borders, self.table, self.order, predicted)
        return predicted

    def average(self, sequence: str) -> float:
        """Mean log-likelihood of a sequence, nats per base A, C, G, T; NaN where it has none."""
        return self._average(encode(sequence))

    def strand_average(self, sequence: str) -> float:
        """The mean of `average` for a sequence and for its reverse complement."""
        codes = encode(sequence)
        return (self._average(codes) + self._average(reverse_complement(codes))) / 2

    def _average(self, codes: np.ndarray) -> float:
        known = np.flatnonzero(codes < 4)
        if not len(known):
            return float("nan")
        logprobs = self.logprobs(_LETTERS[codes], np.zeros(1, np.int64))
        return float(logprobs[known, codes[known]].mean(dtype=np.float64))


def fit_prepared(prepared: Path, max_order: int) -> MarkovModel:
    """Fit on the train regions of a prepared genome; choose order and strength on its val regions.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.
    max_order : int
        Largest order tried, where the train split is large enough for it.

    Raises
    ------
    InputError
        A file is missing, or a split has no run of bases that is long enough.
    """
    regions = read_table(prepared / "split.parquet", ["start", "end", "split"])
    train = regions[regions["split"] == "train"]
    order = highest_order(int((train["end"] - train["start"]).sum()), max_order)
    train_bases, val_bases = (regions_of_split(prepared, split, order) for split in ("train", "val"))
    return fit(train_bases, val_bases, order)


def highest_order(train_bases: int, max_order: int) -> int:
    """The largest order that so many bases can teach: log₄ of them + 1, rounded down, and `max_order` at most."""
    order = 0
    while order < max_order and 4 ** (order + 1) <= 4 * train_bases:
        order += 1
    return order


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
    counts = _counts(train, max_order, both_strands=True)
    held_out = _counts(val, max_order, both_strands=False)
    total = int(held_out[0].sum())
    best = (np.inf, 0, _STRENGTHS[0])
    for strength in _STRENGTHS:
        for order, nats in enumerate(_held_out_nll(counts, held_out, strength)):
            # A longer context must gain more than rounding to be chosen.
            if nats / total < best[0] - 1e-9:
                best = (nats / total, order, strength)
    nll, order, strength = best
    del held_out
    return MarkovModel(_log_table(counts[: order + 1], strength), strength, nll)


def _counts(pieces: Iterable[np.ndarray], order: int, both_strands: bool) -> list[np.ndarray]:
    """Counts (4**j, 4) of each base after each context of j bases, for j = 0 … order."""
    words = count_words(pieces, order + 1)
    require_words(words, order + 1)
    if both_strands:
        add_other_strand(words)
    return shorter_words(words)


def _held_out_nll(counts: list[np.ndarray], held_out: list[np.ndarray], strength: float) -> Iterator[float]:
    """Nats of all held-out bases under order 0, 1, …; the probabilities of two orders are held at a time."""
    shorter: np.ndarray = np.full((1, 4), 0.25, np.float32)
    for order, (table, held) in enumerate(zip(counts, held_out, strict=True)):
        mixed = np.empty(table.shape, np.float32) if order + 1 < len(counts) else _NOT_KEPT
        yield _shrink(table, shorter, strength, held, mixed)
        shorter = mixed


def _log_table(counts: list[np.ndarray], strength: float) -> np.ndarray:
    """`MarkovModel.table`."""
    table: np.ndarray = np.empty((_first_row(len(counts)), 4), np.float32)
    shorter = np.full((1, 4), 0.25, np.float32)
    for order, counted in enumerate(counts):
        mixed = _level(table, order)
        _shrink(counted, shorter, strength, counted[:0], mixed)
        shorter = mixed
    np.log(table, out=table)
    return table


def _first_row(length: int) -> int:
    """Number of contexts that are shorter than so many bases."""
    return int((4**length - 1) // 3)


def _level(table: np.ndarray, length: int) -> np.ndarray:
    """The rows of the contexts of so many bases."""
    return table[_first_row(length) : _first_row(length + 1)]


@njit(nogil=True, cache=True)
def _shrink(counts, shorter, strength, held_out, mixed):  # type: ignore[no-untyped-def]
    """The recursion at the top of this module: fills `mixed` unless it is empty; nats of the held-out bases."""
    nats, last = 0.0, shorter.shape[0] - 1
    for row in range(counts.shape[0]):
        is_kept = row < mixed.shape[0]
        is_held = row < held_out.shape[0]
        if not is_kept and held_out[row, 0] + held_out[row, 1] + held_out[row, 2] + held_out[row, 3] == 0:
            continue
        total = strength
        for base in range(4):
            total += counts[row, base]
        for base in range(4):
            share = (counts[row, base] + strength * shorter[row & last, base]) / total
            if is_kept:
                mixed[row, base] = share
            if is_held and held_out[row, base] > 0:
                nats -= held_out[row, base] * np.log(share)
    return nats


@njit(nogil=True, cache=True)
def _predict(bases, columns, borders, table, order, predicted):  # type: ignore[no-untyped-def]
    first_row = np.zeros(order + 1, np.int64)
    for length in range(order):
        first_row[length + 1] = 4 * first_row[length] + 1
    mask = (1 << (2 * order)) - 1
    for window in range(borders.shape[0] - 1):
        context, seen = 0, 0
        for place in range(borders[window], borders[window + 1]):
            row = first_row[seen] + context
            for base in range(4):
                predicted[place, base] = table[row, base]
            code = columns[bases[place]]
            if code > 3:
                context, seen = 0, 0
            else:
                context = ((context << 2) | code) & mask
                seen = min(seen + 1, order)
