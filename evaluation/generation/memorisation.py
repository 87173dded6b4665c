"""How much of the generated sequences stands in the train split, letter for letter.

The train split is read once, in pieces, against an index of the 16-mers of both strands of the sequences: a shared
16-mer is the seed of a match, which is followed to both its ends. Memory does not grow with the genome.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd

from evaluation.artefacts.sequences import encode, regions_of_split, reverse_complement, split_fragments
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import Samples
from evaluation.per_base.scores import BASE_COLUMN
from evaluation.statistics.bootstrap import Interval

#: Shorter matches are not looked for: a genome holds most 16-mers of its kind by chance.
SEED = 16
#: Length of the words of the containment, that of the leakage audit.
WORD = 31
#: A table of 2**23 bits, which stays in a processor's cache, tells quickly that a word is not among the seeds.
_FILTER_BITS = 23
_NO_BASE = 4
_WORD_MASK = np.uint64(4**SEED - 1)


@dataclass(frozen=True)
class Memorisation:
    """Exact matches in the train split.

    Attributes
    ----------
    sequences : DataFrame
        One row a sequence: group, prompt_id, sample, length, longest (bases of the longest exact match with either
        strand of train; 0 for shorter than `SEED`), containment (share of its 31-mers that are anywhere in train; NaN
        where it has none). Beside the groups of the samples: `train` and `test`, random fragments of these splits.
    longest, containment : dict
        By group: median of the longest match, mean containment. Intervals over prompts.
    """

    sequences: pd.DataFrame
    longest: dict[str, Interval]
    containment: dict[str, Interval]


def find_copies(samples: Samples, prepared: Path, resampling: Resampling) -> Memorisation:
    """Look for the sequences in the train split; see `Memorisation`.

    Parameters
    ----------
    samples : Samples
    prepared : Path
        Folder of the stage `prepare`.
    resampling : Resampling

    Raises
    ------
    InputError
        A file of the genome is missing.
    """
    written = samples.table[["group", "prompt_id", "sample", "sequence"]]
    written = written[written["group"] != "genome"]
    lengths = samples.groups[samples.models[0]]["sequence"].str.len().tolist()
    parts = [written]
    for split in ("train", "test"):
        fragments = split_fragments(prepared, split, lengths, resampling.seed)
        names = [f"{split} {number}" for number in range(1, len(fragments) + 1)]
        parts.append(pd.DataFrame({"group": split, "prompt_id": names, "sample": 0, "sequence": fragments}))
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    table["length"] = table["sequence"].str.len()
    table["longest"], table["containment"] = exact_matches(table.pop("sequence").tolist(), prepared)
    longest, containment = {}, {}
    for group, rows in table.groupby("group", sort=False):
        prompts = rows["prompt_id"].to_numpy(str)
        longest[str(group)] = resampling.median(rows["longest"].to_numpy(float), prompts)
        containment[str(group)] = resampling.mean(rows["containment"].to_numpy(float), prompts)
    return Memorisation(table, longest, containment)


def exact_matches(sequences: list[str], prepared: Path) -> tuple[np.ndarray, np.ndarray]:
    """Longest exact match (n,) int64 and containment of the 31-mers (n,) of each sequence in the train split.

    Both strands count. A match does not go over a letter other than A, C, G, T, nor from one region of the split into
    the next.
    """
    queries, starts = _both_strands(sequences)
    seeds, positions = _seeds(queries)
    borders = np.append(np.flatnonzero(np.diff(seeds, prepend=np.uint64(0)) | (np.arange(len(seeds)) == 0)), len(seeds))
    words = seeds[borders[:-1]]
    known = _filter(words)
    longest, in_train = np.zeros(len(queries), np.int32), np.zeros(len(queries), np.bool_)
    for piece in regions_of_split(prepared, "train", max(map(len, sequences), default=0)):
        _match(BASE_COLUMN[piece], queries, words, borders, positions, known, longest, in_train)
    rows = len(sequences)
    best = np.array([longest[first:last].max(initial=0) for first, last in pairwise(starts)])
    shares = np.full(rows, np.nan)
    for row, sequence in enumerate(sequences):
        size = len(sequence) - WORD + 1
        codes = encode(sequence)
        if size > 0:
            forward = in_train[starts[row] : starts[row] + size]
            backward = in_train[starts[rows + row] : starts[rows + row] + size][::-1]
            whole = (np.lib.stride_tricks.sliding_window_view(codes, WORD) < _NO_BASE).all(axis=1)
            shares[row] = (forward | backward)[whole].mean() if whole.any() else np.nan
    return np.maximum(best[:rows], best[rows:]).astype(np.int64), shares


def _both_strands(sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """All sequences, then all reverse complements, each ended by a letter that matches none; and where each begins."""
    forward = [encode(sequence) for sequence in sequences]
    strands = forward + [reverse_complement(codes) for codes in forward]
    starts = np.concatenate([[0], np.cumsum([len(codes) + 1 for codes in strands], dtype=np.int64)])
    ended = [np.append(codes, np.uint8(_NO_BASE)) for codes in strands]
    return np.concatenate([*ended, np.empty(0, np.uint8)]).astype(np.uint8), starts


def _seeds(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words of `SEED` bases in order (n,) uint64, and where each begins (n,) int64."""
    if len(codes) < SEED:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    words = np.zeros(len(codes) - SEED + 1, np.uint64)
    for place in range(SEED):
        words = words << np.uint64(2) | np.minimum(codes[place : place + len(words)], 3).astype(np.uint64)
    gaps = np.concatenate([[0], np.cumsum(codes >= _NO_BASE)])
    positions = np.flatnonzero(gaps[SEED:] == gaps[: len(words)])
    order = positions[np.argsort(words[positions], kind="stable")]
    return words[order], order


def _filter(words: np.ndarray) -> np.ndarray:
    """Bits (2**23 / 8,) uint8 that are set where a word's slot is."""
    bits = np.zeros(1 << _FILTER_BITS, np.bool_)
    bits[_slot(words)] = True
    return np.packbits(bits, bitorder="little")


@numba.njit(nogil=True, cache=True)
def _slot(word: Any) -> Any:
    """Slot of a word (uint64) or an array of them, by multiplicative hashing (Knuth 1998, Sorting and Searching)."""
    return (word * np.uint64(2654435769) & _WORD_MASK) >> np.uint64(32 - _FILTER_BITS)


@numba.njit(nogil=True, cache=True)
def _match(
    train: np.ndarray,
    queries: np.ndarray,
    words: np.ndarray,
    borders: np.ndarray,
    positions: np.ndarray,
    known: np.ndarray,
    longest: np.ndarray,
    in_train: np.ndarray,
) -> None:
    """Lengthen `longest` and set `in_train`, at every base of the queries where a match begins, by a piece of train."""
    word, run = np.uint64(0), 0
    for end in range(1, len(train) + 1):
        code = train[end - 1]
        run = run + 1 if code < _NO_BASE else 0
        word = (word << np.uint64(2) | np.uint64(code & 3)) & _WORD_MASK
        if run < SEED:
            continue
        slot = _slot(word)
        if not known[slot >> np.uint64(3)] >> (slot & np.uint64(7)) & 1:
            continue
        place = np.searchsorted(words, word)
        if place == len(words) or words[place] != word:
            continue
        start = end - SEED
        for position in positions[borders[place] : borders[place + 1]]:
            is_left_end = start == 0 or position == 0 or train[start - 1] != queries[position - 1]
            if not is_left_end and train[start - 1] < _NO_BASE:
                continue
            size = SEED
            while start + size < len(train) and train[start + size] == queries[position + size] < _NO_BASE:
                size += 1
            longest[position] = max(longest[position], size)
            for covered in range(position, position + size - WORD + 1):
                in_train[covered] = True
