"""Codon periodicity: does the NLL of coding bases repeat every three bases, as the genetic code makes it?

The third base of a codon is the freest, so that a model that has found the reading frame is surer of the first two.
Stretches of coding bases in frame are cut into segments of 351 bases, of which 1/3 is one of the frequencies, and
the power spectrum of each segment's NLL is averaged (Tiwari et al. 1997, CABIOS 13:263, did so with the bases).

The power at frequency k/351 of a segment x is |Σ (x_t − x̄) e^(−2πi·kt/351)|² / (351·s²), s² its variance: over the
frequencies other than 0 it averages 1 whatever x is, and white noise has 1 at each. A NLL that only depends on the
codon position has all its power at 1/3, where it is 175, the largest value there is. A segment of constant NLL has no
spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd
from scipy import fft

from evaluation.per_base.around import READINGS
from evaluation.per_base.stream import Chunk
from evaluation.statistics.groups import GROUPS, group_of, mean_intervals
from workflow.artifacts import BASE_CLASSES

CODON = 3
#: Bases of a segment: 117 codons.
SEGMENT = 351
#: Cycles per base: 0, 1/351, … 175/351.
FREQUENCIES = np.arange(SEGMENT // 2 + 1) / SEGMENT
_AT_THIRD = SEGMENT // CODON
_CDS = BASE_CLASSES.index("cds_0")


@dataclass(frozen=True)
class Periodicity:
    """Spectrum of the NLL along coding sequence, and its mean by codon position.

    Attributes
    ----------
    spectrum : DataFrame
        One row for each reading (`around.READINGS`), model and frequency above 0: frequency (cycles per base), power
        (white noise is 1) with `power_low` and `power_high`, segments (with a spectrum). NaN without a segment.
    positions : DataFrame
        One row for each reading, model and codon position (1, 2, 3), over the same segments: n (bases), nll (nats
        per base) with `nll_low` and `nll_high`.
    """

    spectrum: pd.DataFrame
    positions: pd.DataFrame

    @property
    def empty(self) -> bool:
        """Whether no stretch of coding sequence was long enough."""
        return not self.positions["n"].any()

    @property
    def peaks(self) -> pd.DataFrame:
        """The rows of `spectrum` at a frequency of 1/3."""
        at_third: pd.DataFrame = self.spectrum[self.spectrum["frequency"] == FREQUENCIES[_AT_THIRD]]
        return at_third.reset_index(drop=True)


class PeriodicityTally:
    """Adds up, chunk by chunk, the spectra of coding segments and the NLL at their codon positions.

    Parameters
    ----------
    models : sequence of str
        Models of the chunks, baselines included.
    """

    def __init__(self, models: Sequence[str]) -> None:
        self._models = tuple(models)
        groups = (GROUPS, len(READINGS), len(models))
        self._power, self._segments = np.zeros((*groups, len(FREQUENCIES))), np.zeros(groups)
        self._nll, self._bases = np.zeros((*groups, CODON)), np.zeros((*groups, CODON))

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
        first, against, window = segments(chunk.classes, chunk.scored, chunk.starts)
        if not len(first):
            return
        group = group_of(blocks)[window]
        rows = first[:, None] + np.arange(SEGMENT)
        position = chunk.classes[first].astype(np.int64) - _CDS
        for place, model in enumerate(self._models):
            nll = chunk.models[model].nll[rows].astype(np.float64)
            power, varies = spectra(nll)
            _add_rows(self._power[:, :, place], group[varies], against[varies], power)
            np.add.at(self._segments[:, :, place], (group[varies], against[varies]), 1.0)
            _add_positions(self._nll[:, :, place], group, against, position, nll)
            np.add.at(self._bases[:, :, place], (group, against), float(SEGMENT // CODON))

    def result(self, samples: int, confidence: float, seed: int) -> Periodicity:
        """Means over segments and their block-bootstrap intervals.

        Parameters
        ----------
        samples, confidence, seed : int, float, int
            Number of resamplings, coverage of the intervals, seed of the generator.
        """
        low, power, high = mean_intervals(self._power, self._segments[..., None], samples, confidence, seed)
        number = np.repeat(self._segments.sum(axis=0).ravel().astype(np.int64), len(FREQUENCIES))
        spectrum = self._keys("frequency", FREQUENCIES).assign(
            segments=number, power=power.ravel(), power_low=low.ravel(), power_high=high.ravel()
        )
        low, nll, high = mean_intervals(self._nll, self._bases, samples, confidence, seed)
        positions = self._keys("position", np.arange(1, CODON + 1)).assign(
            n=self._bases.sum(axis=0).ravel().astype(np.int64),
            nll=nll.ravel(),
            nll_low=low.ravel(),
            nll_high=high.ravel(),
        )
        return Periodicity(spectrum[spectrum["frequency"] > 0].reset_index(drop=True), positions)

    def _keys(self, last: str, values: np.ndarray) -> pd.DataFrame:
        names = ["reading", "model", last]
        return pd.MultiIndex.from_product([READINGS, self._models, values], names=names).to_frame(index=False)


def spectra(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised power of each series that varies.

    Parameters
    ----------
    series : ndarray, (m, n) float64

    Returns
    -------
    power : ndarray, (v, n // 2 + 1)
        At frequencies 0, 1/n, 2/n, …, of the rows that vary; white noise has 1.
    varies : ndarray, (m,) bool
    """
    varies = series.max(axis=1) > series.min(axis=1)
    series = series[varies]
    around_mean = series - series.mean(axis=1, keepdims=True)
    length = series.shape[1]
    variance = np.einsum("ij,ij->i", around_mean, around_mean) / (length - 1)
    transformed = fft.rfft(around_mean, axis=1)
    power = transformed.real**2 + transformed.imag**2
    power /= length * variance[:, None]
    return power, varies


def segments(classes: np.ndarray, scored: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the coding stretches of windows into segments of `SEGMENT` scored bases in frame.

    A stretch runs 0, 1, 2, 0, … (read along the gene) or 2, 1, 0, 2, … (against it) and ends where a base breaks this
    order, is not coding or not scored, or the window ends; what is left behind its last whole segment is not used.

    Parameters
    ----------
    classes, scored : ndarray, (n,) uint8 and bool
        Class of each base, and whether it is scored.
    starts : ndarray, (windows + 1,)
        Where each window begins, and where the last one ends.

    Returns
    -------
    first : ndarray, (m,) int64
        First base of each segment.
    against : ndarray, (m,) int64
        1 where the gene is read backwards.
    window : ndarray, (m,) int64
    """
    found = np.empty((3, len(classes) // SEGMENT), np.int64)
    number = _cut(classes, scored, starts, found)
    first, against, window = found[:, :number]
    return first, against, window


@numba.njit(nogil=True, cache=True)
def _cut(classes: np.ndarray, scored: np.ndarray, starts: np.ndarray, found: np.ndarray) -> int:
    number = 0
    for window in range(len(starts) - 1):
        begin, end, step = starts[window], starts[window + 1], 0
        for at in range(begin, end + 1):
            is_coding = at < end and scored[at] and _CDS <= classes[at] < _CDS + CODON
            if is_coding and at == begin:
                continue
            change = (CODON + classes[at] - classes[at - 1]) % CODON if is_coding else 0
            if change != 0 and (step == 0 or change == step):
                step = change
                continue
            for first in range(begin, at - SEGMENT + 1, SEGMENT):
                found[0, number], found[1, number], found[2, number] = first, step - 1, window
                number += 1
            begin, step = (at, 0) if is_coding else (at + 1, 0)
    return number


@numba.njit(nogil=True, cache=True)
def _add_rows(sums: np.ndarray, group: np.ndarray, against: np.ndarray, rows: np.ndarray) -> None:
    """Add each row (m, k) to the sums (groups, readings, k) of its group and reading."""
    for row in range(len(rows)):
        of_group = sums[group[row], against[row]]
        for column in range(rows.shape[1]):
            of_group[column] += rows[row, column]


@numba.njit(nogil=True, cache=True)
def _add_positions(
    sums: np.ndarray, group: np.ndarray, against: np.ndarray, first: np.ndarray, rows: np.ndarray
) -> None:
    """Add each row (m, SEGMENT), whose first base is at a codon position, to the sums (groups, readings, CODON)."""
    for row in range(len(rows)):
        of_group = sums[group[row], against[row]]
        step = CODON - 1 if against[row] else 1
        position = first[row]
        for column in range(rows.shape[1]):
            of_group[position] += rows[row, column]
            position += step
            if position >= CODON:
                position -= CODON
