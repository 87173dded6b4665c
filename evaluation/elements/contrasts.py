"""How well scores tell regulatory elements from background and from shuffled copies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.baselines.kmers import cross_validated_scores
from evaluation.baselines.markov import MarkovModel
from evaluation.elements.between import Areas, areas
from evaluation.elements.families import families
from evaluation.elements.region import RegionMap, read_region
from evaluation.statistics.bootstrap import Interval, interval, resampled_means
from workflow.artifacts import InputError, read_table

ELEMENT = "element"
#: What elements are set against, and how it is told.
CONTROLS = {"background": "matched background", "shuffled": "shuffled copies"}
#: Models that score sequences, and what scores an element without one.
LIKELIHOODS, FEATURES = ("adapted", "base", "markov"), ("kmer", "gc")


@dataclass(frozen=True)
class Contrast:
    """Elements against one kind of control.

    Attributes
    ----------
    areas : Areas
        Of adapted, base, markov, kmer (where there are enough elements to train it) and gc.
    differences : dict
        Mean score of an element − that of its controls, nats per base, for each model with likelihoods.
    controls : int
    """

    areas: Areas
    differences: dict[str, Interval]
    controls: int


@dataclass(frozen=True)
class Elements:
    """Everything the section shows.

    Attributes
    ----------
    table : DataFrame
        The stage's table with `score_markov` (nats per base, mean of both strands), `score_kmer_<control>` (decision
        value of the logistic regression, out of fold) and `family`.
    contrasts : dict
        By control: `background`, `shuffled`.
    elements, families : int
    region : RegionMap or None
    """

    table: pd.DataFrame
    contrasts: dict[str, Contrast]
    elements: int
    families: int
    region: RegionMap | None

    @property
    def models(self) -> list[str]:
        """Models with likelihoods, the adapted one first."""
        return [model for model in LIKELIHOODS if f"score_{model}" in self.table]

    @property
    def main_model(self) -> str:
        """The model that the run is about."""
        return self.models[0]

    def compared_pairs(self) -> list[tuple[str, str]]:
        """Differences of AUROC that are shown: the models between themselves and over the baselines."""
        models = [model for model in self.models if model != "markov"]
        between = [("adapted", "base")] if len(models) == 2 else []
        return between + [(model, baseline) for model in models for baseline in ("markov", "kmer")]

    def match_quality(self) -> dict[str, tuple[float, float]]:
        """Mean and largest absolute difference background − element, of `gc` and of `soft_masked`."""
        element, background = (
            self.table[self.table["set"] == name].sort_values("pair") for name in (ELEMENT, "background")
        )
        quality = {}
        for name in ("gc", "soft_masked"):
            difference = background[name].to_numpy(float) - element[name].to_numpy(float)
            quality[name] = (float(difference.mean()), float(np.abs(difference).max()))
        return quality


def analyse(folder: Path, markov: MarkovModel, samples: int, confidence: float, seed: int) -> Elements:
    """Compare the scores of the stage `elements` with their baselines.

    Families of near-identical elements, with their controls, are the observations of every interval, and stand in one
    fold of the k-mer baseline.

    Parameters
    ----------
    folder : Path
        What the stage published.
    markov : MarkovModel
        Of the run's train split.
    samples, confidence, seed : int, float, int
        Resamplings for the differences of likelihood, level of the intervals, seed of resampling and folds.

    Raises
    ------
    InputError
        A file is missing or holds no scores.
    """
    table = read_table(folder / "elements.parquet")
    if not {"score_base", "score_adapted"} & set(table):
        raise InputError(f"{folder / 'elements.parquet'} holds no scores: run stage=elements again with force=true")
    is_element = (table["set"] == ELEMENT).to_numpy()
    family = families(table.loc[is_element, "sequence"].tolist())
    table["family"] = family[table["pair"].to_numpy()]
    table["score_markov"] = [markov.strand_average(sequence) for sequence in table["sequence"]]
    contrasts = {}
    for control in CONTROLS:
        compared = table[is_element | (table["set"] == control).to_numpy()]
        contrasts[control], decisions = _contrast(compared, samples, confidence, seed)
        table.loc[compared.index, f"score_kmer_{control}"] = decisions
    region = read_region(folder / "region", markov) if (folder / "region").exists() else None
    return Elements(table, contrasts, int(is_element.sum()), len(np.unique(family)), region)


def _contrast(table: pd.DataFrame, samples: int, confidence: float, seed: int) -> tuple[Contrast, np.ndarray]:
    """The contrast, and the k-mer baseline's decision for each row."""
    positive = (table["set"] == ELEMENT).to_numpy()
    family = table["family"].to_numpy(np.int64)
    scores = {model: table[f"score_{model}"].to_numpy(float) for model in LIKELIHOODS if f"score_{model}" in table}
    differences = {
        model: _paired_difference(values, table["pair"].to_numpy(), positive, family, samples, confidence, seed)
        for model, values in scores.items()
    }
    decisions = cross_validated_scores(table["sequence"].tolist(), positive, "label", groups=family, seed=seed)
    if np.isfinite(decisions).all():
        scores["kmer"] = decisions
    scores["gc"] = table["gc"].to_numpy(float)
    found = areas(scores, positive, family, confidence)
    return Contrast(found, differences, int((~positive).sum())), decisions


def _paired_difference(
    scores: np.ndarray,
    pair: np.ndarray,
    positive: np.ndarray,
    family: np.ndarray,
    samples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Mean over elements of score − mean score of the element's controls."""
    elements = int(positive.sum())
    controls = np.bincount(pair[~positive], minlength=elements)
    of_controls = np.bincount(pair[~positive], scores[~positive], minlength=elements) / controls
    difference = scores[positive] - of_controls[pair[positive]]
    members = np.unique(family[positive], return_inverse=True)[1]
    sums, weights = np.bincount(members, difference), np.bincount(members)
    draws = resampled_means(sums[:, None], weights, samples, seed)[:, 0]
    return interval(float(difference.mean()), draws, len(sums), confidence)
