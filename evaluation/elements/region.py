"""The mutants of a region, and what the models expect along it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.artefacts.sequences import encode
from evaluation.baselines.markov import MarkovModel
from workflow.artifacts import BASES, read_json, read_table

_LETTERS = np.frombuffer(BASES.encode(), np.uint8)
_MODELS = ("adapted", "base")


@dataclass(frozen=True)
class RegionMap:
    """The mutated part of a region, on the forward strand.

    Attributes
    ----------
    seqid : str
    start : int
        Of the part, 0-based.
    sequence : str
        Bases of the part, upper case.
    region : tuple of int
        Start and end of the whole region, whose likelihood is compared; 0-based half-open.
    strands : int
        Strands that were read.
    deltas : dict
        (length, 4) by model: change of the region's log-likelihood with A, C, G, T in place of the base, nats; NaN
        for the base itself and where there is none of the four. With `markov`.
    logprobs : dict
        (length, 4) by model: natural log of the probability of A, C, G, T at each base, renormalised over these; of
        two strands, the mean of the probability from the bases before it and that from the bases after it. With
        `markov`.
    """

    seqid: str
    start: int
    sequence: str
    region: tuple[int, int]
    strands: int
    deltas: dict[str, np.ndarray]
    logprobs: dict[str, np.ndarray]

    @property
    def codes(self) -> np.ndarray:
        """Codes 0 … 3 of the bases, 4 for other letters, (length,) uint8."""
        return encode(self.sequence)

    def part(self, first: int, last: int) -> RegionMap:
        """Bases `first` to `last` of this part."""
        return RegionMap(
            self.seqid,
            self.start + first,
            self.sequence[first:last],
            self.region,
            self.strands,
            {model: values[first:last] for model, values in self.deltas.items()},
            {model: values[first:last] for model, values in self.logprobs.items()},
        )

    def sensitivity(self, model: str) -> np.ndarray:
        """Mean change over the three mutants of each base, (length,) nats; NaN where there are none."""
        deltas = self.deltas[model]
        number = np.isfinite(deltas).sum(axis=1)
        total = np.nansum(deltas, axis=1)
        mean: np.ndarray = np.divide(total, number, out=np.full(len(deltas), np.nan), where=number > 0)
        return mean

    def strongest(self, model: str, bases: int) -> RegionMap:
        """The stretch of at most so many bases in which mutants matter most: largest sum of |mean change|."""
        effect = np.nan_to_num(np.abs(self.sensitivity(model)))
        size = min(bases, len(effect))
        total = np.concatenate([[0.0], np.cumsum(effect)])
        first = int((total[size:] - total[: len(total) - size]).argmax())
        return self.part(first, first + size)


def read_region(folder: Path, markov: MarkovModel) -> RegionMap:
    """Read what the stage published of a region, and make its Markov baseline.

    Raises
    ------
    InputError
        A file is missing or damaged.
    """
    told = read_json(folder / "region.json")
    mutants = read_table(folder / "mutagenesis.parquet")
    start, sequence, strands = told["start"], told["sequence"], told["strands"]
    offset = mutants["position"].to_numpy(np.int64) - start
    part = slice(int(offset.min()), int(offset.max()) + 1)
    mutants["delta_markov"] = _markov_deltas(sequence, offset, mutants["alt"].tolist(), markov, strands)
    logprobs = {
        model: np.load(path)
        for model in _MODELS
        if (path := folder / f"logprobs_{model}.npy").exists() and f"delta_{model}" in mutants
    }
    logprobs["markov"] = _markov_logprobs(sequence, markov, strands)
    return RegionMap(
        told["seqid"],
        start + part.start,
        sequence[part],
        (start, told["end"]),
        strands,
        {model: _square(mutants, offset - part.start, f"delta_{model}") for model in logprobs},
        {model: _mean_distribution(values[:, part]) for model, values in logprobs.items()},
    )


def _square(mutants: pd.DataFrame, row: np.ndarray, column: str) -> np.ndarray:
    """(length, 4) of a column with one value a mutant."""
    values = np.full((int(row.max()) + 1, 4), np.nan)
    values[row, [BASES.index(alt) for alt in mutants["alt"]]] = mutants[column].to_numpy(float)
    return values


def _mean_distribution(logprobs: np.ndarray) -> np.ndarray:
    """Log of the mean over the strands, (strands, length, 4), of distributions over A, C, G, T."""
    raised = np.exp(logprobs.astype(float))
    mean: np.ndarray = np.log((raised / raised.sum(axis=-1, keepdims=True)).mean(axis=0))
    return mean


def _markov_logprobs(sequence: str, markov: MarkovModel, strands: int) -> np.ndarray:
    """(strands, length, 4) as the stage writes it of a model."""
    codes, begin = encode(sequence), np.zeros(1, np.int64)
    forward = markov.logprobs(_ascii(codes), begin)
    backward = markov.logprobs(_ascii(_other_strand(codes)), begin)[::-1, ::-1]
    return np.stack([forward, backward][:strands])


def _markov_deltas(
    sequence: str, offsets: np.ndarray, alternatives: list[str], markov: MarkovModel, strands: int
) -> np.ndarray:
    """Change of the region's log-likelihood under the Markov model for each mutant, mean of the strands, (n,)."""
    codes = encode(sequence)
    deltas = []
    for offset, alternative in zip(offsets.tolist(), alternatives, strict=True):
        # Bases further away do not see the mutation within their context.
        first, last = max(offset - markov.order, 0), min(offset + markov.order + 1, len(codes))
        around, mutated = codes[first:last], codes[first:last].copy()
        mutated[offset - first] = BASES.index(alternative)
        reads = [(mutated, around), (_other_strand(mutated), _other_strand(around))][:strands]
        deltas.append(np.mean([_log_likelihood(new, markov) - _log_likelihood(old, markov) for new, old in reads]))
    return np.array(deltas, float)


def _log_likelihood(codes: np.ndarray, markov: MarkovModel) -> float:
    known = np.flatnonzero(codes < len(BASES))
    logprobs = markov.logprobs(_ascii(codes), np.zeros(1, np.int64))
    return float(logprobs[known, codes[known]].sum(dtype=np.float64))


def _other_strand(codes: np.ndarray) -> np.ndarray:
    """Codes of the reverse complement; what is no base stays."""
    return np.where(codes < len(BASES), 3 - codes.astype(np.int64), len(BASES)).astype(np.uint8)[::-1]


def _ascii(codes: np.ndarray) -> np.ndarray:
    letters: np.ndarray = np.append(_LETTERS, ord("N")).astype(np.uint8)[codes]
    return letters
