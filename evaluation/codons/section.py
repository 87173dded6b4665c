"""What the page, its tables and its metrics say of codons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from evaluation.codons import figures, figures_clustering
from evaluation.codons.choices import COMPARED, CodonChoices
from evaluation.codons.cluster_scores import SCORES
from evaluation.codons.clustering import PERMUTATIONS, Clustering
from evaluation.page.layout import Picture, Section
from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number, percent, plural
from evaluation.statistics.bootstrap import Interval

_NAMES = {
    "nll": "NLL, nats per base",
    "third_error": "wrong third bases, share",
    "third_synonymous": "synonymous, share of the wrong third bases",
    "codon_error": "wrong codons, share",
    "codon_synonymous": "synonymous, share of the wrong codons",
    "severity": "tree distance, mean over all codons",
}


def section(result: CodonChoices, labels: Mapping[str, str]) -> Section:
    """Choices within codons: a table, the paired differences, and a figure.

    Parameters
    ----------
    result : CodonChoices
    labels : mapping
        What each model is called, `uniform` included.
    """
    title = "Choices within codons"
    if result.empty:
        return Section(title, remarks=["No complete codon was read in the direction of its gene."])
    remarks = [f"Codons are read by NCBI's translation table {result.genetic_code}."]
    if result.left_out:
        remarks.append(
            f"Left out: {plural(result.left_out, 'codon')} of genes that the windows read from their ends; with "
            "predict.windows=cds every gene is read from its start, with its exons joined."
        )
    picture = Picture(
        "codon_choices",
        figures.choices(result, labels),
        "Where the models' choice is wrong: share of errors that keep the amino acid, and distance in the codon tree, "
        "with intervals.",
        "Bars are what random errors in the same places would give, since the code itself makes many errors "
        "synonymous. A model that knows proteins stands to the right of its bar in the first two panels, and to the "
        "left in the third; what the Markov model reaches as well needs no knowledge of proteins.",
    )
    return Section(title, [_choices(result, labels), _differences(result, labels)], [picture], remarks=remarks)


def clustering_section(result: Clustering, labels: Mapping[str, str]) -> Section:
    """Amino acids among the states of codons: a table of scores, and the plane of the first two components.

    Parameters
    ----------
    result : Clustering
    labels : mapping
        What each model is called.
    """
    labels = {"untrained": "random weights", "letters": "letters of the codon"} | dict(labels)
    pictures = []
    if figures_clustering.can_draw(result):
        pictures.append(
            Picture(
                "codon_states",
                figures_clustering.plane(result, labels),
                "Mean state of each codon, in the plane of the first two principal components.",
                "A dot is a codon; lines join those of an amino acid, whose letter is at their middle. Short lines "
                "mean that synonymous codons lie together. By the letters alone many already do, since they share "
                "their first two.",
            )
        )
    occurrences = int(result.counts["n"].sum())
    remark = (
        f"States at the third bases of {plural(occurrences, 'codon')} in frame; stop codons are left out; NCBI's "
        f"translation table {result.genetic_code}."
    )
    return Section("Codons among the model's states", [_clusters(result, labels)], pictures, remarks=[remark])


def tables(choices: CodonChoices, clustering: Clustering | None) -> dict[str, pd.DataFrame]:
    """Tables for files, by name."""
    written = {"codon_choices": choices.table, "codon_choice_differences": choices.differences}
    if clustering is not None:
        written |= {"codon_clusters": clustering.table, "codon_plane": clustering.points}
    return written


def metrics(choices: CodonChoices, clustering: Clustering | None) -> dict[str, Any]:
    """For `metrics.json`: every measure of every model, the differences, and the scores of clusters."""
    return {
        "genetic_code": choices.genetic_code,
        "models": choices.table.to_dict("records"),
        "differences": choices.differences.to_dict("records"),
        "clusters": None if clustering is None else clustering.table.to_dict("records"),
    }


def _choices(result: CodonChoices, labels: Mapping[str, str]) -> Table:
    rows = []
    for row in result.table.to_dict("records"):
        cells = [bracketed(_interval(row, "nll"))]
        for kind in ("third", "codon"):
            cells += [
                percent(row[f"{kind}_error"]) if _is_number(row[f"{kind}_error"]) else MISSING,
                _share(row, f"{kind}_synonymous"),
                percent(row[f"{kind}_by_chance"]) if _is_number(row[f"{kind}_by_chance"]) else MISSING,
            ]
        rows.append(
            [
                labels.get(row["model"], row["model"]),
                count(row["codons"]),
                *cells,
                bracketed(_interval(row, "severity")),
            ]
        )
    return Table(
        "The most probable base at each base of a codon, given the true bases before it. Third: of the third bases, "
        "how many are chosen wrongly, how many of these errors are synonymous, and how many a random other base would "
        "be in their place. Codon: the same of the codon that the three choices make. Severity: mean distance in the "
        "codon tree from the true codon to the chosen one (0, right; 1, synonymous; 2, another amino acid; 3, to or "
        "from a stop or ATG). tables/codon_choices.csv has the probability on synonymous and other third bases, the "
        "severity of errors alone, and all intervals.",
        [
            "model",
            "codons",
            "NLL, nats per base",
            "third: wrong",
            "synonymous",
            "by chance",
            "codon: wrong",
            "synonymous",
            "by chance",
            "severity",
        ],
        rows,
    )


def _differences(result: CodonChoices, labels: Mapping[str, str]) -> Table:
    rows = []
    for _, part in result.differences.groupby(["model", "reference"], sort=False):
        found = {row["measure"]: row for row in part.to_dict("records")}
        cells = [
            bracketed(Interval(found[m]["difference"], found[m]["low"], found[m]["high"]), signed=True)
            for m in COMPARED
        ]
        model, reference = (str(part[key].iloc[0]) for key in ("model", "reference"))
        rows.append([f"{labels.get(model, model)} − {labels.get(reference, reference)}", *cells])
    return Table(
        "Paired differences over the same codons. Less is better but for the synonymous shares, where more is.",
        ["difference", *(_NAMES[measure] for measure in COMPARED)],
        rows,
    )


def _clusters(result: Clustering, labels: Mapping[str, str]) -> Table:
    rows = []
    for _, part in result.table.groupby(["representation", "layer", "kind"], sort=False):
        found = {row["score"]: row for row in part.to_dict("records")}
        first = found[SCORES[0]]
        words = [labels.get(first["representation"], first["representation"]), first["layer"] or MISSING, first["kind"]]
        rows.append([*words, count(first["points"]), *(_beside_chance(found[score]) for score in SCORES)])
    return Table(
        "Amino acids as clusters of codons, by the mean state of each codon and by a sample of single occurrences. In "
        f"brackets the central 95 % of {PERMUTATIONS} dealings of the same amino acids to other codons, and the share "
        "of dealings that are as good (p). Silhouette, and of k-means with as many clusters the adjusted Rand index "
        "and normalised mutual information (NMI), are at most 1; less is better for Davies–Bouldin. Synonymous codons "
        "share letters: the model has learnt something where it is above the letters, and above random weights.",
        [
            "representation",
            "layer",
            "points are",
            "number",
            "silhouette",
            "Davies–Bouldin",
            "Caliński–Harabasz",
            "Rand, adjusted",
            "NMI",
        ],
        rows,
        words=3,
    )


def _beside_chance(row: Mapping[Any, Any]) -> str:
    """`0.174 [−0.144, −0.109], p = 0.005`."""
    if not _is_number(row["value"]):
        return MISSING
    return (
        f"{number(row['value'])} [{number(row['chance_low'])}, {number(row['chance_high'])}], p = {row['p_value']:.3f}"
    )


def _interval(row: Mapping[Any, Any], measure: str) -> Interval:
    return Interval(row[measure], row[f"{measure}_low"], row[f"{measure}_high"])


def _share(row: Mapping[Any, Any], measure: str) -> str:
    """`31.0 % [29.5, 32.6]`."""
    found = _interval(row, measure)
    if not _is_number(found.estimate):
        return MISSING
    ends = f"{100 * found.low:.1f}, {100 * found.high:.1f}" if found.defined else "no interval"
    return f"{percent(found.estimate)} [{ends}]"


def _is_number(value: float) -> bool:
    return value == value
