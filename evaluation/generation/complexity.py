"""Homopolymers and low complexity of the generated sequences: a model that is stuck repeats itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.artefacts.sequences import encode
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import Samples
from evaluation.statistics.bootstrap import Interval

#: Bases from which a run of one base counts as a homopolymer.
LONG_RUN = 8
#: Bases of the windows of the DUST score, and the score from which one is of low complexity (Morgulis et al. 2006).
WINDOW, LOW_COMPLEXITY = 64, 2.0
MEASURES = ("longest_run", "in_runs", "dust", "low_complexity")


@dataclass(frozen=True)
class Complexity:
    """How repetitive the sequences are.

    Attributes
    ----------
    sequences : DataFrame
        One row a sequence, in the order of the samples: group, longest_run (bases of the longest homopolymer), in_runs
        (share of the bases in homopolymers of at least `LONG_RUN`), dust (mean DUST score of its windows),
        low_complexity (share of the windows with a score above `LOW_COMPLEXITY`).
    means : dict of dict
        By group and measure, with intervals over prompts.
    """

    sequences: pd.DataFrame
    means: dict[str, dict[str, Interval]]


def measure_complexity(samples: Samples, resampling: Resampling) -> Complexity:
    """Measure homopolymers and DUST scores; see `Complexity`."""
    rows = [(*_runs(codes), *_dust(codes)) for codes in map(encode, samples.table["sequence"])]
    table = samples.table[["group"]].assign(**dict(zip(MEASURES, np.array(rows, float).T, strict=True)))
    means = {
        group: {
            name: resampling.mean(table.loc[part.index, name].to_numpy(), part["prompt_id"].to_numpy(str))
            for name in MEASURES
        }
        for group, part in samples.groups.items()
    }
    return Complexity(table, means)


def _runs(codes: np.ndarray) -> tuple[float, float]:
    """Length of the longest homopolymer, and share of the A, C, G, T in long ones; letters that are no base end one."""
    if not (codes < 4).any():
        return float("nan"), float("nan")
    borders = np.flatnonzero(np.diff(codes, prepend=5, append=5))
    sizes, letters = np.diff(borders), codes[borders[:-1]]
    sizes = sizes[letters < 4]
    return float(sizes.max()), float(sizes[sizes >= LONG_RUN].sum() / sizes.sum())


def _dust(codes: np.ndarray) -> tuple[float, float]:
    """Mean DUST score of the windows of `WINDOW` bases at every half of it, and share of those of low complexity.

    Score of a window with ℓ triplets, of which triplet t occurs c_t times: Σ c_t (c_t − 1) / 2 / (ℓ − 1) (Morgulis et
    al. 2006, J. Comput. Biol. 13:1028); random bases give about ℓ / 128. A window with other letters is left out, and
    a sequence shorter than a window is one.
    """
    size = min(WINDOW, len(codes))
    if size < 5:
        return float("nan"), float("nan")
    windows = np.lib.stride_tricks.sliding_window_view(codes, size)[:: WINDOW // 2].astype(np.int64)
    windows = windows[(windows < 4).all(axis=1)]
    if not len(windows):
        return float("nan"), float("nan")
    triplets = 16 * windows[:, :-2] + 4 * windows[:, 1:-1] + windows[:, 2:]
    places = triplets + 64 * np.arange(len(triplets))[:, None]
    counts = np.bincount(places.ravel(), minlength=64 * len(triplets)).reshape(-1, 64)
    scores = (counts * (counts - 1) / 2).sum(axis=1) / (triplets.shape[1] - 1)
    return float(scores.mean()), float((scores > LOW_COMPLEXITY).mean())
