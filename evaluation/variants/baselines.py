"""What the bases beside a variant say of it, without the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation.baselines.kmers import Kind, cross_validated_scores
from evaluation.per_base.scores import BASE_COLUMN
from evaluation.per_base.stream import Baseline

#: Bases on each side of the alternative allele that the k-mer regression knows.
KMER_FLANK = 2
#: Bases: the k-mer regression predicts stretches of this length that it has not seen.
STRETCH = 100
_CHUNK_SEQUENCES = 1 << 14
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def markov_deltas(table: pd.DataFrame, markov: Baseline) -> np.ndarray:
    """Δ of the run's Markov model, (n,) nats, the mean of both strands.

    Its contexts end within the flanks, so that this is the Δ of windows of any length.

    Parameters
    ----------
    table : DataFrame
        left_flank, ref, alt, right_flank: text in upper case.
    markov : Baseline
        Of an order below the length of a flank.
    """
    deltas = np.empty(len(table))
    for first in range(0, len(table), _CHUNK_SEQUENCES):
        part = table[first : first + _CHUNK_SEQUENCES]
        alternative, reference = (
            _both_strands((part["left_flank"] + part[allele] + part["right_flank"]).tolist(), markov)
            for allele in ("alt", "ref")
        )
        deltas[first : first + len(part)] = alternative - reference
    return deltas


def kmer_scores(table: pd.DataFrame, target: np.ndarray, kind: Kind, seed: int) -> np.ndarray:
    """Out-of-fold predictions of a regression on the k-mers of the alternative allele, (n,) float64.

    It is told the allele with `KMER_FLANK` bases on both sides, and the substitution of a single base, written out as a
    word of its own (`ACACAC` for A to C). Variants of one stretch of `STRETCH` bases are predicted together:
    neighbours share their k-mers.

    Parameters
    ----------
    table : DataFrame
        seqid, position, left_flank, ref, alt, right_flank.
    target, kind, seed
        As of `evaluation.baselines.kmers.cross_validated_scores`.
    """
    columns = ["left_flank", "ref", "alt", "right_flank"]
    sequences = [
        left[-KMER_FLANK:] + alt + right[:KMER_FLANK] + ("N" + 3 * (ref + alt) if len(ref) == len(alt) == 1 else "")
        for left, ref, alt, right in table[columns].itertuples(index=False)
    ]
    stretches = table["seqid"] + ":" + (table["position"] // STRETCH).astype(str)
    return cross_validated_scores(sequences, target, kind, stretches.to_numpy(str), seed)


def _both_strands(sequences: Sequence[str], markov: Baseline) -> np.ndarray:
    turned = [sequence.translate(_COMPLEMENT)[::-1] for sequence in sequences]
    both: np.ndarray = (_totals(sequences, markov) + _totals(turned, markov)) / 2
    return both


def _totals(sequences: Sequence[str], markov: Baseline) -> np.ndarray:
    """Log-likelihood of each sequence, (n,) nats, over its bases A, C, G, T."""
    bases = np.frombuffer("".join(sequences).encode(), np.uint8)
    lengths = np.array([len(sequence) for sequence in sequences])
    starts = np.cumsum(lengths) - lengths
    logprobs = markov.logprobs(bases, starts, slice(0, len(sequences)))
    codes = BASE_COLUMN[bases]
    observed = np.where(codes < 4, logprobs[np.arange(len(bases)), np.minimum(codes, 3)], 0.0)
    totals: np.ndarray = np.add.reduceat(observed, starts, dtype=np.float64)
    return totals
