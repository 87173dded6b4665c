"""From log-probabilities of A, C, G, T to what every analysis needs of each base: compiled, one pass, no lock held.

A 16-bit number has 65,536 values, so that its exponential is looked up. What is written per base, in the
rows of `found` (4, n): the NLL of the observed base in nats, with the raw probabilities; and of the distribution
renormalised over the four bases its entropy in bits, its largest probability, and the share of the point for the most
probable base being the observed one (n bases that tie share the point).
"""

from __future__ import annotations

from functools import cache

import numba
import numpy as np

#: Code of every letter that is not A, C, G, T.
NOT_A_BASE = 4
NLL, ENTROPY, CONFIDENCE, CORRECT = range(4)
_LOG2_E = np.float32(np.log2(np.e))
# Below this the sum of four looked-up probabilities has lost its digits.
_LEAST_TOTAL = np.float32(1e-30)


def decode(logprobs: np.ndarray, codes: np.ndarray, scored: np.ndarray) -> tuple[np.ndarray, float]:
    """Describe each base's prediction.

    Parameters
    ----------
    logprobs : ndarray, (n, 4) float16 or float32
        Natural-log probabilities of A, C, G, T.
    codes : ndarray, (n,) uint8
        Column of the observed base, 4 where it is none.
    scored : ndarray, (n,) bool
        Made False where this model has no prediction.

    Returns
    -------
    found : ndarray, (4, n) float32
        Rows NLL, ENTROPY, CONFIDENCE, CORRECT. Of no meaning where not scored.
    largest_total : float
        Largest sum of the four probabilities at a scored base: above 1, they are none.
    """
    found = np.empty((4, len(codes)), np.float32)
    if logprobs.dtype == np.float16:
        largest = _decode_half(np.ascontiguousarray(logprobs).view(np.uint16), _table(), codes, scored, found)
    else:
        single = np.asarray(logprobs, np.float32)
        largest = _decode_single(single, np.exp(single), codes, scored, found)
    return found, float(largest)


@cache
def _table() -> np.ndarray:
    """(65536, 2) float32: each 16-bit number x, and e^x."""
    value = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.column_stack([value, np.exp(value)]).astype(np.float32)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _decode_half(
    words: np.ndarray, table: np.ndarray, codes: np.ndarray, scored: np.ndarray, found: np.ndarray
) -> np.float32:
    largest = np.float32(0)
    for at in range(len(codes)):
        a, c, g, t = words[at, 0], words[at, 1], words[at, 2], words[at, 3]
        values = table[a, 0], table[c, 0], table[g, 0], table[t, 0]
        raised = table[a, 1], table[c, 1], table[g, 1], table[t, 1]
        observed = table[words[at, min(codes[at], 3)], 0]
        largest = max(largest, _describe(values, raised, observed, codes[at], scored, found, at))
    return largest


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _decode_single(
    logprobs: np.ndarray, exponentials: np.ndarray, codes: np.ndarray, scored: np.ndarray, found: np.ndarray
) -> np.float32:
    largest = np.float32(0)
    for at in range(len(codes)):
        values = logprobs[at, 0], logprobs[at, 1], logprobs[at, 2], logprobs[at, 3]
        raised = exponentials[at, 0], exponentials[at, 1], exponentials[at, 2], exponentials[at, 3]
        observed = logprobs[at, min(codes[at], 3)]
        largest = max(largest, _describe(values, raised, observed, codes[at], scored, found, at))
    return largest


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _describe(values, raised, observed, code, scored, found, at):  # type: ignore[no-untyped-def]
    """Fill the column of one base from its four log-probabilities and probabilities; returns their sum, 0 for none."""
    a, c, g, t = values
    total = (raised[0] + raised[1]) + (raised[2] + raised[3])
    if code > 3 or np.isnan(total):
        scored[at] = False
        return np.float32(0)
    terms = (raised[0] * a + raised[1] * c) + (raised[2] * g + raised[3] * t)
    # Logarithms of 0 have no product with 0.
    if total < _LEAST_TOTAL or np.isnan(terms):
        _describe_scaled(values, observed, found, at)
        return total
    scale = np.float32(1) / total
    best = max(max(a, c), max(g, t))
    ties = np.float32(a == best) + np.float32(c == best) + np.float32(g == best) + np.float32(t == best)
    found[NLL, at] = -observed
    found[ENTROPY, at] = max((_log(total) - terms * scale) * _LOG2_E, np.float32(0))
    found[CONFIDENCE, at] = max(max(raised[0], raised[1]), max(raised[2], raised[3])) * scale
    found[CORRECT, at] = np.float32(observed == best) / ties
    return total


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _describe_scaled(values, observed, found, at):  # type: ignore[no-untyped-def]
    """The same from log-probabilities alone, scaled by the largest probability."""
    best = max(max(values[0], values[1]), max(values[2], values[3]))
    total = terms = ties = np.float32(0)
    for value in values:
        share = np.exp(value - best)
        total += share
        if share > 0:
            terms += share * (value - best)
        ties += np.float32(value == best)
    found[NLL, at] = -observed
    found[ENTROPY, at] = max((np.log(total) - terms / total) * _LOG2_E, np.float32(0))
    found[CONFIDENCE, at] = np.float32(1) / total
    found[CORRECT, at] = np.float32(observed == best) / ties


@numba.njit(nogil=True, cache=True)
def _log(value: np.float32) -> np.float32:
    """Natural logarithm; near 1, where nearly all totals are, by its series to the third order (error < 3e-9)."""
    excess = value - np.float32(1)
    if abs(excess) < np.float32(0.01):
        series: np.float32 = excess * (np.float32(1) - excess * (np.float32(0.5) - excess * np.float32(1 / 3)))
        return series
    return np.float32(np.log(value))


@numba.njit(nogil=True, cache=True)
def blank(found: np.ndarray, scored: np.ndarray) -> None:
    """Make NaN of what is not scored in every row."""
    for at in range(len(scored)):
        if not scored[at]:
            for row in range(len(found)):
                found[row, at] = np.nan
