"""The part of the page that tells of the variants."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd

from evaluation.page.layout import Picture, Section
from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number, plural
from evaluation.statistics.bootstrap import Interval
from evaluation.statistics.ranking import TOP_SHARE, Ranking
from evaluation.variants import figures
from evaluation.variants.baselines import KMER_FLANK, STRETCH
from evaluation.variants.distances import distance_table
from evaluation.variants.effects import LEAST_OF_CLASS, VariantEffects

_UNDEFINED = Interval(nan, nan, nan)
_SHOWN_AT_EACH_END = 20
_LONGEST_ALLELE = 12
_READING = (
    "Δ is the log-likelihood of the window with the alternative allele minus that of the window with the reference "
    "allele, in nats: the more negative, the less likely the model finds the variant."
)
_KMER = "k-mer regression"
_KINDS = {"snv": "SNVs", "mnv": "MNVs", "insertion": "insertions", "deletion": "deletions", "complex": "complex"}


def section(effects: VariantEffects, labels: Mapping[str, str], confidence: float) -> Section:
    """Tables and figures of the variants.

    Parameters
    ----------
    effects : VariantEffects
    labels : mapping
        What models and baselines are called; a model whose scores were made elsewhere keeps its own name.
    confidence : float
        Level of the intervals.
    """
    names = {model: model for model in effects.scored.models} | {"kmer": _KMER} | dict(labels)
    tables = [_models_table(effects, names, confidence), *_classes_tables(effects, names)]
    if effects.distances:
        tables.append(distance_table(effects.distances, names, effects.scored.about["layer"]))
    tables.append(_ranked_table(effects, names))
    if len(effects.scored.left_out):
        tables.append(_left_out_table(effects))
    return Section("Variants", tables, _pictures(effects, names), _remarks(effects, names), _lines(effects))


def _lines(effects: VariantEffects) -> list[tuple[str, str]]:
    about, table = effects.scored.about, effects.scored.table
    kinds = ", ".join(f"{_KINDS[str(kind)]} {amount:,}" for kind, amount in table["kind"].value_counts().items())
    lines = [
        ("Variants", f"{plural(len(table), 'variant')} of {about['table']} ({kinds})"),
        ("Reference", f"{about['reference']}; all {about['reference_sites']:,} reference alleles agree with it"),
    ]
    if about["scores"]:
        return [*lines, ("Scores", f"made elsewhere, read from {about['scores']}")]
    strands = "mean of both strands" if about["both_strands"] else "forward strand only"
    return [*lines, ("Windows", f"{about['window']:,} bp around each variant, {strands}")]


def _remarks(effects: VariantEffects, names: Mapping[str, str]) -> list[str]:
    scored = effects.scored
    remarks = [_READING]
    if (indels := int((~scored.table["kind"].isin(["snv", "mnv"])).sum())) > 0:
        remarks.append(
            f"The two windows of an indel ({indels:,} here) have the same flanks but not the same length, and each "
            "base more or less changes the sum by about what a base costs on average: indels of different lengths, "
            "and indels and substitutions, are not to be compared with each other."
        )
    ranking = effects.overall.ranking
    if ranking is None:
        remarks.append("The table has no labels to compare: nothing is said about how well variants are told apart.")
    else:
        remarks.append(
            f"“{scored.side(True)}” is taken for damaging and compared with “{scored.side(False)}”: variants are "
            "ranked by −Δ. Intervals resample positions. The k-mer regression is fitted to the labels, which the "
            f"models have not seen: it knows the substitution and the k-mers of the alternative allele with "
            f"{KMER_FLANK} bases on both sides, and predicts stretches of {STRETCH} bp that it was not fitted on."
        )
        if "kmer" not in ranking.auroc:
            stretches = f"fewer than 5 stretches of {STRETCH} bp have labelled variants"
            remarks.append(f"There is no k-mer regression: {stretches}, or all of one label.")
        remarks += [_below_chance(effects, model, names) for model in scored.models if _is_below(ranking, model)]
        if ranking.left_out:
            without = plural(ranking.left_out, "labelled variant")
            remarks.append(f"{without} without a score of every model are in no comparison.")
        own = {name: area.low > 0.5 for name, area in ranking.auroc.items()}
        remarks += _comparisons("AUROC", ranking.differences, own, scored.models, names)
    own = {name: rho.sign > 0 for name, rho in effects.overall.spearman.items()}
    return remarks + _comparisons("Spearman's correlation", effects.overall.difference, own, scored.models, names)


def _is_below(ranking: Ranking, model: str) -> bool:
    area = ranking.auroc.get(model, _UNDEFINED)
    return area.defined and area.high < 0.5


def _below_chance(effects: VariantEffects, model: str, names: Mapping[str, str]) -> str:
    assert effects.overall.ranking is not None
    return (
        f"The AUROC of {names[model]} is below 0.5 ({bracketed(effects.overall.ranking.auroc[model])}): it finds "
        f"“{effects.scored.side(True)}” likelier than the rest. Either the positive labels are not the damaging ones, "
        "or its scores say something else than damage."
    )


def _comparisons(
    measure: str,
    differences: Mapping[tuple[str, str], Interval],
    is_above_chance: Mapping[str, bool],
    models: tuple[str, ...],
    names: Mapping[str, str],
) -> list[str]:
    """What the paired differences say, in words.

    A model that is not above chance itself is above nothing: a regression that has learnt nothing is a little below
    chance out of its folds.
    """
    pairs = [("adapted", "base")] + [(model, other) for model in models for other in ("markov", "kmer")]
    sentences = []
    for one, other in pairs:
        difference = differences.get((one, other), _UNDEFINED)
        if difference.defined:
            verdict = {1: "is above", -1: "is below", 0: "cannot be told from"}[difference.sign]
            if difference.sign > 0 and not is_above_chance.get(one, False):
                verdict = "is not shown to be above chance, and so not better than"
            sentences.append(f"{names[one]} {verdict} {names[other]} ({bracketed(difference, signed=True)})")
    return [f"Paired differences of {measure}: " + "; ".join(sentences) + "."] if sentences else []


def _pictures(effects: VariantEffects, names: Mapping[str, str]) -> list[Picture]:
    ranking = effects.overall.ranking
    pictures = [
        Picture(
            "variants_delta",
            figures.delta_distributions(effects, names),
            f"Δ log-likelihood by {'consequence class' if ranking is None else 'label'}",
            "Shape of the distribution, its quartiles (bar) and median (circle); where there are few variants, each is "
            "a dot. The outermost 0.25 % at each end lie beyond the axis. Left of 0 the alternative is less likely "
            "than the reference. Each model has its own axis; the Markov model is the baseline.",
        )
    ]
    if ranking is not None and ranking.n_positive and ranking.n_negative:
        pictures.append(
            Picture(
                "variants_curves",
                figures.curves(effects, names),
                "Telling damaging variants from others",
                f"ROC and precision–recall curves over {ranking.n_positive:,} “{effects.scored.side(True)}” and "
                f"{ranking.n_negative:,} “{effects.scored.side(False)}”; dotted grey: a score that knows nothing. "
                "The green and the light blue line are the baselines.",
            )
        )
    if ranking is not None or effects.overall.spearman:
        pictures.append(
            Picture("variants_forest", figures.forest(effects, names), _forest_title(effects), _forest_reading(effects))
        )
    return pictures


def _forest_title(effects: VariantEffects) -> str:
    measures = ["AUROC"] * (effects.overall.ranking is not None)
    measures += ["correlation with the measured value"] * bool(effects.overall.spearman)
    return " and ".join(measures) + (" by consequence class" if effects.by_class else "")


def _forest_reading(effects: VariantEffects) -> str:
    reading = "Estimates with their intervals; open marks are the baselines, the dotted line knows nothing."
    if effects.overall.ranking is not None:
        reading += " Below each name: positives / negatives."
    if effects.overall.spearman:
        reading += (
            f" n: variants with “{effects.scored.about['measured']}”. For the k-mer regression, the correlation is "
            "that of its predictions out of fold."
        )
    if effects.by_class:
        reading += f" Classes with fewer than {LEAST_OF_CLASS} of either label, or values, are not measured."
    if (more := len(effects.by_class) - figures.MOST_CLASSES) > 0:
        reading += f" The {more:,} smallest classes are in the tables only."
    return reading


def _models_table(effects: VariantEffects, names: Mapping[str, str], confidence: float) -> Table:
    ranking, spearman, strands = effects.overall.ranking, effects.overall.spearman, effects.strands
    rows = []
    for model in (*effects.scored.models, "markov", *(["kmer"] if ranking or spearman else [])):
        row = [names[model]]
        if ranking is not None:
            measures = (ranking.auroc, ranking.auprc, ranking.enrichment)
            row += [_cell(measure.get(model, _UNDEFINED)) for measure in measures]
        if spearman:
            row.append(_cell(spearman.get(model, _UNDEFINED), signed=True))
        if strands:
            row.append(_cell(strands.get(model, _UNDEFINED)))
        rows.append([*row, _median(effects, model)])
    columns = ["model"]
    caption = f"Scores of the variants; brackets are {100 * confidence:g} % bootstrap intervals."
    if ranking is not None:
        columns += ["AUROC", "AUPRC", f"enrichment, top {100 * TOP_SHARE:g} %"]
        caption += (
            f" A score that knows nothing has an AUROC of 0.5, an AUPRC of {number(ranking.prevalence)} and an "
            "enrichment of 1: the share of positives among the top over that among all."
        )
    if spearman:
        columns.append("Spearman")
        caption += (
            f" Spearman: correlation of Δ with “{effects.scored.about['measured']}” over "
            f"{plural(effects.overall.measured, 'variant')}; of the k-mer regression, that of its predictions out of "
            "fold."
        )
    if strands:
        columns.append("both strands")
        caption += " Both strands: Spearman correlation of Δ read forward with Δ read as reverse complement."
    return Table(caption, [*columns, "median Δ, nats"], rows)


def _cell(found: Interval, signed: bool = False) -> str:
    return MISSING if isnan(found.estimate) else bracketed(found, signed)


def _median(effects: VariantEffects, model: str) -> str:
    if model == "kmer":
        return MISSING
    values = effects.scored.deltas(model)
    return number(float(np.nanmedian(values)), 3, signed=True) if np.isfinite(values).any() else MISSING


def _classes_tables(effects: VariantEffects, names: Mapping[str, str]) -> list[Table]:
    """One table a measure, with a row for each class that has it."""
    models = [*effects.scored.models, "markov", "kmer"]
    of = f"by “{effects.scored.about['consequence']}”, the largest class first."
    ranked = {name: part.ranking for name, part in effects.by_class.items() if part.ranking is not None}
    tables = []
    if ranked or effects.too_small:
        auroc = [[name, *_amounts(part), *_cells(part.auroc, models)] for name, part in ranked.items()]
        auprc = [
            [name, *_amounts(part), number(part.prevalence), *_cells(part.auprc, models)]
            for name, part in ranked.items()
        ]
        columns = ["class", "positives", "negatives"]
        headings = [names[model] for model in models]
        tables.append(Table(f"AUROC {of}{_told_small(effects)}", [*columns, *headings], auroc))
        caption = f"AUPRC {of} What knows nothing has the share of positives."
        tables.append(Table(caption, [*columns, "share", *headings], auprc))
    values = {name: part for name, part in effects.by_class.items() if part.spearman}
    if values:
        rows = [[name, count(part.measured), *_cells(part.spearman, models, True)] for name, part in values.items()]
        caption = f"Spearman correlation with “{effects.scored.about['measured']}” {of}"
        tables.append(Table(caption, ["class", "variants", *(names[model] for model in models)], rows))
    return tables


def _amounts(part: Ranking) -> list[str]:
    return [count(part.n_positive), count(part.n_negative)]


def _cells(found: Mapping[str, Interval], models: list[str], signed: bool = False) -> list[str]:
    return [_cell(found.get(model, _UNDEFINED), signed) for model in models]


def _told_small(effects: VariantEffects) -> str:
    if not effects.too_small:
        return ""
    small = ", ".join(f"{name} ({one:,} / {other:,})" for name, (one, other) in effects.too_small.items())
    return f" Too few of one label (positives / negatives) to be measured: {small}."


def _ranked_table(effects: VariantEffects, names: Mapping[str, str]) -> Table:
    """Both ends of the ranking by the main model; all of it when it is short."""
    scored, main = effects.scored, effects.main_model
    ranked = scored.table.dropna(subset=[f"delta_{main}"])
    ranked = ranked.sort_values([f"delta_{main}", "variant_id"], ignore_index=True)
    ranked.insert(0, "rank", ranked.index + 1)
    shown = ranked
    if len(ranked) > 2 * _SHOWN_AT_EACH_END:
        shown = pd.concat([ranked.head(_SHOWN_AT_EACH_END), ranked.tail(_SHOWN_AT_EACH_END)])
    about = scored.about
    facts = [name for name in ("label", "consequence") if about[name]]
    models = [*scored.models, "markov"]
    rows = []
    for row in shown.to_dict("records"):
        cells = [
            _named(row),
            *(MISSING if pd.isna(row[name]) else str(row[name]) for name in facts),
            count(row["rank"]),
        ]
        if about["measured"]:
            cells.append(number(row["measured"]))
        rows.append([*cells, *(number(row[f"delta_{model}"], signed=True) for model in models)])
    which = "All variants" if len(shown) == len(ranked) else f"Both ends of the {len(ranked):,} variants"
    caption = (
        f"{which}, ranked by Δ of {names[main]}, the least likely first; Δ in nats. Variants are named as in "
        f"{about['table']}: sequence, position from 1, reference and alternative allele. variants/variants.parquet "
        "has them all."
    )
    value = [str(about["measured"])] if about["measured"] else []
    columns = ["variant", *(str(about[name]) for name in facts), "rank", *value, *(f"Δ {names[m]}" for m in models)]
    return Table(caption, columns, rows, words=1 + len(facts))


def _named(row: Mapping[Any, Any]) -> str:
    place, ref, alt = str(row["variant_id"]).rsplit(":", 2)
    alleles = [
        allele if len(allele) <= _LONGEST_ALLELE else f"{allele[:_LONGEST_ALLELE]}… ({len(allele)} bp)"
        for allele in (ref, alt)
    ]
    return f"{place} {'>'.join(alleles)}"


def _left_out_table(effects: VariantEffects) -> Table:
    left_out = effects.scored.left_out
    rows = [[str(reason), count(variants), count(line)] for reason, variants, line in left_out.itertuples(index=False)]
    total = int(left_out["variants"].sum())
    caption = (
        f"{plural(total, 'alternative allele')} of {effects.scored.about['alleles']:,} could not be scored: why, and "
        f"the row of {effects.scored.about['table']} where the first of them stands."
    )
    return Table(caption, ["reason", "alleles", "first row"], rows)
