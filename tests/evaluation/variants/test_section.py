from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from evaluation.drawing.style import applied
from evaluation.page.layout import Section
from evaluation.statistics.bootstrap import Interval
from evaluation.variants.effects import assess
from evaluation.variants.reading import ScoredVariants
from evaluation.variants.section import _comparisons, section
from tests.evaluation.variants.conftest import Make, MarkovOfOrderTwo

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov order 2"}


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with applied():
        yield


def told(scored: ScoredVariants, markov: MarkovOfOrderTwo) -> Section:
    return section(assess(scored, markov, 40, 0.95, 0), LABELS, 0.95)


def test_the_whole_section(made: Make, markov: MarkovOfOrderTwo) -> None:
    part = told(made(), markov)
    assert [picture.name for picture in part.pictures] == ["variants_delta", "variants_curves", "variants_forest"]
    for picture in part.pictures:
        picture.figure.canvas.draw()
    models, auroc, auprc, spearman, ranked, left_out = part.tables
    assert [row[0] for row in models.rows] == ["base", "adapted", "Markov order 2", "k-mer regression"]
    assert models.columns[1:] == [
        "AUROC",
        "AUPRC",
        "enrichment, top 10 %",
        "Spearman",
        "both strands",
        "median Δ, nats",
    ]
    assert [row[0] for row in auroc.rows] == [row[0] for row in auprc.rows] == ["missense", "intronic"]
    assert [row[0] for row in spearman.rows] == ["missense", "intronic"]
    assert all(len(row) == len(table.columns) for table in part.tables for row in table.rows)
    assert len(ranked.rows) == 40
    assert left_out.rows == [["symbolic allele or breakend", "3", "9"]]
    assert ("Windows", "512 bp around each variant, mean of both strands") in part.lines
    assert any("adapted is above base" in remark for remark in part.remarks)
    assert any("“bad” is taken for damaging" in remark for remark in part.remarks)


def test_the_ranked_list_has_the_least_likely_first(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made(rows=120)
    ranked = told(scored, markov).tables[-2]
    order = np.argsort(scored.deltas("adapted"))
    first, last = (scored.table["variant_id"].iloc[order[place]] for place in (0, -1))
    place, ref, alt = first.rsplit(":", 2)
    assert ranked.rows[0][0] == f"{place} {ref}>{alt}"
    assert ranked.rows[-1][0].split()[0] == last.rsplit(":", 2)[0]
    assert [row[3] for row in ranked.rows] == [str(rank) for rank in (*range(1, 21), *range(101, 121))]


def test_long_alleles_are_shortened(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made(rows=30)
    table = scored.table.copy()
    table.loc[0, ["variant_id", "delta_adapted", "kind"]] = ["s:1:A:" + "ACGT" * 10, -99.0, "insertion"]
    part = told(replace(scored, table=table), markov)
    assert part.tables[-2].rows[0][0] == "s:1 A>ACGTACGTACGT… (40 bp)"
    assert any("The two windows of an indel (1 here) have the same flanks" in remark for remark in part.remarks)


def test_an_auroc_below_chance_is_told(made: Make, markov: MarkovOfOrderTwo) -> None:
    remarks = told(made(effect=-1.5), markov).remarks
    assert any("The AUROC of base is below 0.5" in remark for remark in remarks)
    assert not any("is below 0.5" in remark for remark in told(made(), markov).remarks)


def test_without_labels_or_values_there_is_no_claim(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made(label=None, measured=None, consequence=None, positive=[], negative=[])
    table = scored.table.assign(positive=scored.table["positive"].mask(scored.is_labelled), measured=np.nan)
    part = told(replace(scored, table=table), markov)
    assert [picture.name for picture in part.pictures] == ["variants_delta"]
    assert any("no labels to compare" in remark for remark in part.remarks)
    assert part.tables[0].columns == ["model", "both strands", "median Δ, nats"]


def test_values_without_labels(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made(label=None, positive=[], negative=[])
    table = scored.table.assign(positive=scored.table["positive"].mask(scored.is_labelled))
    part = told(replace(scored, table=table), markov)
    assert [picture.name for picture in part.pictures] == ["variants_delta", "variants_forest"]
    assert part.pictures[1].title == "correlation with the measured value by consequence class"
    assert [row[0] for row in part.tables[0].rows][-1] == "k-mer regression"


def test_models_from_elsewhere_keep_their_names(made: Make, markov: MarkovOfOrderTwo) -> None:
    models = tuple(f"model_${number}" for number in range(8))
    part = told(made(models=models, scores="scores.tsv"), markov)
    for picture in part.pictures:
        picture.figure.canvas.draw()
    assert [row[0] for row in part.tables[0].rows[:8]] == list(models)
    assert ("Scores", "made elsewhere, read from scores.tsv") in part.lines


@pytest.mark.parametrize("rows", [1, 4, 12])
def test_few_variants(made: Make, markov: MarkovOfOrderTwo, rows: int) -> None:
    part = told(made(rows=rows), markov)
    for picture in part.pictures:
        picture.figure.canvas.draw()
    assert len(part.tables[-2].rows) == rows


def test_the_figure_counts_what_has_a_score(made: Make, markov: MarkovOfOrderTwo) -> None:
    scored = made(rows=120)
    bad = int((scored.is_labelled & scored.positive).sum())
    names = [label.get_text() for label in told(scored, markov).pictures[0].figure.axes[0].get_yticklabels()]
    assert names[0] == f"bad\nn = {bad}"
    lacking = np.flatnonzero(scored.is_labelled & scored.positive)[:5]
    table = scored.table.copy()
    table.loc[lacking, "delta_base"] = np.nan
    names = [
        label.get_text()
        for label in told(replace(scored, table=table), markov).pictures[0].figure.axes[0].get_yticklabels()
    ]
    assert names[0] == f"bad\nn = {bad - 5} to {bad}"


def test_nothing_is_above_a_baseline_that_is_not_above_chance_itself() -> None:
    differences = {("base", "kmer"): Interval(0.5, 0.1, 0.8), ("base", "markov"): Interval(-0.2, -0.3, -0.1)}
    names = {"base": "base", "kmer": "k-mers", "markov": "Markov"}
    (told,) = _comparisons("AUROC", differences, {"base": False}, ("base",), names)
    assert "base is below Markov (" in told
    assert "base is not shown to be above chance, and so not better than k-mers (" in told
    (told,) = _comparisons("AUROC", differences, {"base": True}, ("base",), names)
    assert "base is above k-mers (" in told
