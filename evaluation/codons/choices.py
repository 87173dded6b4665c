"""Which codon a model would have chosen, whether a wrong one spares the amino acid, and how far it goes in the tree.

At each base of a codon the model has read the true bases before it, and its choice is the most probable of A, C, G, T
there (bases that tie share the choice). Two things are made of the three choices of a codon:

- the *third base*: the choice after the true first two bases. Of those that are wrong, some are synonymous;
- the *codon* of the three choices, each after the true bases before it. It is wrong where any of the three is, and is
  then synonymous or not, and 1 to 3 levels away in the codon tree (`evaluation.per_base.genetic_code.tree_distances`,
  the tree that HELM trains with).

A share of synonymous errors says little by itself, since a model errs where the code leaves room: it stands beside
that of a random other base, or codon, in place of exactly the same errors, and beside the Markov model's.

This is about what the model would write. `evaluation.per_base.codons` asks the same of all the probability that it
spreads, and of single bases. Codons are those read in the direction of transcription: of a gene that is read backwards
the third base comes first, and nothing is chosen "after the first two".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from evaluation.per_base.codons import codon_probabilities, find_codons
from evaluation.per_base.genetic_code import amino_acids, tree_distances
from evaluation.per_base.stream import Chunk
from evaluation.statistics.bootstrap import Interval, resampled_totals
from evaluation.statistics.groups import GROUPS, bounds, group_of, ratio, used_groups

_CODONS = 64
# What is added up of each codon.
_NLL, _THIRD, _THIRD_SAME, _THIRD_CHANCE, _MASS_SAME, _MASS_OTHER = range(6)
_WRONG, _WRONG_SAME, _WRONG_CHANCE, _DISTANCE, _DISTANCE_CHANCE, _NUMBER = range(6, 12)
_SUMS = 12
#: What is measured: numerator, denominator (None: codons), factor.
_MEASURES: dict[str, tuple[int, int, float]] = {
    "nll": (_NLL, _NUMBER, 1 / 3),
    "third_error": (_THIRD, _NUMBER, 1),
    "third_synonymous": (_THIRD_SAME, _THIRD, 1),
    "third_by_chance": (_THIRD_CHANCE, _THIRD, 1),
    "mass_synonymous": (_MASS_SAME, _NUMBER, 1),
    "mass_other": (_MASS_OTHER, _NUMBER, 1),
    "codon_error": (_WRONG, _NUMBER, 1),
    "codon_synonymous": (_WRONG_SAME, _WRONG, 1),
    "codon_by_chance": (_WRONG_CHANCE, _WRONG, 1),
    "severity": (_DISTANCE, _NUMBER, 1),
    "error_severity": (_DISTANCE, _WRONG, 1),
    "error_severity_by_chance": (_DISTANCE_CHANCE, _WRONG, 1),
}
MEASURES = tuple(_MEASURES)
#: Of which models are compared.
COMPARED = ("nll", "third_error", "third_synonymous", "codon_error", "codon_synonymous", "severity")


@dataclass(frozen=True)
class CodonChoices:
    """Choices within codons that are read in the direction of transcription.

    Attributes
    ----------
    table : DataFrame
        One row a model, a `uniform` guess first: codons; nll (nats per base of these codons); third_error, the share
        of codons whose third base is chosen wrongly; third_synonymous, the share of these errors that are synonymous,
        and third_by_chance, that of a random other base in their place; mass_synonymous and mass_other, the
        probability on third bases other than the true one, renormalised over A, C, G, T, that code for the same and
        for something else; codon_error, codon_synonymous and codon_by_chance, the same of whole codons; severity, the
        mean tree distance from the true codon to the chosen one, 0 where it is right; error_severity, that of the
        wrong ones (1 to 3), and error_severity_by_chance, that of a random other codon in their place. Each with
        `_low` and `_high`. NaN where there is no codon, or no error.
    differences : DataFrame
        model, reference, measure (of `COMPARED`), difference (model − reference), low, high: paired.
    left_out : int
        Codons of genes that are read against their direction.
    genetic_code : int
        NCBI's number of the translation table.
    """

    table: pd.DataFrame
    differences: pd.DataFrame
    left_out: int
    genetic_code: int

    @property
    def empty(self) -> bool:
        """Whether no complete codon was read along its gene."""
        return not self.table["codons"].any()

    def interval(self, model: str, measure: str) -> Interval:
        """One measure of one model."""
        row = self.table[self.table["model"] == model].iloc[0]
        return Interval(*(float(row[measure + end]) for end in ("", "_low", "_high")))


class ChoiceTally:
    """Adds up, chunk by chunk, the choices of each model.

    Parameters
    ----------
    models : sequence of str
        Models of the chunks, baselines included.
    genetic_code : int
        NCBI's number of the translation table.

    Raises
    ------
    InputError
        There is no such translation table.
    """

    def __init__(self, models: Sequence[str], genetic_code: int) -> None:
        self._genetic_code = genetic_code
        self._same, self._distance = synonymous(genetic_code), tree_distances(genetic_code).astype(float)
        self._sums = np.zeros((GROUPS, 1 + len(models), _SUMS))
        self._models = tuple(models)
        self._left_out = 0

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """Add the windows of a chunk; nothing when the stream has no class track.

        Parameters
        ----------
        chunk : Chunk
        blocks : ndarray, (windows of the chunk,) int64
            Block number of each window.
        """
        if chunk.classes is None:
            return
        first, codon, against, window = find_codons(chunk.classes, chunk.codes, chunk.scored, chunk.starts)
        along = against == 0
        self._left_out += int(np.count_nonzero(~along))
        first, codon, group = first[along], codon[along], group_of(blocks)[window[along]]
        if not len(first):
            return
        uniform = np.full((len(first), 3, 4), 0.25, np.float32)
        _add(self._sums, 0, group, codon, uniform, np.full(len(first), 3 * np.log(4)), self._same, self._distance)
        for place, model in enumerate(self._models, start=1):
            said = chunk.models[model]
            nll = said.nll[first[:, None] + np.arange(3)].sum(axis=1, dtype=np.float64)
            probabilities = codon_probabilities(said.logprobs, first)
            _add(self._sums, place, group, codon, probabilities, nll, self._same, self._distance)

    def result(self, samples: int, confidence: float, seed: int) -> CodonChoices:
        """Measures and their block-bootstrap intervals.

        Parameters
        ----------
        samples, confidence, seed : int, float, int
            Number of resamplings, coverage of the intervals, seed of the generator.
        """
        sums = self._sums[used_groups(self._sums[..., _NUMBER])]
        estimates = _measures(sums.sum(axis=0))
        totals = resampled_totals(sums.reshape(len(sums), -1), samples, seed)
        draws = _measures(totals.reshape(samples, *sums.shape[1:]))
        observed = int(np.count_nonzero(sums[:, 0, _NUMBER]))
        low, high = bounds(draws, np.full(estimates.shape, observed), confidence)
        models = ("uniform", *self._models)
        table = pd.DataFrame({"model": models, "codons": sums[..., _NUMBER].sum(axis=0).astype(np.int64)})
        for place, measure in enumerate(MEASURES):
            table[measure] = estimates[:, place]
            table[f"{measure}_low"], table[f"{measure}_high"] = low[:, place], high[:, place]
        differences = [
            (model, reference, measure, *_difference(estimates, draws, at, to, place, observed, confidence))
            for (at, model), (to, reference) in _pairs(models)
            for place, measure in enumerate(MEASURES)
            if measure in COMPARED
        ]
        columns = ["model", "reference", "measure", "difference", "low", "high"]
        return CodonChoices(table, pd.DataFrame(differences, columns=columns), self._left_out, self._genetic_code)


def synonymous(genetic_code: int) -> np.ndarray:
    """(64, 64) float64: 1 where two different codons code for the same amino acid, or both for stop."""
    amino = amino_acids(genetic_code)
    same: np.ndarray = (amino[:, None] == amino).astype(float)
    np.fill_diagonal(same, 0)
    return same


def _pairs(models: Sequence[str]) -> list[tuple[tuple[int, str], tuple[int, str]]]:
    """The adapted model against the base model, and each model against the Markov model, with their places."""
    place = {model: (number, model) for number, model in enumerate(models)}
    pairs = [("adapted", "base"), *((model, "markov") for model in ("adapted", "base"))]
    return [(place[model], place[reference]) for model, reference in pairs if {model, reference} <= set(place)]


def _difference(
    estimates: np.ndarray, draws: np.ndarray, at: int, to: int, measure: int, observed: int, confidence: float
) -> tuple[float, float, float]:
    drawn = draws[:, at, measure] - draws[:, to, measure]
    low, high = bounds(drawn[:, None], np.array([observed]), confidence)
    return float(estimates[at, measure] - estimates[to, measure]), float(low[0]), float(high[0])


def _measures(sums: np.ndarray) -> np.ndarray:
    """From sums (…, `_SUMS`) to measures (…, `MEASURES`)."""
    shares = [scale * ratio(sums[..., one], sums[..., other]) for one, other, scale in _MEASURES.values()]
    return np.stack(shares, axis=-1)


@numba.njit(nogil=True, cache=True)
def _add(
    sums: np.ndarray,
    model: int,
    group: np.ndarray,
    codon: np.ndarray,
    probabilities: np.ndarray,
    nll: np.ndarray,
    same: np.ndarray,
    distance: np.ndarray,
) -> None:
    """Add the codons of one model; `probabilities` (m, 3, 4) are of A, C, G, T at each base, not normalised."""
    choice = np.empty((3, 4))
    same_share, mean_distance = same.sum(axis=1) / (_CODONS - 1), distance.sum(axis=1) / (_CODONS - 1)
    for row in range(len(codon)):
        true = codon[row]
        box = true - true % 4
        for place in range(3):
            highest = probabilities[row, place].max()
            ties = (probabilities[row, place] == highest).sum()
            for base in range(4):
                choice[place, base] = (probabilities[row, place, base] == highest) / ties
        total = probabilities[row, 2].sum()
        cells = sums[group[row], model]
        cells[_NUMBER] += 1
        cells[_NLL] += nll[row]
        wrong_third = 1 - choice[2, true % 4]
        cells[_THIRD] += wrong_third
        for base in range(4):
            is_same = same[true, box + base]
            cells[_THIRD_SAME] += choice[2, base] * is_same
            cells[_THIRD_CHANCE] += wrong_third * is_same / 3
            if base != true % 4:
                mass = probabilities[row, 2, base] / total
                cells[_MASS_SAME] += mass * is_same
                cells[_MASS_OTHER] += mass * (1 - is_same)
        wrong = 1 - choice[0, true // 16] * choice[1, true // 4 % 4] * choice[2, true % 4]
        cells[_WRONG] += wrong
        cells[_WRONG_CHANCE] += wrong * same_share[true]
        cells[_DISTANCE_CHANCE] += wrong * mean_distance[true]
        for one in range(4):
            for two in range(4):
                begun = choice[0, one] * choice[1, two]
                if begun > 0:
                    for three in range(4):
                        chosen = 16 * one + 4 * two + three
                        cells[_WRONG_SAME] += begun * choice[2, three] * same[true, chosen]
                        cells[_DISTANCE] += begun * choice[2, three] * distance[true, chosen]
