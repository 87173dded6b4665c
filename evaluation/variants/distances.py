"""Distances between the embeddings of reference and alternative, beside the likelihoods of the same models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed
from evaluation.statistics.ranking import Ranking, ranking
from evaluation.variants.reading import ScoredVariants

#: Columns `<measure>_<model>` of the stage, and what they are called.
MEASURES = {
    "l2_place": "distance at the variant, L2",
    "cosine_place": "distance at the variant, cosine",
    "l2_mean": "distance of the means, L2",
    "cosine_mean": "distance of the means, cosine",
}
LIKELIHOOD = "likelihood, −Δ"


def measured(scored: ScoredVariants, model: str) -> dict[str, np.ndarray]:
    """The distances of a model, (n,) by what they are called; empty where `variants.layer` asked for none."""
    columns = {name: f"{measure}_{model}" for measure, name in MEASURES.items()}
    return {name: scored.table[column].to_numpy(float) for name, column in columns.items() if column in scored.table}


def rank_distances(
    scored: ScoredVariants, baselines: Mapping[str, np.ndarray], samples: int, confidence: float, seed: int
) -> dict[str, Ranking]:
    """How well the distances of each model tell the labels apart, beside its likelihood and the baselines.

    The larger the distance, the more damaging a variant is taken to be.

    Parameters
    ----------
    scored : ScoredVariants
    baselines : mapping
        (n,) scores by name, higher for damaging; those without any are left out.
    samples, confidence, seed : int, float, int
        Resamplings of positions, level of the intervals, seed.

    Returns
    -------
    dict
        By model; empty without labels or distances.
    """
    rows = scored.is_labelled
    found = {}
    for model in scored.models if rows.any() else ():
        distances = measured(scored, model)
        if distances:
            known = {name: values[rows] for name, values in baselines.items() if np.isfinite(values[rows]).any()}
            scores = {LIKELIHOOD: -scored.deltas(model)[rows]}
            scores |= {name: values[rows] for name, values in distances.items()} | known
            found[model] = ranking(scores, scored.positive[rows], samples, confidence, seed, groups=scored.sites[rows])
    return found


def distance_table(ranked: Mapping[str, Ranking], names: Mapping[str, str], layer: object) -> Table:
    """A row a model and score: AUROC, AUPRC, and the paired difference of AUROC to the model's own likelihood.

    Parameters
    ----------
    ranked : mapping
        As of `rank_distances`.
    names : mapping
        What models and baselines are called.
    layer : object
        As the user named it.
    """
    rows = []
    for model, found in ranked.items():
        for score, area in found.auroc.items():
            difference = found.differences.get((score, LIKELIHOOD))
            told = MISSING if difference is None else bracketed(difference, signed=True)
            rows.append(
                [names.get(model, model), names.get(score, score), bracketed(area), bracketed(found.auprc[score]), told]
            )
    caption = (
        f"Distances between the embeddings of reference and alternative (output of layer {layer}, both strands as they "
        "were read), the larger the more damaging. “At the variant”: the state at the last base of the allele. “Of the "
        "means”: over the window. Last column: the paired difference of AUROC to the likelihood of the same model."
    )
    return Table(caption, ["model", "score", "AUROC", "AUPRC", "AUROC − that of the likelihood"], rows, words=2)
