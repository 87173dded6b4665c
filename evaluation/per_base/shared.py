"""Windows that several stores of predictions share, read together wherever each store has them.

`evaluation.per_base.stream` reads the models of one run, whose windows are the same. Runs with other settings, or
models that others scored, have windows in common at other places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from evaluation.per_base.classes import NO_CLASS
from evaluation.per_base.decoding import CORRECT, NLL, NOT_A_BASE, decode
from evaluation.per_base.scores import BASE_COLUMN
from evaluation.per_base.stream import Baseline
from workflow.artifacts import BASE_CLASSES, InputError, PerBaseScores

_CHUNK_POSITIONS = 1 << 18
# float16 has 11 significant bits, so that four rounded probabilities may add up to a little more than 1.
_LARGEST_TOTAL = 1.01
_LOWER_CASE = 0x20
_PLACE = ["seqid", "start", "end", "strand", "length"]


#: Strata of `WindowSums`: all bases, soft-masked ones, and the classes of the class track.
STRATA = ("all", "repeat")
CLASS_STRATA = (*BASE_CLASSES, "no class")


class Observed(Protocol):
    """The bases of windows, as `workflow.artifacts.PerBaseScores` has them."""

    @property
    def folder(self) -> Path:
        """Where they lie."""
        ...

    @property
    def index(self) -> pd.DataFrame:
        """sequence_id, seqid, start, end, strand, length, and the offset of the window in `bases`."""
        ...

    @property
    def bases(self) -> np.ndarray:
        """(positions,) uint8 ASCII, memory-mapped."""
        ...


class Classes(Protocol):
    """The class of each base, as `evaluation.per_base.classes.ClassTrack` has it."""

    def of(self, windows: pd.DataFrame) -> np.ndarray:
        """(Σ length,) uint8 codes, each window in its own direction."""
        ...


@dataclass(frozen=True)
class WindowSums:
    """Sums over the scored bases of each window, by stratum.

    Attributes
    ----------
    windows : DataFrame
        sequence_id, seqid, start, end (0-based half-open), strand, length; one row a window.
    strata : tuple of str
        `STRATA` and, with a class track, `CLASS_STRATA`.
    bases : ndarray, (windows, strata) int64
        Bases that are A, C, G or T and have a prediction by every model.
    nll : dict of ndarray, (windows, strata)
        By model: nats.
    correct : dict of ndarray, (windows, strata)
        By model: expected number of bases for which the most probable one is right.
    """

    windows: pd.DataFrame
    strata: tuple[str, ...]
    bases: np.ndarray
    nll: dict[str, np.ndarray]
    correct: dict[str, np.ndarray]


def shared_windows(stores: Sequence[Observed]) -> pd.DataFrame:
    """Windows that all stores have, in the order of the first: sequence_id, seqid, start, end, strand, length.

    Raises
    ------
    InputError
        A sequence_id stands for different places, or twice in a store; no window is in all stores.
    """
    first = _windows(stores[0])
    for other in map(_windows, stores[1:]):
        first = first.loc[first.index.isin(other.index)]
        if not first.equals(other.loc[first.index].astype(first.dtypes.to_dict())):
            raise InputError(f"{stores[0].folder} and another run have different windows of one name")
    if first.empty:
        raise InputError(
            f"{' and '.join(str(store.folder) for store in stores)} have no window in common: score the same split and "
            "windows of the same genome"
        )
    return first.reset_index()


def _windows(store: Observed) -> pd.DataFrame:
    windows = store.index.astype({"sequence_id": object, "seqid": object, "strand": object})
    repeated = windows["sequence_id"].duplicated()
    if repeated.any():
        raise InputError(
            f"{store.folder / 'index.parquet'} has the window {windows['sequence_id'][repeated].iloc[0]} twice"
        )
    return windows.set_index("sequence_id")[_PLACE]


def sum_windows(
    observed: Observed,
    predictions: Mapping[str, PerBaseScores],
    windows: pd.DataFrame,
    baselines: Mapping[str, Baseline] | None = None,
    classes: Classes | None = None,
    *,
    first_bases: bool = True,
) -> WindowSums:
    """Score windows under every model, over exactly the same bases.

    Parameters
    ----------
    observed : Observed
        Where the bases are read; the predictions must be of the same.
    predictions : mapping
        Per-base predictions by model, each with all the windows.
    windows : DataFrame
        As `shared_windows` gives them.
    baselines : mapping, optional
        Models that are computed on the fly.
    classes : Classes, optional
        Where the class of each base is read.
    first_bases : bool
        Whether the first base of a window is scored where every model has a prediction for it.

    Raises
    ------
    InputError
        The stores disagree about the bases of a window; what is stored are no log-probabilities; an observed base
        has probability 0; nothing could be scored.
    """
    strata = (*STRATA, *(CLASS_STRATA if classes else ()))
    shape = (len(windows), len(strata))
    models = (*predictions, *(baselines or {}))
    sums = WindowSums(
        windows,
        strata,
        np.zeros(shape, np.int64),
        {model: np.zeros(shape) for model in models},
        {model: np.zeros(shape) for model in models},
    )
    source = _Places(observed, windows)
    places = {model: _Places(store, windows) for model, store in predictions.items()}
    lengths = windows["length"].to_numpy(np.int64)
    for rows in _chunks(lengths):
        bases = source.read(observed.bases, rows)
        starts = np.cumsum(lengths[rows]) - lengths[rows]
        codes = BASE_COLUMN[bases]
        scored = codes != NOT_A_BASE
        scored[starts] &= first_bases
        found = {
            model: _decode(store, places[model], rows, codes, scored, observed) for model, store in predictions.items()
        }
        for model, baseline in (baselines or {}).items():
            found[model] = decode(baseline.logprobs(bases, starts, rows), codes, scored)[0]
        groups = [scored, scored & ((bases & _LOWER_CASE) != 0)]
        if classes is not None:
            of_base = classes.of(windows.iloc[rows])
            groups += [scored & (of_base == code) for code in range(NO_CLASS + 1)]
        for stratum, chosen in enumerate(groups):
            sums.bases[rows, stratum] = np.add.reduceat(chosen, starts, dtype=np.int64)
            for model, values in found.items():
                sums.nll[model][rows, stratum] = _added(values[NLL], chosen, starts)
                sums.correct[model][rows, stratum] = _added(values[CORRECT], chosen, starts)
    for model, store in predictions.items():
        _require_possible(sums, model, store)
    if not sums.bases.any():
        raise InputError(f"{observed.folder}: no base could be scored")
    return sums


class _Places:
    """Where a store has each of the windows."""

    def __init__(self, store: Observed, windows: pd.DataFrame) -> None:
        rows = pd.Index(store.index["sequence_id"].astype(object)).get_indexer(windows["sequence_id"].astype(object))
        assert (rows >= 0).all()
        self._begin = store.index["offset"].to_numpy(np.int64)[rows]
        self._end = self._begin + store.index["length"].to_numpy(np.int64)[rows]

    def read(self, array: np.ndarray, rows: slice) -> np.ndarray:
        """The rows of a mapped file that belong to windows; copied, so that memory is flat."""
        assert isinstance(array, np.memmap)
        begin, end = self._begin[rows], self._end[rows]
        first = np.concatenate([[True], begin[1:] != end[:-1]])
        last = np.append(first[1:], True)
        width = array.strides[0]
        parts = [
            np.fromfile(
                array.filename,  # type: ignore[arg-type]
                array.dtype,
                (stop - start) * width // array.itemsize,
                offset=array.offset + start * width,
            )
            for start, stop in zip(begin[first].tolist(), end[last].tolist(), strict=True)
        ]
        whole: np.ndarray = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return whole.reshape(-1, *array.shape[1:])


def _decode(
    store: PerBaseScores, places: _Places, rows: slice, codes: np.ndarray, scored: np.ndarray, observed: Observed
) -> np.ndarray:
    """What a model says of each base (`evaluation.per_base.decoding.decode`)."""
    if store is not observed and not np.array_equal(BASE_COLUMN[places.read(store.bases, rows)], codes):
        raise InputError(
            f"{observed.folder} and {store.folder} have different bases in windows of one name: they are of different "
            "genomes"
        )
    found, largest = decode(places.read(store.logprobs, rows), codes, scored)
    if largest > _LARGEST_TOTAL:
        raise InputError(
            f"{store.folder / 'logprobs.npy'}: the probabilities of A, C, G, T add up to more than 1; these are no "
            "log-probabilities, write them normalised over the vocabulary"
        )
    return found


def _added(values: np.ndarray, chosen: np.ndarray, starts: np.ndarray) -> np.ndarray:
    total: np.ndarray = np.add.reduceat(np.where(chosen, values, 0), starts, dtype=np.float64)
    return total


def _require_possible(sums: WindowSums, model: str, store: PerBaseScores) -> None:
    broken = ~np.isfinite(sums.nll[model][:, 0])
    if broken.any():
        raise InputError(
            f"{store.folder / 'logprobs.npy'}: an observed base of window "
            f"{sums.windows['sequence_id'].iloc[int(broken.argmax())]} has probability 0, so that the likelihood is 0; "
            "score in fp32"
        )


def _chunks(lengths: np.ndarray) -> Iterator[slice]:
    """Runs of windows with about `_CHUNK_POSITIONS` positions; a longer window stands alone."""
    chunk = (np.cumsum(lengths) - lengths) // _CHUNK_POSITIONS
    edges = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(lengths)]
    yield from (slice(first, last) for first, last in pairwise(edges))
