"""Metaplots: a model's NLL and entropy by distance from the starts, stops and splice sites of genes.

A language model reads a window from left to right, and what it has read is all that it knows. A gene on the strand
that is read is met from its start, so that "upstream" is what the model has seen; a gene on the other strand is met
from its end, and at the same distance from the same kind of site the model has seen what lies *downstream*. Sites
read along and against the direction of transcription are therefore kept apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from evaluation.per_base.stream import Chunk
from evaluation.statistics.groups import FEW_SAMPLES, GROUPS, group_of, mean_intervals
from workflow.artifacts import InputError

#: Bases on either side of a site.
REACH = 100
#: In the order in which a gene is read.
KINDS = ("tss", "start_codon", "donor", "acceptor", "stop_codon")
#: Direction of reading against that of transcription.
READINGS = ("along", "against")
QUANTITIES = ("nll", "entropy")
_OFFSETS = np.arange(-REACH, REACH + 1)
_CURVES = (GROUPS, len(KINDS), len(READINGS))
# Wider than any sequence, so that sequence and position make one number.
_STRIDE = 1 << 40


@dataclass(frozen=True)
class Around:
    """What a model gives the bases around each kind of site.

    Attributes
    ----------
    table : DataFrame
        One row for each kind (`KINDS`), reading (`READINGS`), offset and model: `offset` is in bp in the direction of
        transcription, 0 at the site's base; n (scored bases); nll (nats per base) and entropy (bits), each with
        `_low` and `_high`, the interval. Models include the baselines; NaN where n is 0.
    sites : DataFrame
        kind, reading, sites: those that lie in a scored window, once for each window.
    left_out : int
        Windows in which exons are joined: their bases have no single position on the genome.
    """

    table: pd.DataFrame
    sites: pd.DataFrame
    left_out: int

    @property
    def empty(self) -> bool:
        """Whether no base around any site was scored."""
        return not self.table["n"].any()

    def profile(self, kind: str, reading: str, model: str) -> pd.DataFrame:
        """The rows of one curve, by offset."""
        table = self.table
        return table[(table["kind"] == kind) & (table["reading"] == reading) & (table["model"] == model)]


class AroundTally:
    """Adds up, chunk by chunk, NLL and entropy at each offset from each kind of site.

    Parameters
    ----------
    sites : DataFrame
        kind, seqid, position (0-based forward coordinate of one base), strand; `prepare/sites.parquet`.
    index : DataFrame
        The windows of the stream: seqid, start, end (0-based half-open, forward), strand, length.
    models : sequence of str
        Models of the chunks, baselines included.

    Raises
    ------
    InputError
        A kind of site is unknown.
    """

    def __init__(self, sites: pd.DataFrame, index: pd.DataFrame, models: Sequence[str]) -> None:
        kind = pd.Index(KINDS).get_indexer(pd.Index(sites["kind"]))
        if np.any(kind < 0):
            row = int((kind < 0).argmax())
            raise InputError(
                f"prepare/sites.parquet, row {row}: the kind {sites['kind'].iloc[row]!r} is none of "
                f"{', '.join(KINDS)}; run stage=prepare again"
            )
        names = pd.Index(sites["seqid"].unique())
        position = sites["position"].to_numpy(np.int64)
        place = names.get_indexer(pd.Index(sites["seqid"])).astype(np.int64) * _STRIDE + position
        order = np.argsort(place, kind="stable")
        self._position, self._kind = position[order], kind[order]
        self._reverse = (sites["strand"] == "-").to_numpy(bool)[order]

        self._start, self._end = (index[column].to_numpy(np.int64) for column in ("start", "end"))
        self._window_reverse = (index["strand"] == "-").to_numpy(bool)
        is_whole = index["length"].to_numpy(np.int64) == self._end - self._start
        self._left_out = int((~is_whole).sum())
        sequence = names.get_indexer(pd.Index(index["seqid"])).astype(np.int64) * _STRIDE
        self._first = np.searchsorted(place[order], sequence + self._start)
        after = np.searchsorted(place[order], sequence + self._end)
        self._sites_inside = np.where(is_whole, after - self._first, 0)

        self._sites = np.zeros((len(KINDS), len(READINGS)), np.int64)
        self._n = np.zeros((*_CURVES, len(_OFFSETS)))
        self._sums = {model: np.zeros((*self._n.shape, len(QUANTITIES))) for model in models}

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """Add the windows of a chunk.

        Parameters
        ----------
        chunk : Chunk
        blocks : ndarray, (windows of the chunk,) int64
            Block number of each window.
        """
        inside = self._sites_inside[chunk.rows]
        window = np.repeat(np.arange(len(inside)), inside)
        if not len(window):
            return
        within = np.arange(len(window)) - np.repeat(np.cumsum(inside) - inside, inside)
        site = self._first[chunk.rows][window] + within
        is_reverse = self._window_reverse[chunk.rows][window]
        against = (self._reverse[site] != is_reverse).astype(np.int64)
        position = self._position[site]
        at = np.where(
            is_reverse, self._end[chunk.rows][window] - 1 - position, position - self._start[chunk.rows][window]
        )
        np.add.at(self._sites, (self._kind[site], against), 1)

        curve = np.ravel_multi_index((group_of(blocks)[window], self._kind[site], against), _CURVES)
        begin, end = chunk.starts[:-1][window], chunk.starts[1:][window]
        places = curve, begin + at, 1 - 2 * against, begin, end, chunk.scored
        _count(self._n.reshape(-1, len(_OFFSETS)), *places)
        for model, sums in self._sums.items():
            values = chunk.models[model]
            _add(sums.reshape(-1, len(_OFFSETS), len(QUANTITIES)), *places, values.nll, values.entropy)

    def result(self, samples: int, confidence: float, seed: int) -> Around:
        """Means and their block-bootstrap intervals.

        Parameters
        ----------
        samples, confidence, seed : int, float, int
            Number of resamplings, coverage of the intervals, seed of the generator.
        """
        sums = np.stack(list(self._sums.values()), axis=-2)
        low, mean, high = mean_intervals(sums, self._n[..., None, None], min(samples, FEW_SAMPLES), confidence, seed)
        columns = {
            quantity + suffix: values[..., place].ravel()
            for place, quantity in enumerate(QUANTITIES)
            for suffix, values in (("", mean), ("_low", low), ("_high", high))
        }
        models = list(self._sums)
        keys = pd.MultiIndex.from_product(
            [KINDS, READINGS, _OFFSETS, models], names=["kind", "reading", "offset", "model"]
        ).to_frame(index=False)
        n = np.repeat(self._n.sum(axis=0).ravel().astype(np.int64), len(models))
        sites = pd.MultiIndex.from_product([KINDS, READINGS], names=["kind", "reading"]).to_frame(index=False)
        return Around(keys.assign(n=n, **columns), sites.assign(sites=self._sites.ravel()), self._left_out)


@numba.njit(nogil=True, cache=True)
def _count(
    n: np.ndarray,
    curve: np.ndarray,
    row: np.ndarray,
    step: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    scored: np.ndarray,
) -> None:
    """Count the scored bases at each offset: site i is at `row`, in a window [begin, end), and is read by `step`."""
    for site in range(len(row)):
        of_curve = n[curve[site]]
        for place in range(len(of_curve)):
            at = row[site] + step[site] * (place - REACH)
            if begin[site] <= at < end[site] and scored[at]:
                of_curve[place] += 1


@numba.njit(nogil=True, cache=True)
def _add(
    sums: np.ndarray,
    curve: np.ndarray,
    row: np.ndarray,
    step: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    scored: np.ndarray,
    nll: np.ndarray,
    entropy: np.ndarray,
) -> None:
    """Add NLL and entropy at the bases that `_count` counts."""
    for site in range(len(row)):
        of_curve = sums[curve[site]]
        for place in range(len(of_curve)):
            at = row[site] + step[site] * (place - REACH)
            if begin[site] <= at < end[site] and scored[at]:
                of_curve[place, 0] += nll[at]
                of_curve[place, 1] += entropy[at]
