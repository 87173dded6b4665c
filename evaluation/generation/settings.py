"""Generations of several settings beside each other: what temperature and top-k change, against real fragments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from evaluation.artefacts.records import stage_record
from evaluation.artefacts.sequences import gc_shares, kmer_counts, kmer_spectrum, spectrum_distance, split_fragments
from evaluation.drawing.style import COLOURS, new_figure, plain
from evaluation.generation.composition import PLANE_KMER
from evaluation.generation.frames import longest_open_stretch, stop_codons
from evaluation.generation.intervals import Resampling, by_prompt
from evaluation.generation.samples import MODELS, read_generations
from evaluation.page.text import MISSING, bracketed, number
from evaluation.statistics.bootstrap import Interval

#: Sets of real fragments, each as many and as long as what was generated.
_SETS = 60
_SPECTRUM_KMER = 3
#: Fragments of the genome, and their bases, that its own spectrum is taken from.
_FRAGMENTS, _FRAGMENT = 1_000, 200
_SETTINGS = ("temperature", "top_k")
#: Real fragments, by how much longer they are than what was generated.
_REAL = {"real, as long": 1.0, "real, twice as long": 2.0, "real, half as long": 0.5}


@dataclass(frozen=True)
class Written:
    """What a model wrote with some settings, or real fragments.

    Attributes
    ----------
    sequences, length : int, float
        How many, and their median length in bp.
    gc, variance, open_frame : Interval
        Mean GC share; `kmer_variance`; mean length of the longest open frame, codons. Intervals are over prompts; of
        real fragments, the middle of sets of as many and as long.
    distance : float
        Jensen–Shannon distance of the 3-mer spectrum to the genome's, 0 to 1.
    settings : dict
        temperature and top_k; empty for real fragments.
    """

    sequences: int
    length: float
    gc: Interval
    variance: Interval
    distance: float
    open_frame: Interval
    settings: dict[str, object]

    def cells(self) -> dict[str, object]:
        """A row of a table."""
        return {
            **{name: self.settings.get(name, MISSING) for name in _SETTINGS},
            "sequences": self.sequences,
            "length, bp": self.length,
            "GC": bracketed(self.gc),
            f"{PLANE_KMER}-mer variance": bracketed(self.variance),
            f"{_SPECTRUM_KMER}-mer distance to genome": number(self.distance),
            "longest open frame, codons": bracketed(self.open_frame),
        }


def kmer_variance(counts: np.ndarray) -> float:
    """Variance of the count of each k-mer over sequences, the mean over k-mers; counts (n, 4**k).

    It grows with the length of the sequences, however alike they are: only sequences of one length can be compared.
    """
    return float(counts.var(axis=0, dtype=float).mean())


def compare_settings(
    runs: Mapping[str, Path], prepared: Path, samples: int, confidence: float, seed: int, genetic_code: int = 11
) -> dict[str, Written]:
    """What each run's models wrote, and real fragments of the same length, twice as long, and half as long.

    Parameters
    ----------
    runs : mapping
        Run folders with the stage `infer`, by what they are called. Prompts and lengths should be the same.
    prepared : Path
        Folder of the stage `prepare`.
    samples, confidence, seed : int, float, int
        Resamplings, level of the intervals, seed.
    genetic_code : int
        NCBI's number; 11 is that of bacteria and plastids.

    Returns
    -------
    dict
        By model and run, then the real fragments.

    Raises
    ------
    InputError
        A run lacks the stage `infer`, or a file is missing.
    """
    resampling = Resampling(samples, confidence, seed)
    is_stop = stop_codons(genetic_code)
    found: dict[str, Written] = {}
    lengths: list[int] = []
    spectrum = kmer_spectrum(split_fragments(prepared, None, [_FRAGMENT] * _FRAGMENTS, seed), _SPECTRUM_KMER)
    for name, run in runs.items():
        record = stage_record(run / "infer")
        settings = {key: record.value("config", "infer", key) for key in _SETTINGS}
        generations = read_generations(run / "infer")
        generations = generations[generations["kind"] != "gene"]
        for model in MODELS:
            part = generations[generations["model"] == model]
            if len(part):
                lengths = lengths or part["sequence"].str.len().tolist()
                found[f"{model}, {name}"] = _measure(part, settings, spectrum, resampling, is_stop)
    for name, factor in _REAL.items():
        sizes = [max(int(factor * length), 1) for length in lengths]
        found[name] = _real(sizes, prepared, spectrum, resampling, is_stop)
    return found


def settings_table(found: Mapping[str, Written]) -> pd.DataFrame:
    """A row each."""
    return pd.DataFrame({name: written.cells() for name, written in found.items()}).T


def variance_figure(found: Mapping[str, Written]) -> Figure:
    """The k-mer variance of each with its interval; real fragments in grey, the dotted line is those as long."""
    figure = new_figure(0.7 + 0.28 * len(found))
    axes = figure.subplots()
    for at, (name, written) in enumerate(found.items()):
        colour = COLOURS["uniform"] if name in _REAL else COLOURS[name.split(",")[0]]
        axes.plot([written.variance.low, written.variance.high], [at, at], color=colour, linewidth=1.4)
        axes.plot(written.variance.estimate, at, "s" if name in _REAL else "o", color=colour, markersize=5)
    axes.axvline(found[next(iter(_REAL))].variance.estimate, color=COLOURS["uniform"], linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(found)), [plain(name) for name in found])
    label = f"variance of {PLANE_KMER}-mer counts over sequences (logarithmic)"
    axes.set(ylim=(len(found) - 0.5, -0.5), xscale="log", xlabel=label)
    return figure


def _measure(
    part: pd.DataFrame, settings: dict[str, object], spectrum: np.ndarray, resampling: Resampling, is_stop: np.ndarray
) -> Written:
    sequences, prompts = part["sequence"].tolist(), part["prompt_id"].to_numpy(str)
    counts = kmer_counts(sequences, PLANE_KMER).astype(float)
    sums, sizes = by_prompt(np.column_stack([counts, counts**2]), prompts)
    means = resampling.means(sums, sizes)
    first, second = np.split(means, 2, axis=1)
    variance = kmer_variance(counts)
    frames = np.array([len(longest_open_stretch(sequence, is_stop)) for sequence in sequences], float)
    return Written(
        len(sequences),
        float(np.median([len(sequence) for sequence in sequences])),
        resampling.mean(gc_shares(sequences), prompts),
        resampling.centred(variance, (second - first**2).mean(axis=1), len(sizes)),
        spectrum_distance(kmer_spectrum(sequences, _SPECTRUM_KMER), spectrum),
        resampling.mean(frames, prompts),
        settings,
    )


def _real(
    sizes: list[int], prepared: Path, spectrum: np.ndarray, resampling: Resampling, is_stop: np.ndarray
) -> Written:
    """Sets of random fragments; the intervals hold the middle of them."""
    tail = (1 - resampling.confidence) / 2
    sets = [split_fragments(prepared, None, sizes, resampling.seed + 2 + number) for number in range(_SETS)]

    def over_sets(values: list[float]) -> Interval:
        low, high = np.nanquantile(values, [tail, 1 - tail])
        return Interval(float(np.nanmean(values)), float(low), float(high))

    return Written(
        len(sizes),
        float(np.median(sizes)),
        over_sets([float(np.nanmean(gc_shares(fragments))) for fragments in sets]),
        over_sets([kmer_variance(kmer_counts(fragments, PLANE_KMER)) for fragments in sets]),
        float(np.mean([spectrum_distance(kmer_spectrum(f, _SPECTRUM_KMER), spectrum) for f in sets])),
        over_sets([float(np.mean([len(longest_open_stretch(f, is_stop)) for f in fragments])) for fragments in sets]),
        {},
    )
