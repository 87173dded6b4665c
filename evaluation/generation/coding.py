"""Open reading frames and codon usage of the generated sequences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from Bio.Data import CodonTable

from evaluation.artefacts.sequences import spectrum_distance, spectrum_distances
from evaluation.baselines.markov import MarkovModel
from evaluation.generation.annotated import CodingSequences
from evaluation.generation.frames import codon_number, longest_open_stretch, stop_codons
from evaluation.generation.intervals import Resampling, by_prompt
from evaluation.generation.samples import Samples, continue_prompts
from evaluation.statistics.bootstrap import Interval
from workflow.artifacts import BASES

#: Codons from which a stretch counts as a reading frame: by chance, one of 100 random stretches goes on as far.
LONG_FRAME = 100
CODONS = [a + b + c for a in BASES for b in BASES for c in BASES]


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
    distance : dict
        By group: Jensen–Shannon distance of the codon frequencies to those of the annotation; intervals over prompts.
    transcripts, transl_table : int
        Annotated coding sequences counted, and their genetic code.
    """

    sequences: pd.DataFrame
    longest: dict[str, Interval]
    long_frames: dict[str, Interval]
    usage: pd.DataFrame
    codons: dict[str, int]
    distance: dict[str, Interval]
    transcripts: int
    transl_table: int


def measure_coding(samples: Samples, annotated: CodingSequences, markov: MarkovModel, resampling: Resampling) -> Coding:
    """Measure reading frames and codon usage; see `Coding`. The order 1 of the Markov model is the expectation."""
    is_stop = stop_codons(annotated.transl_table)
    stretches = [longest_open_stretch(sequence, is_stop) for sequence in samples.table["sequence"]]
    sizes = np.array([len(stretch) for stretch in stretches])
    table = samples.table[["group"]].assign(codons=sizes)
    longest, long_frames, distance, counts = {}, {}, {}, {"cds": annotated.counts}
    reference = _frequencies(annotated.counts)
    for group, rows in samples.groups.items():
        prompts, places = rows["prompt_id"].to_numpy(str), rows.index.to_numpy()
        longest[group] = resampling.mean(sizes[places].astype(float), prompts)
        long_frames[group] = resampling.mean((sizes[places] >= LONG_FRAME).astype(float), prompts)
        in_frames = np.array([np.bincount(stretches[place], minlength=64) for place in places], float)
        by_prompts = by_prompt(np.where(sizes[places, None] >= LONG_FRAME, in_frames, 0), prompts)[0]
        counts[group] = by_prompts.sum(axis=0)
        distance[group] = _distance(by_prompts[by_prompts.any(axis=1)], reference, resampling)
    expected = _dinucleotide_stretches(samples, markov, is_stop, resampling.seed)
    longest["dinucleotide"] = resampling.mean(expected, np.arange(len(expected)))
    long_frames["dinucleotide"] = resampling.mean((expected >= LONG_FRAME).astype(float), np.arange(len(expected)))
    return Coding(
        sequences=table,
        longest=longest,
        long_frames=long_frames,
        usage=_usage(counts, annotated.transl_table),
        codons={name: int(count.sum()) for name, count in counts.items()},
        distance=distance,
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


def amino_acids(transl_table: int) -> np.ndarray:
    """One-letter amino acid of each codon in the order of A, C, G, T, (64,) of str; `*` for stops."""
    acids = np.full(64, "*")
    for codon, acid in CodonTable.unambiguous_dna_by_id[transl_table].forward_table.items():
        acids[codon_number(codon)] = acid
    return acids


def _usage(counts: dict[str, np.ndarray], transl_table: int) -> pd.DataFrame:
    columns = {name: relative_usage(count, transl_table) for name, count in counts.items()}
    table = pd.DataFrame({"codon": CODONS, "amino_acid": amino_acids(transl_table)} | columns)
    return table[table["amino_acid"] != "*"].sort_values(["amino_acid", "codon"], ignore_index=True)


def _distance(counts: np.ndarray, reference: np.ndarray, resampling: Resampling) -> Interval:
    estimate = spectrum_distance(_frequencies(counts.sum(axis=0)), reference)
    spectra = resampling.means(counts, counts.sum(axis=1))
    draws = spectrum_distances(np.nan_to_num(spectra), reference)
    return resampling.centred(estimate, draws, len(counts))


def _frequencies(counts: np.ndarray) -> np.ndarray:
    frequencies: np.ndarray = counts / max(float(counts.sum()), 1.0)
    return frequencies
