"""Around features, along codons, against similarity to train: the analyses that need the annotation or the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.per_base import similarity
from evaluation.per_base.around import Around, AroundTally
from evaluation.per_base.codons import CodonErrors, CodonTally
from evaluation.per_base.genetic_code import most_frequent_code
from evaluation.per_base.periodicity import Periodicity, PeriodicityTally
from evaluation.per_base.scores import WindowScores
from evaluation.per_base.stream import Chunk
from workflow.artifacts import InputError, read_table


@dataclass(frozen=True)
class Features:
    """What the four analyses found; `similarity` is None where the preparation made no leakage audit."""

    around: Around
    periodicity: Periodicity
    codons: CodonErrors
    similarity: similarity.Similarity | None

    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table by the name of the file that it deserves."""
        tables = {
            "around_features": self.around.table,
            "codon_spectrum": self.periodicity.spectrum,
            "codon_positions": self.periodicity.positions,
            "codon_errors": self.codons.table,
        }
        if self.similarity is not None:
            tables |= {
                "similarity_to_train": self.similarity.bins,
                "similarity_correlations": self.similarity.correlations,
            }
        return tables


class FeatureTallies:
    """A tally for the stream that feeds all of them.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.
    index : DataFrame
        Windows of the stream.
    models : sequence of str
        Models of the stream, baselines included. Copying from train is shown against similarity only: around features
        it would add a line, and nothing that the Markov model does not say.

    Raises
    ------
    InputError
        A table is missing, or names an unknown site or genetic code.
    """

    def __init__(self, prepared: Path, index: pd.DataFrame, models: Sequence[str]) -> None:
        if not (prepared / "sites.parquet").exists():
            raise InputError(
                f"{prepared / 'sites.parquet'} does not exist: run stage=prepare again with force=true, "
                "an earlier version of it did not write the sites of genes"
            )
        genetic_code = most_frequent_code(read_table(prepared / "annotation.parquet", ["type", "transl_table"]))
        shown = [model for model in models if model != "copy"]
        self._around = AroundTally(read_table(prepared / "sites.parquet"), index, shown)
        self._periodicity = PeriodicityTally(shown)
        self._codons = CodonTally(shown, genetic_code)
        self._audit = prepared / "leakage.parquet"

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """See `evaluation.per_base.stream.Tally`."""
        for tally in (self._around, self._periodicity, self._codons):
            tally.add(chunk, blocks)

    def result(self, scores: WindowScores, samples: int, confidence: float, seed: int) -> Features:
        """All results with block-bootstrap intervals.

        Parameters
        ----------
        scores : WindowScores
            Of the same stream.
        samples, confidence, seed : int, float, int
            Number of resamplings, coverage of the intervals, seed of the generator.
        """
        how = samples, confidence, seed
        audit = None
        if self._audit.exists():
            audit = similarity.analyse(scores, read_table(self._audit), *how)
        return Features(self._around.result(*how), self._periodicity.result(*how), self._codons.result(*how), audit)
