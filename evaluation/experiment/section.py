"""The part of the report on measured values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evaluation.experiment.analysis import BASELINES, MODELS, Experiment
from evaluation.experiment.figures import MOST_POINTS, forest, scatter
from evaluation.page.layout import Picture, Section
from evaluation.page.tables import Table
from evaluation.page.text import bracketed, plural

_NOTHING = "No correlation is defined: it takes three rows, or groups of rows, and values that differ."


def section(experiment: Experiment, labels: Mapping[str, str]) -> Section:
    """Scores beside measured values.

    Parameters
    ----------
    labels : mapping
        What each of `Experiment.scores` is called.
    """
    if not any(np.isfinite(found.spearman.estimate) for found in experiment.correlations.values()):
        return Section("Score against experiment", remarks=[_rows(experiment), _NOTHING])
    rows = len(experiment.table)
    dot = "A hexagon is coloured by its number of rows" if rows > MOST_POINTS else "A dot is a row"
    pictures = [
        Picture(
            "experiment",
            scatter(experiment, labels),
            f"Scores against measured “{experiment.value_name}”, {plural(rows, 'row')}.",
            f"{dot} of the table of measurements. What the models say should be closer to the measured value than what "
            "the Markov model of the train split says, of which no one claims that it understands regulation.",
        ),
        Picture(
            "experiment_correlations",
            forest(experiment, labels),
            "Correlations with the measured value, and their differences.",
            "Bars are intervals. An interval that contains 0 shows nothing; a correlation that disappears given GC and "
            "length was one of composition. Right, positive means that the first correlates more positively.",
        ),
    ]
    return Section(
        "Score against experiment",
        [_correlations_table(experiment, labels), _differences_table(experiment, labels)],
        pictures,
        [_rows(experiment), _strands(experiment), *_findings(experiment, labels)],
    )


def _rows(experiment: Experiment) -> str:
    resampled = "rows" if experiment.groups is None else f"whole groups of rows ({experiment.groups:,})"
    parts = [f"{plural(len(experiment.table), 'row')}; intervals are from resampled {resampled}."]
    if experiment.without_score:
        parts.append(f"{plural(experiment.without_score, 'row')} without A, C, G or T left out.")
    if experiment.repeated:
        parts.append(
            f"{plural(experiment.repeated, 'row')} share a sequence with another row; the k-mer regression never "
            "learns from a sequence that it is asked about."
        )
    return " ".join(parts)


def _strands(experiment: Experiment) -> str:
    strands = "the mean of both strands" if experiment.both_strands else "the strand given"
    return (
        f"The score is the mean log-likelihood of a sequence per base, {strands}. The k-mer regression (ridge, words "
        "of 1 to 6 bases) is asked about a fifth of the rows after it has learned from the measured values of the "
        "others, five times, while the models were never shown any: it says how much there is to be found, and a model "
        "that does not reach it is no better way to predict such values."
    )


def _findings(experiment: Experiment, labels: Mapping[str, str]) -> list[str]:
    """What the intervals allow to be said."""
    found = []
    for name in (name for name in MODELS if name in experiment.scores):
        spearman = experiment.correlations[name].spearman
        partial = experiment.correlations[name].partial_spearman
        if spearman.sign == 0:
            found.append(f"No correlation of the {labels[name]}'s score with the measured value could be shown.")
        elif partial.sign != spearman.sign:
            found.append(
                f"Given GC and length, no correlation of the {labels[name]} model's score with the measured value "
                f"could be shown ({bracketed(partial, signed=True)})."
            )
        below = [
            labels[other]
            for one, other in experiment.pairs()
            if one == name and other in BASELINES and experiment.differences[one, other].sign < 0
        ]
        if below:
            found.append(
                f"The {labels[name]} model's score correlates less positively with the measured value than "
                f"{' and '.join(below)}."
            )
    change = experiment.differences.get(("adapted", "base"))
    if change is not None:
        words = {1: "is higher", -1: "is lower", 0: "could not be shown to differ"}[change.sign]
        found.append(
            f"Spearman's correlation {words} after the adaptation: {bracketed(change, signed=True)}, adapted − base."
        )
    return found


def _correlations_table(experiment: Experiment, labels: Mapping[str, str]) -> Table:
    rows = [
        [
            labels[name] + (" (baseline)" if name in BASELINES else ""),
            *(
                bracketed(value)
                for value in (found.pearson, found.spearman, found.partial_pearson, found.partial_spearman)
            ),
        ]
        for name, found in experiment.correlations.items()
    ]
    caption = (
        f"Correlation of each score with “{experiment.value_name}”, {plural(len(experiment.table), 'row')}. Partial: "
        "of what is left when GC and length are regressed out of both (of the ranks for Spearman's)."
    )
    return Table(caption, ["score", "Pearson", "Spearman", "partial Pearson", "partial Spearman"], rows)


def _differences_table(experiment: Experiment, labels: Mapping[str, str]) -> Table:
    rows = [
        [f"{labels[one]} − {labels[other]}", bracketed(experiment.differences[one, other], signed=True)]
        for one, other in experiment.pairs()
    ]
    caption = (
        "Differences of Spearman's correlation over the same rows. Against the k-mer regression, which has learned the "
        "sign of the relation, a negative correlation counts as the opposite of a positive one."
    )
    return Table(caption, ["first − second", "difference of Spearman"], rows)
