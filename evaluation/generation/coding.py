"""Open reading frames and codon usage of the generated sequences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.artefacts.sequences import spectrum_distance, spectrum_distances
from evaluation.baselines.markov import MarkovModel
from evaluation.generation.annotated import CodingSequences
from evaluation.generation.frames import longest_open_stretch, stop_codons
from evaluation.generation.intervals import Resampling, by_prompt
from evaluation.generation.samples import Samples, continue_prompts
from evaluation.per_base.genetic_code import CODONS, amino_acids
from evaluation.statistics.bootstrap import Interval
from evaluation.statistics.groups import ratio

#: Codons from which a stretch counts as a reading frame: by chance, one of 100 random stretches goes on as far.
LONG_FRAME = 100


@dataclass(frozen=True)
class Coding:
    """Reading frames and codons.

    Attributes
    ----------
    sequences : DataFrame
        One row a sequence, in the order of the samples: group, codons (of the longest stretch without a stop codon, in
        any of six frames).
    longest, long_frames : dict
        By group: mean of `codons`, share of sequences with a long frame. Intervals over prompts. Beside the groups of
        the samples `dinucleotide`: as many sequences of the same lengths, of which each base depends on the one before.
    usage : DataFrame
        One row a codon, stops left out: codon, amino_acid, and for each column of `codons` its relative synonymous
        codon usage (RSCU: frequency over the mean of the amino acid's codons; Sharp & Li 1986, Nucleic Acids Res.
        14:5125); NaN where the amino acid does not occur.
    codons : dict
        Codons counted: `cds`, the annotated coding sequences, and each group, in whose long frames they stand.
    distance, correlation : dict
        By group: Jensen–Shannon distance of the codon frequencies to those of the annotation, and Pearson correlation
        of the RSCU with the annotation's, over the codons of amino acids that have several; intervals over prompts.
    shuffled_distance, shuffled_correlation : dict
        The same of those long frames with the bases of each in random order, stop codons left out: what their base
        composition alone gives.
    transcripts, transl_table : int
        Annotated coding sequences counted, and their genetic code.
    """

    sequences: pd.DataFrame
    longest: dict[str, Interval]
    long_frames: dict[str, Interval]
    usage: pd.DataFrame
    codons: dict[str, int]
    distance: dict[str, Interval]
    correlation: dict[str, Interval]
    shuffled_distance: dict[str, Interval]
    shuffled_correlation: dict[str, Interval]
    transcripts: int
    transl_table: int


def measure_coding(samples: Samples, annotated: CodingSequences, markov: MarkovModel, resampling: Resampling) -> Coding:
    """Measure reading frames and codon usage; see `Coding`. The order 1 of the Markov model is the expectation."""
    is_stop = stop_codons(annotated.transl_table)
    stretches = [longest_open_stretch(sequence, is_stop) for sequence in samples.table["sequence"]]
    sizes = np.array([len(stretch) for stretch in stretches])
    table = samples.table[["group"]].assign(codons=sizes)
    longest, long_frames, counts = {}, {}, {"cds": annotated.counts}
    usage, of_shuffled = _Usage(annotated, resampling), _Usage(annotated, resampling)
    generator = np.random.default_rng(resampling.seed)
    for group, rows in samples.groups.items():
        prompts, places = rows["prompt_id"].to_numpy(str), rows.index.to_numpy()
        longest[group] = resampling.mean(sizes[places].astype(float), prompts)
        long_frames[group] = resampling.mean((sizes[places] >= LONG_FRAME).astype(float), prompts)
        in_frames = [stretches[place][: sizes[place] * (sizes[place] >= LONG_FRAME)] for place in places]
        counts[group] = usage.measure(group, in_frames, prompts)
        of_shuffled.measure(group, [_shuffled(frame, is_stop, generator) for frame in in_frames], prompts)
    expected = _dinucleotide_stretches(samples, markov, is_stop, resampling.seed)
    longest["dinucleotide"] = resampling.mean(expected, np.arange(len(expected)))
    long_frames["dinucleotide"] = resampling.mean((expected >= LONG_FRAME).astype(float), np.arange(len(expected)))
    return Coding(
        sequences=table,
        longest=longest,
        long_frames=long_frames,
        usage=_usage(counts, annotated.transl_table),
        codons={name: int(count.sum()) for name, count in counts.items()},
        distance=usage.distance,
        correlation=usage.correlation,
        shuffled_distance=of_shuffled.distance,
        shuffled_correlation=of_shuffled.correlation,
        transcripts=annotated.transcripts,
        transl_table=annotated.transl_table,
    )


def _dinucleotide_stretches(samples: Samples, markov: MarkovModel, is_stop: np.ndarray, seed: int) -> np.ndarray:
    lengths = samples.groups[samples.models[0]]["sequence"].str.len().tolist()
    drawn = continue_prompts(markov.tables[:2], [""] * len(lengths), lengths, seed)
    return np.array([len(longest_open_stretch(sequence, is_stop)) for sequence in drawn], float)


def relative_usage(counts: np.ndarray, transl_table: int) -> np.ndarray:
    """Relative synonymous codon usage (64,): 1 where an amino acid's codons are equally frequent; NaN for stops."""
    acids = amino_acids(transl_table)
    usage = np.full(64, np.nan)
    for acid in set(acids) - {"*"}:
        family = acids == acid
        if counts[family].any():
            usage[family] = counts[family] / counts[family].mean()
    return usage


def _usage(counts: dict[str, np.ndarray], transl_table: int) -> pd.DataFrame:
    columns = {name: relative_usage(count, transl_table) for name, count in counts.items()}
    table = pd.DataFrame({"codon": CODONS, "amino_acid": amino_acids(transl_table)} | columns)
    return table[table["amino_acid"] != "*"].sort_values(["amino_acid", "codon"], ignore_index=True)


class _Usage:
    """Distance and correlation of the codon usage of each group with that of the annotation."""

    def __init__(self, annotated: CodingSequences, resampling: Resampling) -> None:
        self._resampling = resampling
        acids = amino_acids(annotated.transl_table)
        self._family = (acids[:, None] == acids) & (acids != "*")
        self._several = self._family.sum(axis=0) > 1
        self._frequencies, self._rscu = _frequencies(annotated.counts), self._relative(annotated.counts[None])
        self.distance: dict[str, Interval] = {}
        self.correlation: dict[str, Interval] = {}

    def measure(self, group: str, frames: list[np.ndarray], prompts: np.ndarray) -> np.ndarray:
        """Measure one group from its frames, and the prompt of each; (64,) codons of all of them."""
        counted = np.array([np.bincount(frame, minlength=64) for frame in frames], float).reshape(-1, 64)
        counts = by_prompt(counted, prompts)[0]
        counts = counts[counts.any(axis=1)]
        total: np.ndarray = counts.sum(axis=0)
        draws = np.nan_to_num(self._resampling.means(counts, counts.sum(axis=1)))
        distance = spectrum_distance(_frequencies(total), self._frequencies)
        distances = spectrum_distances(draws, self._frequencies)
        self.distance[group] = self._resampling.centred(distance, distances, len(counts))
        correlation = float(self._correlations(total[None])[0])
        self.correlation[group] = self._resampling.interval(correlation, self._correlations(draws), len(counts))
        return total

    def _relative(self, counts: np.ndarray) -> np.ndarray:
        """RSCU (n, codons of amino acids with several) of counts or frequencies (n, 64); NaN without the acid."""
        of_family = counts @ self._family / np.maximum(self._family.sum(axis=0), 1)
        usage: np.ndarray = ratio(counts, of_family)[:, self._several]
        return usage

    def _correlations(self, counts: np.ndarray) -> np.ndarray:
        """Pearson's correlation of each row's RSCU (n, 64) with the annotation's, over the acids that both have."""
        one, other = self._relative(counts), np.broadcast_to(self._rscu, (len(counts), self._rscu.shape[1]))
        both = np.isfinite(one) & np.isfinite(other)
        number = both.sum(axis=1, keepdims=True)
        one, other = (
            np.where(both, values - ratio(np.where(both, values, 0).sum(axis=1, keepdims=True), number), 0)
            for values in (one, other)
        )
        scale = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
        return ratio((one * other).sum(axis=1), scale)


def _shuffled(codons: np.ndarray, is_stop: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A frame with its bases in random order, without the stop codons that this makes."""
    bases = generator.permutation((codons[:, None] // np.array([16, 4, 1]) % 4).ravel())
    mixed = bases.reshape(-1, 3) @ np.array([16, 4, 1])
    kept: np.ndarray = mixed[~is_stop[mixed]]
    return kept


def _frequencies(counts: np.ndarray) -> np.ndarray:
    frequencies: np.ndarray = counts / max(float(counts.sum()), 1.0)
    return frequencies
