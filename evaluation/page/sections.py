"""The page of a run: which parts, in which order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evaluation.artefacts.facts import RunFacts
from evaluation.artefacts.splits import told_of_train
from evaluation.browser.section import browser_section
from evaluation.classification import section as classification
from evaluation.codons import section as codons
from evaluation.drawing import learning
from evaluation.drawing.section import ranking_section, window_section
from evaluation.elements import section as elements
from evaluation.experiment import section as experiment
from evaluation.findings import Findings, Settings
from evaluation.forgetting import section as forgetting
from evaluation.generation import section as generation
from evaluation.page.layout import Picture, Section
from evaluation.page.tables import gates_table
from evaluation.per_base import section as per_base
from evaluation.per_base import section_features as features
from evaluation.preparation import reading as preparation
from evaluation.search import section as search
from evaluation.variants import section as variants


def sections(findings: Findings, run: Path, settings: Settings) -> list[Section]:
    """The page from top to bottom, below the verdict and the gates that fired.

    Parameters
    ----------
    findings : Findings
    run : Path
        Run folder.
    settings : Settings
    """
    labels, scores = findings.labels, findings.per_base.scores
    store = next(iter(findings.predictions.values()))
    parts = [
        *per_base.sections(findings.per_base, labels, findings.outside),
        ranking_section(store, scores, labels),
    ]
    if findings.forgetting is not None:
        parts.append(forgetting.section(findings.forgetting, labels))
    parts += features.sections(findings.features, labels)
    parts.append(codons.section(findings.codons, labels))
    if findings.codon_states is not None:
        parts.append(codons.clustering_section(findings.codon_states, labels))
    parts.append(
        window_section(
            run / "prepare",
            findings.predictions,
            {"markov": findings.markov},
            scores,
            labels,
            settings.heatmap_window,
            settings.heatmap_bases,
        )
    )
    if findings.browser is not None:
        parts.append(browser_section(findings.browser, labels))
    parts += _tasks(findings, run, settings)
    if findings.search is not None:
        parts += search.report_sections(findings.search)
    return [*parts, *_background(findings)]


def _tasks(findings: Findings, run: Path, settings: Settings) -> list[Section]:
    """Those parts whose stages ran."""
    labels = findings.labels
    parts: list[Section] = []
    if findings.variants is not None:
        part = variants.section(findings.variants, labels, settings.confidence)
        # Coordinates in a reference of one's own say nothing of this genome's split.
        own = findings.facts.setting("variants", "variants", "fasta") is not None
        table = findings.variants.scored.table
        told = None if own else told_of_train(run / "prepare", table["seqid"], table["position"], "variants")
        parts.append(replace(part, remarks=[*([told] if told else []), *part.remarks]))
    if findings.elements is not None:
        part = elements.section(findings.elements, labels)
        table = findings.elements.table[findings.elements.table["set"] == "element"]
        told = told_of_train(run / "prepare", table["seqid"], table["start"], "elements")
        parts.append(replace(part, remarks=[*([told] if told else []), *part.remarks]))
    if findings.experiment is not None:
        parts.append(experiment.section(findings.experiment, labels))
    if findings.classification is not None:
        parts.append(classification.report_section(findings.classification))
    if findings.generation is not None:
        parts += generation.sections(findings.generation, labels)
    return parts


def _background(findings: Findings) -> list[Section]:
    """How it was made, for those who ask."""
    facts, scores = findings.facts, findings.per_base.scores
    return [
        Section("The run", lines=facts.lines(len(scores.table), scores.typical_length)),
        _training(facts),
        *preparation.sections(findings.preparation),
        Section("All gates", [gates_table(facts.gates(findings.checks))], folded=True),
    ]


def _training(facts: RunFacts) -> Section:
    if facts.metrics is None or facts.metrics.empty:
        return Section("Learning curve", remarks=["Nothing was trained in this run."])
    # A start from random weights costs ln 512; that of an adapted model is worth seeing, however high.
    ceiling = learning.ceiling(facts.metrics) if facts.method == "scratch" else None
    picture = Picture(
        "learning_curve",
        learning.learning_curve(facts.metrics, ceiling),
        "Loss during training.",
        "Validation should fall and stay below the dotted line, which is a uniform guess; where it rises while the "
        "loss of the train batches falls, the model memorises."
        + ("" if ceiling is None else f" {learning.above(facts.metrics, ceiling)}"),
    )
    return Section("Learning curve", pictures=[picture])
