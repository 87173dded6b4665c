"""GC, lengths and k-mers of the generated sequences, against the genome at matched length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.artefacts.sequences import (
    gc_shares,
    information,
    kmer_counts,
    kmer_names,
    kmer_spectrum,
    spectrum_distance,
    spectrum_distances,
)
from evaluation.generation.intervals import Resampling, by_prompt
from evaluation.generation.samples import Samples
from evaluation.statistics.bootstrap import Interval

KMER, PLANE_KMER = 3, 4
LOGO_POSITIONS = 60
#: With fewer sequences the correction for few sequences exceeds half of what a position can show.
FEWEST_IN_LOGO = 3


@dataclass(frozen=True)
class Composition:
    """What the sequences are made of.

    Attributes
    ----------
    sequences : DataFrame
        One row a sequence: group, length (bp), gc (share), first and second (its place in the plane of `axes`).
    gc, distance : dict
        By group: mean GC share; Jensen–Shannon distance of the 3-mer spectrum to that of the genome, 0 to 1. Intervals
        over prompts. The distance of `genome`, as many fragments as a model wrote, is what sampling alone gives.
    difference : Interval or None
        Distance of the adapted model − that of the base model, over the same prompts.
    spectra : DataFrame
        One row a 3-mer: kmer, and its frequency in each group; `genome` is from many fragments.
    logos : dict
        Letter heights (bits) by group, of those with at least `FEWEST_IN_LOGO` sequences that share a start.
    axes : tuple of float
        Share of the variance of the fragments' 4-mer frequencies along the two principal components, which are fitted
        to the genome's fragments alone.
    background : ndarray, (n, 2)
        Where those fragments lie.
    """

    sequences: pd.DataFrame
    gc: dict[str, Interval]
    distance: dict[str, Interval]
    difference: Interval | None
    spectra: pd.DataFrame
    logos: dict[str, pd.DataFrame]
    axes: tuple[float, float]
    background: np.ndarray


def compose(samples: Samples, resampling: Resampling) -> Composition:
    """Measure composition; see `Composition`."""
    groups = samples.groups
    reference = kmer_spectrum(samples.background, KMER)
    gc, distance, draws, spectra = {}, {}, {}, {}
    for group, rows in groups.items():
        prompts = rows["prompt_id"].to_numpy(str)
        gc[group] = resampling.mean(gc_shares(rows["sequence"].tolist()), prompts)
        counts = by_prompt(kmer_counts(rows["sequence"].tolist(), KMER), prompts)[0]
        counts = counts[counts.any(axis=1)]
        spectra[group] = _spectrum(counts.sum(axis=0))
        draws[group] = spectrum_distances(resampling.means(counts, counts.sum(axis=1)), reference)
        estimate = spectrum_distance(spectra[group], reference)
        distance[group] = resampling.centred(estimate, draws[group], len(counts))
    difference = None
    if {"base", "adapted"} <= groups.keys() and _same_prompts(groups["base"], groups["adapted"]):
        estimate = distance["adapted"].estimate - distance["base"].estimate
        change = draws["adapted"] - draws["base"]
        prompts_drawn = groups["base"]["prompt_id"].nunique()
        # The bias of both distances is about the same: the difference has next to none.
        difference = resampling.interval(estimate, change, prompts_drawn)
    plane = _fit_plane(samples.background)
    table = samples.table[["group"]].assign(
        length=samples.table["sequence"].str.len(),
        gc=gc_shares(samples.table["sequence"].tolist()),
    )
    table[["first", "second"]] = plane.project(samples.table["sequence"].tolist())
    logos = {
        group: information(rows["sequence"].tolist(), LOGO_POSITIONS)
        for group, rows in groups.items()
        if group != "genome" and len(rows) >= FEWEST_IN_LOGO
    }
    return Composition(
        sequences=table,
        gc=gc,
        distance=distance,
        difference=difference,
        spectra=pd.DataFrame({"kmer": kmer_names(KMER)} | spectra | {"genome": reference}),
        logos=logos,
        axes=plane.variance,
        background=plane.project(samples.background),
    )


@dataclass(frozen=True)
class _Plane:
    """The two principal components of 4-mer frequencies."""

    centre: np.ndarray
    components: np.ndarray
    variance: tuple[float, float]

    def project(self, sequences: list[str]) -> np.ndarray:
        """Places (n, 2); NaN for a sequence without any 4-mer."""
        places: np.ndarray = (_frequencies(sequences) - self.centre) @ self.components.T
        return places


def _fit_plane(fragments: list[str]) -> _Plane:
    """Pearson (1901, Phil. Mag. 2:559); the sign is such that the largest loading is positive."""
    frequencies = _frequencies(fragments)
    frequencies = frequencies[~np.isnan(frequencies).any(axis=1)]
    if len(frequencies) < 3:
        return _Plane(np.zeros(4**PLANE_KMER), np.full((2, 4**PLANE_KMER), np.nan), (float("nan"), float("nan")))
    centre = frequencies.mean(axis=0)
    _, singular, components = np.linalg.svd(frequencies - centre, full_matrices=False)
    components = components[:2]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    share = singular**2 / max((singular**2).sum(), np.finfo(float).tiny)
    return _Plane(centre, components * np.sign(largest), (float(share[0]), float(share[1])))


def _frequencies(sequences: list[str]) -> np.ndarray:
    counts = kmer_counts(sequences, PLANE_KMER).astype(float)
    totals = counts.sum(axis=1, keepdims=True)
    frequencies: np.ndarray = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    return frequencies


def _spectrum(counts: np.ndarray) -> np.ndarray:
    spectrum: np.ndarray = counts / max(float(counts.sum()), 1.0)
    return spectrum


def _same_prompts(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return one["prompt_id"].drop_duplicates().tolist() == other["prompt_id"].drop_duplicates().tolist()
