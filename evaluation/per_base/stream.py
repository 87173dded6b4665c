"""One pass over the per-base predictions of all models, in pieces that memory can hold.

A base is scored when it is A, C, G or T in either case and *every* model has a prediction for it, in every direction
that was read, so that all differences are paired.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.decoding import CONFIDENCE, CORRECT, ENTROPY, NLL, NOT_A_BASE, blank, decode
from evaluation.per_base.scores import BASE_COLUMN
from workflow.artifacts import InputError, PerBaseScores

_CHUNK_POSITIONS = 1 << 18
_THREADS = 2
# float16 has 11 significant bits, so that four rounded probabilities may add up to a little more than 1.
_LARGEST_TOTAL = 1.01
_LOWER_CASE = 0x20
_SAME = ("sequence_id", "seqid", "start", "end", "strand", "offset", "length")


class Baseline(Protocol):
    """A model that is computed here rather than read."""

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        """(n, 4) float32 natural-log probabilities; called from several threads at once.

        Parameters
        ----------
        bases : ndarray, (n,) uint8
            Observed bases as ASCII of consecutive windows.
        starts : ndarray
            Where in `bases` each window begins; the first is 0.
        rows : slice
            Which windows of the index these are.
        """
        ...


class Tally(Protocol):
    """An analysis that adds up what it needs while the predictions pass by once."""

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """Take in a piece.

        Parameters
        ----------
        chunk : Chunk
        blocks : ndarray, (windows of the chunk,) int64
            Resampling block of each window (`evaluation.statistics.blocks`).
        """
        ...


@dataclass(frozen=True)
class PerBase:
    """What a model says of each base of a piece; NaN where not scored.

    Attributes
    ----------
    nll : ndarray, (n,) float32
        Negative log-likelihood of the observed base, nats, with the raw probabilities.
    entropy : ndarray, (n,) float32
        Of the distribution renormalised over A, C, G, T, bits.
    confidence : ndarray, (n,) float32
        Renormalised probability of the most probable base, 0.25 to 1.
    correct : ndarray, (n,) float32
        1 where the most probable base is the observed one; n bases that tie share the point.
    logprobs : ndarray, (n, 4) float16, or float32 of a baseline
        As they were given, natural logarithm.
    """

    nll: np.ndarray
    entropy: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray
    logprobs: np.ndarray


@dataclass(frozen=True)
class Chunk:
    """Consecutive windows, whole, under every model.

    Attributes
    ----------
    rows : slice
        Windows of the index.
    starts : ndarray, (windows + 1,) int64
        Where each window begins in the arrays, and where the last one ends.
    codes : ndarray, (n,) uint8
        Observed base: 0 to 3 for A, C, G, T, 4 for anything else; in the direction of the window.
    scored, repeat : ndarray, (n,) bool
        Whether the base is scored by every model; whether it is soft-masked (lower case).
    classes : ndarray, (n,) uint8, or None
        Codes of `workflow.artifacts.BASE_CLASSES`, and `evaluation.per_base.classes.NO_CLASS` in windows that join
        exons; None when the stream has no class track.
    models : dict
        By name: the models in the order given, then the baselines.
    reverse : dict
        By name: what models that also read the reverse complement gave there, turned back to the window's direction.
    """

    rows: slice
    starts: np.ndarray
    codes: np.ndarray
    scored: np.ndarray
    repeat: np.ndarray
    classes: np.ndarray | None
    models: dict[str, PerBase]
    reverse: dict[str, PerBase]


def stream(
    predictions: Mapping[str, PerBaseScores],
    baselines: Mapping[str, Baseline] | None = None,
    classes: ClassTrack | None = None,
) -> Iterator[Chunk]:
    """All windows in order, decoded by two threads with a bounded number of pieces in flight.

    Windows are whole in a piece of about 262,144 bases; a longer window stands alone.

    Parameters
    ----------
    predictions : mapping
        Published per-base predictions by model name. All must hold the same windows.
    baselines : mapping, optional
        Models that are computed on the fly.
    classes : ClassTrack, optional
        Where the class of each base is read.

    Raises
    ------
    InputError
        The models were scored on different windows; what is stored are not log-probabilities; an observed base has
        probability 0; the class track is that of another genome.
    """
    stores = list(predictions.values())
    for other in stores[1:]:
        _require_same_windows(stores[0], other)
    decoder = _Decoder(predictions, baselines or {}, classes)
    with ThreadPoolExecutor(_THREADS) as pool:
        pending: deque[Future[Chunk]] = deque()
        try:
            for rows in _chunks(stores[0].index["length"].to_numpy()):
                pending.append(pool.submit(decoder.chunk, rows))
                if len(pending) > 2 * _THREADS:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


class _Decoder:
    """Makes the piece of any run of windows."""

    def __init__(
        self,
        predictions: Mapping[str, PerBaseScores],
        baselines: Mapping[str, Baseline],
        classes: ClassTrack | None,
    ) -> None:
        self._predictions, self._baselines, self._classes = predictions, baselines, classes
        self._first = next(iter(predictions.values()))
        self._lengths = self._first.index["length"].to_numpy(np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(self._lengths)])

    def chunk(self, rows: slice) -> Chunk:
        starts = self._offsets[rows.start : rows.stop + 1] - self._offsets[rows.start]
        positions = slice(int(self._offsets[rows.start]), int(self._offsets[rows.stop]))
        bases = _piece(self._first.bases, positions)
        codes = np.take(BASE_COLUMN, bases)
        scored = codes != NOT_A_BASE
        found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        backwards: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for model, store in self._predictions.items():
            if store is not self._first and not np.array_equal(bases, _piece(store.bases, positions)):
                raise _different_windows(self._first, store)
            found[model] = self._read(store, "logprobs.npy", store.logprobs, positions, codes, scored)
            if store.reverse is not None:
                backwards[model] = self._read(store, "logprobs_reverse.npy", store.reverse, positions, codes, scored)
        for model, baseline in self._baselines.items():
            logprobs = baseline.logprobs(bases, starts[:-1], rows)
            found[model] = decode(logprobs, codes, scored)[0], logprobs
        for model, store in self._predictions.items():
            self._require_possible(found[model][0][NLL], scored, starts, rows, store.folder / "logprobs.npy")
            if model in backwards:
                path = store.folder / "logprobs_reverse.npy"
                self._require_possible(backwards[model][0][NLL], scored, starts, rows, path)
        windows = self._first.index.iloc[rows]
        return Chunk(
            rows,
            starts,
            codes,
            scored,
            (bases & _LOWER_CASE) != 0,
            None if self._classes is None else self._classes.of(windows),
            {model: _per_base(*pair, scored) for model, pair in found.items()},
            {model: _per_base(*pair, scored) for model, pair in backwards.items()},
        )

    @staticmethod
    def _read(
        store: PerBaseScores, name: str, array: np.ndarray, positions: slice, codes: np.ndarray, scored: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        logprobs = _piece(array, positions)
        found, largest = decode(logprobs, codes, scored)
        if largest > _LARGEST_TOTAL:
            raise InputError(
                f"{store.folder / name}: the probabilities of A, C, G, T add up to more than 1; "
                "these are no log-probabilities, write them normalised over the vocabulary"
            )
        return found, logprobs

    def _require_possible(
        self, nll: np.ndarray, scored: np.ndarray, starts: np.ndarray, rows: slice, path: Path
    ) -> None:
        impossible = np.isposinf(nll) & scored
        if impossible.any():
            row = rows.start + int(np.searchsorted(starts, int(impossible.argmax()), side="right")) - 1
            raise InputError(
                f"{path}: an observed base of window "
                f"{self._first.index['sequence_id'].iloc[row]} has probability 0, so that the likelihood is 0; "
                "score in fp32"
            )


def _per_base(found: np.ndarray, logprobs: np.ndarray, scored: np.ndarray) -> PerBase:
    blank(found, scored)
    return PerBase(found[NLL], found[ENTROPY], found[CONFIDENCE], found[CORRECT], logprobs)


def _piece(array: np.ndarray, positions: slice) -> np.ndarray:
    """Some rows of a mapped file, mapped anew: its pages leave this process with the piece, so that memory is flat."""
    assert isinstance(array, np.memmap)
    assert array.filename is not None
    rows = positions.stop - positions.start
    offset = array.offset + positions.start * array.strides[0]
    shape = (rows, *array.shape[1:])
    return np.asarray(np.memmap(array.filename, array.dtype, mode="r", offset=offset, shape=shape))


def _chunks(lengths: np.ndarray) -> Iterator[slice]:
    """Runs of windows with about `_CHUNK_POSITIONS` positions; a longer window stands alone."""
    chunk = (np.cumsum(lengths) - lengths) // _CHUNK_POSITIONS
    borders = np.flatnonzero(np.diff(chunk)) + 1
    edges = [0, *borders.tolist(), len(lengths)]
    yield from (slice(first, last) for first, last in pairwise(edges) if last > first)


def _require_same_windows(first: PerBaseScores, second: PerBaseScores) -> None:
    same = len(first) == len(second) and all(
        np.array_equal(first.index[column].to_numpy(), second.index[column].to_numpy()) for column in _SAME
    )
    if not same:
        raise _different_windows(first, second)


def _different_windows(first: PerBaseScores, second: PerBaseScores) -> InputError:
    return InputError(
        f"{first.folder} and {second.folder} hold different windows: a paired comparison needs the same; "
        "run stage=predict again with force=true"
    )
