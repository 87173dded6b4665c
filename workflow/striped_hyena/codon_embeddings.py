"""Where codons lie among a model's states: the mean state at the third base of each of the 64, and a sample of them.

A causal model knows a codon once it has read its third base, so that the state there is taken. What is added up is as
large as the 64 codons, however many sequences pass by.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workflow.genome.alphabet import BASE_CODE
from workflow.striped_hyena.codons.genetic_code import CODONS

#: Single occurrences that are kept of each codon.
SAMPLE = 12


class CodonStates:
    """Takes in coding sequences one after another.

    The sample is the same however often the same sequences are read in the same order.

    Parameters
    ----------
    layers, width : int
        Layers and width of the states.
    seed : int
        Of the sample.
    sample : int
        Occurrences that are kept of each codon.
    """

    def __init__(self, layers: int, width: int, seed: int, sample: int = SAMPLE) -> None:
        self.counts = np.zeros(len(CODONS), np.int64)
        self._sums = np.zeros((len(CODONS), layers * width))
        self._shape = layers, width
        self._sample = sample
        self._generator = np.random.default_rng(seed)
        # An occurrence is kept while its random key is among the smallest of its codon.
        self._keys = np.empty(0)
        self._codons = np.empty(0, np.int64)
        self._kept = np.empty((0, layers * width), np.float32)

    def add(self, bases: np.ndarray, states: np.ndarray, first: int = 0) -> None:
        """Take in one sequence, or a stretch of it.

        Parameters
        ----------
        bases : ndarray, (length,) uint8
            The whole sequence, ASCII in either case; its first base is the first of a codon. Codons with other letters
            than A, C, G, T and what follows the last whole codon are left out.
        states : ndarray, (rows, layers, width) float
            The model's states at some of these bases, one after another.
        first : int
            Which base the first row is of.
        """
        codes = BASE_CODE[bases[: len(bases) // 3 * 3]].reshape(-1, 3).astype(np.int64)
        third = 3 * np.arange(len(codes)) + 2
        known = (codes < 4).all(axis=1) & (third >= first) & (third < first + len(states))
        codon = codes[known] @ np.array([16, 4, 1])
        at_third = states[third[known] - first].reshape(len(codon), self._sums.shape[1])
        self.counts += np.bincount(codon, minlength=len(CODONS))
        np.add.at(self._sums, codon, at_third)
        self._keep(codon, at_third)

    def _keep(self, codon: np.ndarray, states: np.ndarray) -> None:
        keys = np.concatenate([self._keys, self._generator.random(len(codon))])
        codons = np.concatenate([self._codons, codon])
        order = np.lexsort([keys, codons])
        first = np.searchsorted(codons[order], np.arange(len(CODONS)))
        rank = np.arange(len(order)) - first[codons[order]]
        chosen = order[rank < self._sample]
        old, new = chosen[chosen < len(self._keys)], chosen[chosen >= len(self._keys)]
        chosen = np.concatenate([old, new])
        self._kept = np.concatenate([self._kept[old], states[new - len(self._keys)].astype(np.float32)])
        self._keys, self._codons = keys[chosen], codons[chosen]

    def means(self) -> np.ndarray:
        """(64, layers, width) float32: mean state of each of `CODONS`; NaN where it does not occur."""
        counts = self.counts[:, None]
        means = np.divide(self._sums, counts, out=np.full_like(self._sums, np.nan), where=counts > 0)
        return means.reshape(len(CODONS), *self._shape).astype(np.float32)

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of the codon of each occurrence that was kept, (n,) int64, and its states, (n, layers, width) float32.

        By codon.
        """
        order = np.lexsort([self._keys, self._codons])
        return self._codons[order], self._kept[order].reshape(-1, *self._shape)

    def write(self, folder: Path) -> None:
        """Write the means and the sample into a folder, which is made.

        `codons.npy` (64, layers, width) and `codons.parquet` (codon, n); `codon_sample.npy` (n, layers, width) and
        `codon_sample.parquet` (codon).
        """
        folder.mkdir(parents=True, exist_ok=True)
        codons, states = self.sample()
        np.save(folder / "codons.npy", self.means())
        np.save(folder / "codon_sample.npy", states)
        pd.DataFrame({"codon": CODONS, "n": self.counts}).to_parquet(folder / "codons.parquet", index=False)
        sampled = pd.DataFrame({"codon": np.array(CODONS)[codons]})
        sampled.to_parquet(folder / "codon_sample.parquet", index=False)
