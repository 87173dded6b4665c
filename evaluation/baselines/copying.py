"""The baseline that only remembers: each window is copied from the place in the train split that it resembles most.

The nearest stretch of train (`evaluation.baselines.sketches`) is read on both strands while the window is predicted
base by base. After 12 bases that also occur in the stretch, the base that followed their most recent occurrence there
is copied, and so on along the stretch, through single mismatches, until 7 of the last 16 bases were not as copied.
This is the copy expert of Cao et al. (2007, Data Compression Conference, p. 43) with the tolerance of Pratas et al.
(2016, Data Compression Conference, p. 231). The copied base b gets the weight w, and the Markov model the rest,

    p(x) = w · [x = b] + (1 − w) · p_markov(x),

where w depends on how many of the last 16 bases were not as copied and on the number of bases since the last of these,
and is learned on the val split. Where nothing is copied, this is the Markov model.

The stretch, of two window lengths, is chosen with the whole window in view, which a model that reads from left to right
cannot do. That is worth at most ln(number of stretches) nats to a window, in favour of this baseline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit, uint64

from evaluation.artefacts.sequences import reverse_complement
from evaluation.baselines.markov import MarkovModel
from evaluation.baselines.sketches import TrainSketch, fetch, regions
from evaluation.per_base.scores import BASE_COLUMN

#: Bases that must occur in the stretch before copying begins. The longest stretch, two strands of 16,384 bases, holds a
#: given word of so many bases once in 500 times by chance.
ANCHOR = 12
#: Windows above this are looked up in pieces.
LONGEST_PIECE = 8192
_SHORTEST_TILE = 256
_REMEMBERED, _MOST_MISSES = 16, 6
#: Runs of 0, 1, 2–3, 4–7, … bases as copied, the last one of 512 and more.
_RUNS = 11
_NO_HINT = 4
_LEARNED_PIECES = 2048
_PRIOR_BASES = 8.0
_MARKOV_BINS = 64


@dataclass(frozen=True)
class CopyModel:
    """The train split as a memory, with the Markov model for what it does not hold.

    Attributes
    ----------
    markov : MarkovModel
    sketch : TrainSketch
    weights : ndarray, (7, 11) float64
        Weight w of the copied base, by the misses among the last 16 bases, and by the run since the last miss: 0, 1,
        2–3, 4–7, …, ≥ 512 bases.
    """

    markov: MarkovModel
    sketch: TrainSketch
    weights: np.ndarray

    @property
    def choice_nats(self) -> float:
        """Most that the choice of the stretch can be worth to a window (or to each of its pieces), nats."""
        return float(np.log(max(self.sketch.stretches, 1)))

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice | None = None) -> np.ndarray:
        """Natural-log probabilities of the next base, from what the window has shown and the stretch.

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
        predicted = self.markov.logprobs(bases, starts, rows)
        for piece in _pieces(np.append(starts, len(bases)), self.sketch.tile):
            hints, states = _hints(self.sketch, bases[piece])
            _mix(hints, states, self.weights.ravel(), predicted[piece])
        return predicted


def fit(prepared: Path, markov: MarkovModel, window_length: int, seed: int) -> CopyModel:
    """Sketch the train split and learn on the val split how far copies can be trusted.

    The weights are those of the highest likelihood on at most 2,048 pieces of val, with 8 more bases in each state
    of which as many were as copied as the rule of succession expects after the bases before. Copies that are rare in
    val, as they should be, are so judged by their own record.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.
    markov : MarkovModel
        Fitted on the same train split.
    window_length : int
        Typical length of the windows to come. Longer ones, and all above 8,192 bases, are looked up in pieces.
    seed : int
        Of the choice of pieces of val.

    Raises
    ------
    InputError
        A file is missing, or there is no train or val region.
    """
    sketch = TrainSketch.of_train(prepared, min(max(window_length, _SHORTEST_TILE), LONGEST_PIECE))
    hits = np.zeros(((_MOST_MISSES + 1) * _RUNS, _MARKOV_BINS))
    misses = np.zeros((_MOST_MISSES + 1) * _RUNS)
    for bases in _pieces_of_val(prepared, sketch, seed):
        hints, states = _hints(sketch, bases)
        logprobs = markov.logprobs(bases, np.zeros(1, np.int64))
        at = np.flatnonzero((hints != _NO_HINT) & (BASE_COLUMN[bases] < 4))
        is_hit = hints[at] == BASE_COLUMN[bases[at]]
        hit = at[is_hit]
        bins = (np.exp(logprobs[hit, hints[hit]]) * _MARKOV_BINS).astype(int).clip(0, _MARKOV_BINS - 1)
        np.add.at(hits, (states[hit], bins), 1)
        np.add.at(misses, states[at[~is_hit]], 1)
    return CopyModel(markov, sketch, _weights(hits, misses).reshape(_MOST_MISSES + 1, _RUNS))


def _pieces(borders: np.ndarray, longest: int) -> Iterator[slice]:
    """Windows as nearly equal pieces of at most so many bases."""
    for first, last in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        number = -(-(last - first) // longest)
        edges = np.linspace(first, last, number + 1).astype(int).tolist()
        yield from map(slice, edges[:-1], edges[1:])


def _pieces_of_val(prepared: Path, sketch: TrainSketch, seed: int) -> Iterator[np.ndarray]:
    seqid, start, end = regions(prepared, "val")
    tile = sketch.tile
    borders = np.cumsum([0, *(-(-(end - start) // tile))])
    drawn = np.random.default_rng(seed).permutation(borders[-1])[:_LEARNED_PIECES]
    for number in np.sort(drawn):
        region = int(np.searchsorted(borders, number, side="right")) - 1
        first = int(start[region] + (number - borders[region]) * tile)
        yield fetch(sketch.genome, str(seqid[region]), first, min(first + tile, int(end[region])))


def _hints(sketch: TrainSketch, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The base that is copied at each place, (n,) uint8, 4 where none is; and the state of the copying, (n,) uint8."""
    hints, states = np.full(len(bases), _NO_HINT, np.uint8), np.zeros(len(bases), np.uint8)
    stretch = sketch.nearest(bases)
    if stretch is not None:
        forward = BASE_COLUMN[sketch.read(stretch)]
        # A letter that is no base keeps the strands apart.
        source = np.concatenate([forward, np.full(1, _NO_HINT, np.uint8), reverse_complement(forward)])
        _copy(BASE_COLUMN[bases], source, hints, states)
    return hints, states


def _weights(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
    """Weight w of each state.

    Solves Σ over hits (1 − m) / (w + (1 − w) m) = misses / (1 − w) by bisection, where m is what the Markov model
    gave to the base; the left side falls with w and the right one rises.

    Parameters
    ----------
    hits : ndarray, (states, bins)
        Bases that were as copied, by the probability m.
    misses : ndarray, (states,)
    """
    missed, run = np.divmod(np.arange(len(misses)), _RUNS)
    shortest = np.where(run == 0, 0, 1 << np.maximum(run - 1, 0))
    expected = (_REMEMBERED - missed + shortest + 1) / (_REMEMBERED + shortest + 2)
    hits, misses = hits.copy(), misses + _PRIOR_BASES * (1 - expected)
    hits[:, _MARKOV_BINS // 4] += _PRIOR_BASES * expected
    markov = (np.arange(_MARKOV_BINS) + 0.5) / _MARKOV_BINS
    low, high = np.zeros(len(misses)), np.ones(len(misses))
    for _ in range(50):
        weight = (low + high) / 2
        gain = (hits * (1 - markov) / (weight[:, None] + (1 - weight[:, None]) * markov)).sum(axis=1)
        rises = gain * (1 - weight) > misses
        low, high = np.where(rises, weight, low), np.where(rises, high, weight)
    return low


@njit(nogil=True, cache=True)
def _copy(codes, source, hints, states):  # type: ignore[no-untyped-def]
    """Walk along a piece and its source, filling `hints` and `states`."""
    words, places = _last_occurrences(source)
    word, seen, mask = 0, 0, (1 << (2 * ANCHOR)) - 1
    # `memory` has a bit for each of the last 16 bases, set where it was as copied.
    pointer, memory, run = -1, 0, 0
    for place in range(codes.shape[0]):
        if pointer >= 0 and (pointer == source.shape[0] or source[pointer] > 3):
            pointer = -1
        if pointer >= 0:
            hints[place] = source[pointer]
            states[place] = _misses(memory) * _RUNS + _bucket(run)
        code = codes[place]
        if code > 3:
            pointer, seen = -1, 0
            continue
        if pointer >= 0:
            is_hit = code == source[pointer]
            memory = ((memory << 1) | is_hit) & ((1 << _REMEMBERED) - 1)
            run = run + 1 if is_hit else 0
            pointer = pointer + 1 if _misses(memory) <= _MOST_MISSES else -1
        word = ((word << 2) | code) & mask
        seen += 1
        if pointer < 0 and seen >= ANCHOR:
            pointer = _look_up(words, places, word)
            memory, run = (1 << ANCHOR) - 1, ANCHOR


@njit(nogil=True, cache=True)
def _last_occurrences(source):  # type: ignore[no-untyped-def]
    """A hash table with linear probing: words + 1 (0 is an empty slot), and the place after each one's last."""
    slots = 2
    while slots < 2 * source.shape[0]:
        slots *= 2
    words, places = np.zeros(slots, np.uint32), np.empty(slots, np.int32)
    word, seen, mask = 0, 0, (1 << (2 * ANCHOR)) - 1
    for place in range(source.shape[0]):
        if source[place] > 3:
            seen = 0
            continue
        word = ((word << 2) | source[place]) & mask
        seen += 1
        if seen >= ANCHOR:
            slot = _slot(words, word)
            words[slot] = word + 1
            places[slot] = place + 1
    return words, places


@njit(inline="always")
def _slot(words, word):  # type: ignore[no-untyped-def]
    """The slot of a word, or the empty one where it belongs."""
    # Multiplicative hashing with the golden ratio (Knuth 1998, The Art of Computer Programming 3, section 6.4).
    last = uint64(words.shape[0] - 1)
    slot = ((uint64(word) * uint64(0x9E3779B97F4A7C15)) >> uint64(32)) & last
    while words[slot] != 0 and words[slot] != word + 1:
        slot = (slot + uint64(1)) & last
    return slot


@njit(inline="always")
def _look_up(words, places, word):  # type: ignore[no-untyped-def]
    slot = _slot(words, word)
    return places[slot] if words[slot] != 0 else -1


@njit(inline="always")
def _misses(memory):  # type: ignore[no-untyped-def]
    count = _REMEMBERED
    while memory:
        memory &= memory - 1
        count -= 1
    return count


@njit(inline="always")
def _bucket(run):  # type: ignore[no-untyped-def]
    bucket = 0
    while run > 0 and bucket < _RUNS - 1:
        run >>= 1
        bucket += 1
    return bucket


@njit(nogil=True, cache=True)
def _mix(hints, states, weights, logprobs):  # type: ignore[no-untyped-def]
    """Give the copied base its weight, in place."""
    for place in range(hints.shape[0]):
        hint = hints[place]
        if hint == _NO_HINT:
            continue
        weight = weights[states[place]]
        copied = np.log(weight + (1 - weight) * np.exp(logprobs[place, hint]))
        for base in range(4):
            logprobs[place, base] += np.log1p(-weight)
        logprobs[place, hint] = copied
