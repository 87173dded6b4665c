"""What the page says of features, codons and similarity to train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.page.layout import Picture, Section
from evaluation.page.tables import Table
from evaluation.page.text import bracketed, count, number, percent, plural
from evaluation.per_base import figures_features as figures
from evaluation.per_base.around import REACH, Around
from evaluation.per_base.codons import CodonErrors
from evaluation.per_base.features import Features
from evaluation.per_base.periodicity import CODON, SEGMENT, Periodicity
from evaluation.per_base.scores import UNIFORM_NLL
from evaluation.per_base.similarity import Similarity
from evaluation.statistics.bootstrap import Interval

_READINGS = {"along": "along the gene", "against": "against the gene"}
_MEASURES = {"containment": "ρ with containment in one stretch", "in_train": "ρ with share anywhere in train"}
_DIRECTIONS = (
    "A model reads a window from one end to the other. Left, genes that it reads in the direction of transcription: it "
    "knows what lies upstream. Right, genes on the other strand: it has read what lies downstream."
)


def sections(results: Features, labels: Mapping[str, str]) -> list[Section]:
    """Around features, codon periodicity, codon errors, similarity to train.

    Parameters
    ----------
    results : Features
    labels : mapping
        What each model is called, `uniform` included.
    """
    return [
        _around(results.around, labels),
        _periodicity(results.periodicity, labels),
        _codons(results.codons, labels),
        _similarity(results.similarity, labels),
    ]


def _around(result: Around, labels: Mapping[str, str]) -> Section:
    title = "Around features"
    if result.empty:
        return Section(title, remarks=["No start, stop or splice site of a gene lies in a scored window."])
    remarks = []
    if result.left_out:
        joined = plural(result.left_out, "window")
        remarks.append(f"Left out: {joined} in which exons are joined, whose bases lie at no one place of the genome.")
    pictures = [
        Picture(
            f"around_{quantity}",
            figures.around(result, quantity, labels),
            f"{name} of the bases within {REACH} bp of each kind of site, mean with interval (band), base by base.",
            f"{_DIRECTIONS} At 0 is the first base of the transcript, of the start or stop codon or of the intron "
            "(donor), or the last base of the intron (acceptor). A model that knows genes changes at 0, and repeats "
            "every three bases where the sequence is coding; what the Markov model shows as well needs no language "
            "model. Bands that leave the panel are cut.",
        )
        for quantity, name in (("nll", "NLL"), ("entropy", "Entropy"))
    ]
    return Section(title, pictures=pictures, remarks=remarks)


def _periodicity(result: Periodicity, labels: Mapping[str, str]) -> Section:
    title = "Codon periodicity"
    if result.empty:
        return Section(title, remarks=[f"No stretch of {SEGMENT} coding bases in frame was scored."])
    by_position = dict(list(result.positions[result.positions["n"] > 0].groupby(["reading", "model"])))
    rows = [
        [
            labels[peak["model"]],
            _READINGS[peak["reading"]],
            count(peak["segments"]),
            _cell(peak, "power"),
            *(_cell(position, "nll") for position in by_position[peak["reading"], peak["model"]].to_dict("records")),
        ]
        for peak in result.peaks.to_dict("records")
        if (peak["reading"], peak["model"]) in by_position
    ]
    table = Table(
        f"Power of the NLL's spectrum at one cycle per codon (white noise: 1; at most {(SEGMENT - 1) // 2}), and mean "
        f"NLL by codon position, over segments of {SEGMENT} coding bases in frame. A uniform guess has the same NLL "
        f"everywhere ({number(UNIFORM_NLL)}), and no spectrum.",
        ["model", "read", "segments", "power at 1/3"] + [f"NLL, position {place + 1}" for place in range(CODON)],
        rows,
        words=2,
    )
    picture = Picture(
        "codon_periodicity",
        figures.periodicity(result, labels),
        "Left, power spectrum of the NLL along coding sequence, mean of the segments with interval (band); right, mean "
        "NLL by codon position with interval.",
        "A peak at 1/3 says that the model's certainty follows the codons; how far it rises above the Markov model's "
        "is what the language model knows of the reading frame.",
    )
    return Section(title, [table], [picture])


def _codons(result: CodonErrors, labels: Mapping[str, str]) -> Section:
    title = "Errors within codons"
    if result.empty:
        return Section(title, remarks=["No complete codon was scored."])
    table = result.table[(result.table["position"] == 0) & (result.table["codons"] > 0)]
    rows = [
        [labels[row["model"]], _READINGS[row["reading"]].removesuffix(" the gene"), count(row["codons"])]
        + [_cell(row, "error_mass"), _cell(row, "synonymous_ratio"), _cell(row, "severity_ratio")]
        + [percent(row[effect]) for effect in ("missense", "nonsense", "stop_loss")]
        for row in table.to_dict("records")
    ]
    effects = ["missense", "nonsense", "stop loss"]
    columns = ["model", "read", "codons", "error mass", "synonymous", "severity", *effects]
    words = Table(
        "Where a model's error goes, on genes that it reads along or against their direction. Error mass: probability "
        "on the three wrong bases, summed over the codon's three positions, each given what the model has read (a "
        "uniform guess: 2.25). Synonymous: share of the mass on single substitutions that keep the amino acid; "
        "severity: their mean distance in the codon tree (1, synonymous; 2, another amino acid; 3, to or from a stop "
        "or ATG). Both over those of a guess that is uniform over the nine substitutions of the same codons: a model "
        "that knows proteins has more than 1 for synonymous and less than 1 for severity. The last columns are shares "
        "of the mass: missense, nonsense (to a stop), stop loss; tables/codon_errors.csv has synonymous, and all "
        "intervals.",
        columns,
        rows,
        words=2,
    )
    picture = Picture(
        "codon_errors",
        figures.codon_errors(result, labels),
        "Synonymous share and severity of the error mass, over those of a uniform guess, by codon position, with "
        "intervals.",
        "Above the dotted line on the left, and below it on the right, errors spare the protein more than chance "
        "would. Hardly any substitution of a codon's second base is synonymous, so that nothing is shown there.",
    )
    code = f"Codons are read by NCBI's translation table {result.genetic_code}."
    return Section(title, [words], [picture], remarks=[code])


def _similarity(result: Similarity | None, labels: Mapping[str, str]) -> Section:
    title = "Against similarity to train"
    if result is None:
        return Section(title, remarks=["The preparation has made no leakage audit."])
    remarks = [_windows_known(result)]
    if not result.windows:
        return Section(title, remarks=remarks)
    if not result.any_similar:
        remarks.append("None of the scored windows shares a 31-mer with a stretch of train: memorising cannot show.")
        return Section(title, remarks=remarks)
    over = f"{labels[result.model]} over {labels[result.reference]}"
    picture = Picture(
        "similarity",
        figures.similarity(result, labels),
        f"NLL (a) and gain over {labels[result.reference]} (b) of windows by the share of their 31-mers that lies in "
        "one stretch of train, with intervals.",
        "What a model gains in windows that are like train, and not in others, it has memorised: compare its slope "
        "with that of copying from train, and with the Markov model, which cannot copy. A bin holds its upper border.",
    )
    return Section(
        title,
        [_bins_table(result, labels), _correlations_table(result, labels, over)],
        [picture],
        remarks=[*remarks, result.finding(labels)],
    )


def _windows_known(result: Similarity) -> str:
    said = f"{plural(result.windows, 'scored window')} could be compared with train"
    if result.unmatched:
        said += f", {result.unmatched:,} could not"
    return (
        f"{said}. {plural(result.excluded, 'window')} of the same splits had too much in common with train and "
        f"{'was' if result.excluded == 1 else 'were'} left out before scoring."
    )


def _bins_table(result: Similarity, labels: Mapping[str, str]) -> Table:
    models = list(result.bins["model"].unique())
    rows = []
    for name, part in result.bins.groupby("bin", sort=False):
        of_model = {row["model"]: row for row in part.to_dict("records")}
        first = of_model[models[0]]
        rows.append(
            [str(name), count(first["windows"]), count(first["bases"])]
            + [_cell(of_model[model], "nll") for model in models]
            + [_cell(of_model[result.model], "gain", signed=True)]
        )
    gain = f"gain, {labels[result.model]} over {labels[result.reference]}"
    return Table(
        "By containment in one stretch of train: each model's NLL, and the gain, in nats per base.",
        ["containment, %", "windows", "bases", *(labels[model] for model in models), gain],
        rows,
    )


def _correlations_table(result: Similarity, labels: Mapping[str, str], over: str) -> Table:
    names = {f"nll_{model}": f"NLL, {label}" for model, label in labels.items()} | {"gain": f"gain, {over}"}
    quantities = result.correlations["quantity"].unique()
    rows = [
        [names[quantity]] + [bracketed(result.correlation(measure, quantity), signed=True) for measure in _MEASURES]
        for quantity in quantities
    ]
    return Table(
        "Spearman's rank correlation over windows with the share of a window's 31-mers that is in one stretch of "
        "train, or anywhere in train. Negative for an NLL, or positive for the gain, is what memorising looks like.",
        ["correlated", *_MEASURES.values()],
        rows,
    )


def _cell(row: Mapping[Any, Any], measure: str, signed: bool = False) -> str:
    return bracketed(_interval(row, measure), signed)


def _interval(row: Mapping[Any, Any], measure: str) -> Interval:
    return Interval(row[measure], row[f"{measure}_low"], row[f"{measure}_high"])
