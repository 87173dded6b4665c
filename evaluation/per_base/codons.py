"""Codon level: where in the genetic code does a model's error go, and how severe is it?

At each of the three bases of a codon the model has spread a probability over the four bases, given what it has read.
What it gave to the three wrong ones is its error mass there (renormalised over A, C, G, T): each is a substitution of
that single base, which changes the amino acid or not. A model that knows proteins puts its errors on synonymous
codons. A guess that is uniform over the nine substitutions puts there what the code and the codons that occur dictate,
which is the expectation that every share stands beside.

This is the error of single bases. The distribution over all 64 codons, P(b1)·P(b2 | b1)·P(b3 | b1 b2), would need the
model's prediction after each *wrong* first base as well, and per-base scores hold what it gave after the observed bases
only. Where a gene is read backwards, its complement is read from the codon's last base to its first, so that the model
knows other bases when it errs: the two directions are kept apart.

Severity is the mean distance in the codon tree (`evaluation.per_base.genetic_code.tree_distances`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import pandas as pd

from evaluation.per_base.around import READINGS
from evaluation.per_base.genetic_code import CODONS, EFFECTS, substitutions
from evaluation.per_base.stream import Chunk
from evaluation.statistics.bootstrap import resampled_totals
from evaluation.statistics.groups import GROUPS, bounds, group_of, ratio, used_groups
from workflow.artifacts import BASE_CLASSES

#: What is measured, in the order of the table.
MEASURES = ("error_mass", *EFFECTS, "severity", "synonymous_ratio", "severity_ratio")
_CDS = BASE_CLASSES.index("cds_0")
_SHAPE = (GROUPS, len(READINGS), len(CODONS))
#: Codon positions that a row of the result is about; 0 is all three.
POSITIONS = (0, 1, 2, 3)


@dataclass(frozen=True)
class CodonErrors:
    """Error mass on single-base substitutions within codons.

    Attributes
    ----------
    table : DataFrame
        One row for each reading (`around.READINGS`), codon position (1, 2, 3; 0 is all) and model, a `uniform` guess
        first: codons; error_mass (probability on wrong bases, per codon); the shares of it that are `synonymous`,
        `missense`, `nonsense` (to a stop) and `stop_loss`; `severity`, the mean distance in the codon tree (1 to 3);
        `synonymous_ratio` and `severity_ratio`, over those of the uniform guess. Each with `_low` and `_high`. NaN
        where there is no codon or nothing to divide by.
    genetic_code : int
        NCBI's number of the translation table.
    """

    table: pd.DataFrame
    genetic_code: int

    @property
    def empty(self) -> bool:
        """Whether no complete codon was scored."""
        return not self.table["codons"].any()


class CodonTally:
    """Adds up, chunk by chunk, the probability on each base at each position of each codon.

    Parameters
    ----------
    models : sequence of str
        Models of the chunks, baselines included.
    genetic_code : int
        NCBI's number of the translation table.

    Raises
    ------
    InputError
        There is no such translation table.
    """

    def __init__(self, models: Sequence[str], genetic_code: int) -> None:
        self._genetic_code = genetic_code
        self._effect, self._distance = substitutions(genetic_code)
        self._codons = np.zeros(_SHAPE)
        self._mass = {model: np.zeros((*_SHAPE, 3, 4)) for model in models}

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """Add the windows of a chunk; nothing when the stream has no class track.

        Parameters
        ----------
        chunk : Chunk
        blocks : ndarray, (windows of the chunk,) int64
            Block number of each window.
        """
        if chunk.classes is None:
            return
        first, codon, against, window = find_codons(chunk.classes, chunk.codes, chunk.scored, chunk.starts)
        if not len(first):
            return
        group = group_of(blocks)[window]
        np.add.at(self._codons, (group, against, codon), 1.0)
        for model, mass in self._mass.items():
            _add_mass(mass, group, against, codon, codon_probabilities(chunk.models[model].logprobs, first))

    def result(self, samples: int, confidence: float, seed: int) -> CodonErrors:
        """Shares and their block-bootstrap intervals.

        Parameters
        ----------
        samples, confidence, seed : int, float, int
            Number of resamplings, coverage of the intervals, seed of the generator.
        """
        models = ("uniform", *self._mass)
        uniform = np.broadcast_to(self._codons[..., None, None] / 4, (*_SHAPE, 3, 4))
        sums = np.stack([self._sums(mass) for mass in (uniform, *self._mass.values())], axis=3)
        codons = np.broadcast_to(self._codons.sum(axis=2)[:, :, None, None, None], (*sums.shape[:4], 1))
        columns = np.concatenate([codons, sums], axis=4)
        columns = columns[used_groups(columns[..., 0])]
        estimates = _measures(columns.sum(axis=0))
        totals = resampled_totals(columns.reshape(len(columns), -1), samples, seed)
        draws = _measures(totals.reshape(samples, *columns.shape[1:]))
        observations = np.count_nonzero(columns[..., 0], axis=0)[..., None]
        low, high = bounds(draws, np.broadcast_to(observations, estimates.shape), confidence)
        names = ["reading", "position", "model"]
        keys = pd.MultiIndex.from_product([READINGS, POSITIONS, models], names=names).to_frame(index=False)
        keys["codons"] = columns[..., 0].sum(axis=0).ravel().astype(np.int64)
        for place, measure in enumerate(MEASURES):
            keys[measure] = estimates[..., place].ravel()
            keys[f"{measure}_low"], keys[f"{measure}_high"] = low[..., place].ravel(), high[..., place].ravel()
        return CodonErrors(keys, self._genetic_code)

    def _sums(self, mass: np.ndarray) -> np.ndarray:
        """(groups, readings, positions, 6): error mass in all, by effect, and times the distance."""
        kinds = [self._effect >= 0, *(self._effect == effect for effect in range(len(EFFECTS))), self._distance]
        weights = np.stack([np.asarray(kind, float) for kind in kinds])
        by_position = np.einsum("grcpb,kcpb->grpk", mass, weights, optimize=True)
        return np.concatenate([by_position.sum(axis=2, keepdims=True), by_position], axis=2)


def _measures(columns: np.ndarray) -> np.ndarray:
    """From sums (…, models, 7), the uniform guess first, to the measures of `CodonErrors` in the table's order."""
    codons, total, by_kind = columns[..., :1], columns[..., 1:2], columns[..., 2:]
    shares = ratio(by_kind, total)
    compared = shares[..., [0, -1]]
    return np.concatenate([ratio(total, codons), shares, ratio(compared, compared[..., :1, :])], axis=-1)


# ---------------------------------------------------------------- kernels


def find_codons(
    classes: np.ndarray, codes: np.ndarray, scored: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codons whose three bases are neighbours in a window, in frame and scored.

    Parameters
    ----------
    classes, codes : ndarray, (n,) uint8
        Class and observed base (0 to 3 for A, C, G, T) of each position.
    scored : ndarray, (n,) bool
    starts : ndarray, (windows + 1,)
        Where each window begins, and where the last one ends.

    Returns
    -------
    first : ndarray, (m,) int64
        Where each codon begins, in the order of reading.
    codon : ndarray, (m,) int64
        Place in `CODONS`, in the direction of transcription.
    against : ndarray, (m,) int64
        1 where the gene is read backwards: classes 2, 1, 0, and the codon is the reverse complement.
    window : ndarray, (m,) int64
    """
    found = np.empty((4, len(classes) // 2 + 1), np.int64)
    number = _find(classes, codes, scored, starts, found)
    first, codon, against, window = found[:, :number]
    return first, codon, against, window


@numba.njit(nogil=True, cache=True)
def _find(classes: np.ndarray, codes: np.ndarray, scored: np.ndarray, starts: np.ndarray, found: np.ndarray) -> int:
    number = 0
    for window in range(len(starts) - 1):
        for at in range(starts[window], starts[window + 1] - 2):
            if classes[at + 1] != _CDS + 1 or not (scored[at] and scored[at + 1] and scored[at + 2]):
                continue
            left, middle, right = np.int64(codes[at]), np.int64(codes[at + 1]), np.int64(codes[at + 2])
            if classes[at] == _CDS and classes[at + 2] == _CDS + 2:
                codon, against = 16 * left + 4 * middle + right, 0
            elif classes[at] == _CDS + 2 and classes[at + 2] == _CDS:
                codon, against = 16 * (3 - right) + 4 * (3 - middle) + (3 - left), 1
            else:
                continue
            found[0, number], found[1, number], found[2, number], found[3, number] = at, codon, against, window
            number += 1
    return number


@cache
def _exponentials() -> np.ndarray:
    """(65536,) float32: e^x of each 16-bit number x."""
    with np.errstate(over="ignore", invalid="ignore"):
        values: np.ndarray = np.exp(np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32))
    return values


def codon_probabilities(logprobs: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(m, 3, 4) float32, at the three bases from each of `first` on, from float16 or float32 logarithms (n, 4)."""
    if logprobs.dtype == np.float16:
        values: np.ndarray = _looked_up(logprobs.view(np.uint16), first, _exponentials())
        return values
    values = np.exp(logprobs[first[:, None] + np.arange(3)])
    return values


@numba.njit(nogil=True, cache=True)
def _looked_up(words: np.ndarray, first: np.ndarray, table: np.ndarray) -> np.ndarray:
    values = np.empty((len(first), 3, 4), np.float32)
    for row in range(len(first)):
        for place in range(3):
            for base in range(4):
                values[row, place, base] = table[words[first[row] + place, base]]
    return values


@numba.njit(nogil=True, cache=True)
def _add_mass(
    mass: np.ndarray, group: np.ndarray, against: np.ndarray, codon: np.ndarray, probabilities: np.ndarray
) -> None:
    """Add each codon's probabilities (m, 3, 4; in the order of reading), renormalised, on the gene's strand."""
    for row in range(len(codon)):
        cells = mass[group[row], against[row], codon[row]]
        for place in range(3):
            total = 0.0
            for base in range(4):
                total += probabilities[row, place, base]
            for base in range(4):
                share = probabilities[row, place, base] / total
                if against[row]:
                    cells[2 - place, 3 - base] += share
                else:
                    cells[place, base] += share
