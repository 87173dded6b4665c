"""Blocks of neighbouring windows: what is resampled, since windows that lie together are not independent.

A bootstrap that draws single windows takes them as independent. Neighbours share isochores, repeats and genes, so that
its intervals are too narrow; drawing blocks of consecutive observations keeps their dependence (Carlstein 1986, Ann.
Stat. 14:1171; Künsch 1989, Ann. Stat. 17:1217). Long blocks leave little dependence between blocks but few of them to
draw; the length that is best for an interval grows but slowly with the data, as n^(1/5) to n^(1/3) (Hall, Horowitz &
Jing 1995, Biometrika 82:561). Here blocks are as long as possible up to 1 Mb, while at least 100 remain. Dependence
that reaches beyond a block is not covered: with few data the intervals are then still somewhat too narrow.

Homologous copies of a chromosome are nearly identical and not independent either: windows at the same relative position
of all members of a homolog group share a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.statistics.bootstrap import fewest_rows, paired_effect_size, resampled_totals
from evaluation.statistics.groups import bounds, ratio
from workflow.artifacts import InputError

_LONGEST_BLOCK = 1_000_000
_FEWEST_BLOCKS = 100
#: More blocks than this gain no precision and cost time.
MOST_BLOCKS = 4096


def blocks(index: pd.DataFrame, sequences: pd.DataFrame) -> np.ndarray:
    """Block of each window.

    Parameters
    ----------
    index : DataFrame
        Windows: seqid, start, end (0-based half-open).
    sequences : DataFrame
        seqid, length and group (of homologs, empty where there is none) of the genome's sequences; the blocks are
        numbered in their order.

    Returns
    -------
    ndarray, (windows,) int64
        0, 1, … without gaps, along the genome; at most `MOST_BLOCKS`. With fewer than 100 windows each is a block of
        its own; where there are homologs, a block is at least as long as the median window.

    Raises
    ------
    InputError
        A window's sequence is not among `sequences`.
    """
    unit, place, homologous = _places(index, sequences)
    lengths = (index["end"] - index["start"]).to_numpy(np.int64)
    # Not the longest: one gene of 500 kb among thousands of short ones would leave no blocks but single windows.
    shortest = max(int(np.median(lengths)), 1) if len(lengths) else 1
    numbers = _numbered(unit, place // shortest)
    if _count(numbers) < _FEWEST_BLOCKS and not homologous:
        numbers = _numbered(unit, np.arange(len(index)))
    size = 2 * shortest
    while size <= _LONGEST_BLOCK and _count(longer := _numbered(unit, place // size)) >= _FEWEST_BLOCKS:
        numbers = longer
        size *= 2
    # Consecutive blocks are merged: along a sequence, and where sequences are short across them.
    most = max(_count(numbers), MOST_BLOCKS)
    return _numbered(np.zeros(len(numbers), np.int64), numbers * MOST_BLOCKS // most)


def _places(index: pd.DataFrame, sequences: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, bool]:
    """Number of the sequence or homolog group of each window, its position there (bp), whether there are homologs."""
    seqid, group = sequences["seqid"].astype(str), sequences["group"].astype(str)
    whole = ("group " + group).where(group != "", "sequence " + seqid)
    length = sequences["length"].astype(float)
    stretch = (length.groupby(whole).transform("mean") / length).to_numpy()
    at = pd.Index(seqid).get_indexer(pd.Index(index["seqid"].astype(str)))
    if (at < 0).any():
        raise InputError(
            f"the predictions name the sequence {index['seqid'].iloc[int((at < 0).argmax())]}, which "
            "prepare/sequences.parquet has not: run stage=predict again with force=true"
        )
    units = pd.factorize(whole)[0]
    place = (index["start"].to_numpy(np.float64) * stretch[at]).astype(np.int64)
    return units[at], place, len(np.unique(units[at])) < len(np.unique(at))


def _numbered(unit: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Number each pair of unit and part, in their order, without gaps."""
    if not len(unit):
        return unit
    _, numbers = np.unique(unit * (int(part.max()) + 1) + part, return_inverse=True)
    return numbers.reshape(-1).astype(np.int64)


def _count(numbers: np.ndarray) -> int:
    return int(numbers.max(initial=-1)) + 1


def block_sums(values: np.ndarray, of_row: np.ndarray, count: int) -> np.ndarray:
    """Sums over the rows of each block.

    Parameters
    ----------
    values : ndarray, (rows, columns)
    of_row : ndarray, (rows,) int64
        Block of each row.
    count : int
        Number of blocks.

    Returns
    -------
    ndarray, (count, columns) float64
    """
    sums: np.ndarray = np.column_stack([np.bincount(of_row, column, count) for column in values.T])
    return sums


@dataclass(frozen=True)
class Estimates:
    """Estimates with the ends of their intervals, each (strata,); NaN where undefined."""

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray


class BlockMeans:
    """Means of several quantities over several strata, their paired differences and shares, over resampled blocks.

    All strata and quantities share the resamplings, and so do all objects with the same seed over the same blocks. A
    stratum in fewer than `fewest_rows` blocks has no interval.

    Parameters
    ----------
    sums : ndarray, (blocks, strata, quantities)
        Sums over each block.
    weights : ndarray, (blocks, strata)
        Their weights: numbers of bases. Blocks without any are left out.
    samples, confidence, seed : int, float, int
        Number of resamplings, coverage of the intervals, seed of the generator.
    """

    def __init__(self, sums: np.ndarray, weights: np.ndarray, samples: int, confidence: float, seed: int) -> None:
        used = weights.any(axis=1)
        self._sums, self._weights, self._confidence = sums[used], weights[used], confidence
        observed = np.count_nonzero(self._weights, axis=0)
        self._observations = np.where(observed < fewest_rows(confidence), 0, observed)
        both = np.concatenate([self._sums, self._weights[:, :, None]], axis=2)
        totals = resampled_totals(both.reshape(len(both), -1), samples, seed).reshape(samples, *both.shape[1:])
        self._total_sums, self._total_weights = totals[:, :, :-1], totals[:, :, -1]

    @property
    def quantities(self) -> int:
        """Number of quantities."""
        return int(self._sums.shape[2])

    def means(self, quantity: int) -> Estimates:
        """Mean of a quantity in each stratum."""
        return self._estimates(self._sums[:, :, quantity], self._total_sums[:, :, quantity])

    def differences(self, quantity: int, reference: int) -> Estimates:
        """Mean of the reference − mean of the quantity: where these are NLLs, what the quantity's model gains."""
        return self._estimates(
            self._sums[:, :, reference] - self._sums[:, :, quantity],
            self._total_sums[:, :, reference] - self._total_sums[:, :, quantity],
        )

    def effect_sizes(self, quantity: int, reference: int) -> np.ndarray:
        """(strata,) Cohen's d of the blocks' differences, each block weighted by its weight in the stratum."""
        differences = ratio(self._sums[:, :, reference] - self._sums[:, :, quantity], self._weights)
        pairs = zip(differences.T, self._weights.T, strict=True)
        return np.array([paired_effect_size(values, weights) for values, weights in pairs])

    def shares(self, quantity: int, reference: int, whole: int) -> Estimates:
        """Share of the difference summed over stratum `whole` that falls into each stratum.

        NaN unless the interval of the whole difference excludes 0: a share of nothing has no meaning.
        """
        difference = self.differences(quantity, reference)
        if not difference.low[whole] * difference.high[whole] > 0:
            nothing = np.full(self._sums.shape[1], np.nan)
            return Estimates(nothing, nothing, nothing)
        sums = (self._sums[:, :, reference] - self._sums[:, :, quantity]).sum(axis=0)
        totals = self._total_sums[:, :, reference] - self._total_sums[:, :, quantity]
        low, high = bounds(totals / totals[:, [whole]], self._observations, self._confidence)
        return Estimates(sums / sums[whole], low, high)

    def _estimates(self, sums: np.ndarray, totals: np.ndarray) -> Estimates:
        low, high = bounds(ratio(totals, self._total_weights), self._observations, self._confidence)
        return Estimates(ratio(sums.sum(axis=0), self._weights.sum(axis=0)), low, high)
