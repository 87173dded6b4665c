"""The page: which figures and tables, in which order, and what a reader is told about each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluation.artefacts.facts import RunFacts
from evaluation.drawing import learning
from evaluation.experiment.measured import Experiment
from evaluation.generation import figures as figures_generation
from evaluation.generation.summary import Generation
from evaluation.page import tables
from evaluation.page.layout import Picture, Section
from evaluation.page.layout import render as render_page
from evaluation.page.text import plural
from evaluation.per_base import figures as figures_scores
from evaluation.per_base.comparison import Comparison, Verdict
from evaluation.per_base.scores import WindowScores
from evaluation.preparation import reading as preparation
from evaluation.preparation.reading import Preparation
from workflow.artifacts import InputError, PerBaseScores


@dataclass(frozen=True)
class Findings:
    """Everything that was computed from a run, before it is drawn.

    Attributes
    ----------
    facts, preparation, scores, comparison, verdict : objects
        See their classes.
    predictions : dict
        Per-base predictions by model.
    outside : dict
        Mean probability mass outside A, C, G, T, by model.
    markov_order : int
        Order of the baseline.
    experiment, generation : objects or None
        None where the run has none.
    """

    facts: RunFacts
    preparation: Preparation
    scores: WindowScores
    comparison: Comparison
    verdict: Verdict
    predictions: dict[str, PerBaseScores]
    outside: dict[str, float]
    markov_order: int
    experiment: Experiment | None
    generation: Generation | None

    @property
    def labels(self) -> dict[str, str]:
        """What each model is called."""
        return {
            "uniform": "uniform guess",
            "markov": f"Markov order {self.markov_order}",
        } | figures_generation.GROUP_LABELS


def sections(findings: Findings, heatmap_window: str | None, heatmap_bases: int) -> list[Section]:
    """The page from top to bottom, below the verdict and the run's facts."""
    labels = findings.labels
    parts = [
        Section("The run", lines=findings.facts.lines(len(findings.scores.table), findings.scores.typical_length)),
        Section("Gates", [tables.gates_table(findings.facts.gates())]),
        Section(
            "Models compared",
            [
                tables.models_table(findings.comparison, labels, findings.outside),
                tables.differences_table(findings.comparison, labels),
            ],
            remarks=[_left_out(findings.scores)],
        ),
        _training(findings.facts),
        Section("One window, base by base", pictures=_window_pictures(findings, heatmap_window, heatmap_bases)),
        _windows(findings),
    ]
    if findings.experiment is not None:
        parts.append(_experiment(findings.experiment, labels))
    if findings.generation is not None:
        parts.append(_generation(findings.generation, labels))
    return parts + preparation.sections(findings.preparation)


def render(findings: Findings, parts: list[Section], figures: Path, methods: list[str]) -> str:
    """The page as one HTML document that needs no other file; every name from the input is escaped.

    Parameters
    ----------
    figures : Path
        Where `save_figures` has put the figures.
    """
    gates = findings.facts.gates()
    return render_page(
        "report.html.j2",
        figures,
        run_name=findings.facts.run_name,
        genome=findings.facts.genome,
        verdict=findings.verdict,
        fired=gates[~gates["passed"].astype(bool)].to_dict("records"),
        sections=parts,
        methods=methods,
        warnings=findings.preparation.warnings,
    )


def _left_out(scores: WindowScores) -> str:
    scored = f"{plural(scores.bases, 'base')} in {plural(len(scores.table), 'window')}"
    return (
        f"{scored}: these are scored, the same for every model. Left out: {scores.undefined:,} without a prediction "
        f"(such as the first base of a window), {scores.not_acgt:,} that are none of A, C, G, T, and "
        f"{plural(scores.empty_windows, 'window')} without a scored base."
    )


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


def _window_pictures(findings: Findings, wanted: str | None, bases: int) -> list[Picture]:
    predictions, labels = findings.predictions, findings.labels
    row, chosen = _choose_window(findings, wanted)
    store = next(iter(predictions.values()))
    window = store.index.iloc[row]
    observed = np.asarray(store.window(row)[1])
    logprobs = {model: np.asarray(scores.window(row)[0]) for model, scores in predictions.items()}
    size = min(max(bases, 1), len(observed))
    first = (len(observed) - size) // 2
    part = slice(first, first + size)
    name = str(window["sequence_id"])
    heatmap = Picture(
        "heatmap",
        figures_scores.window_heatmap(
            {model: values[part] for model, values in logprobs.items()}, observed[part], labels, first
        ),
        f"Log-probabilities of each base in the middle {size:,} bases of {name} ({chosen}).",
        "Each column is a position and each row a base, brighter where the model finds it more probable; a dot marks "
        "the base that is there, so that dots on bright cells are good predictions.",
    )
    entropy = Picture(
        "entropy",
        figures_scores.entropy_track(
            logprobs, labels, str(window["seqid"]), int(window["start"]), part, str(window["strand"]) == "-"
        ),
        f"Entropy of the next base along {name}.",
        "Low values are stretches where the model is sure, rightly or not; 2 bits is no idea at all. Thin lines are "
        "single bases, thick lines running means, and the grey band is the part shown above.",
    )
    return [heatmap, entropy]


def _choose_window(findings: Findings, wanted: str | None) -> tuple[int, str]:
    """Row of the window that is drawn, and why it was chosen."""
    identifiers = next(iter(findings.predictions.values())).index["sequence_id"].astype(str)
    if wanted is not None:
        rows = np.flatnonzero(identifiers == wanted)
        if not len(rows):
            raise InputError(
                f"evaluation.heatmap_window={wanted} is no scored window; they are named like {identifiers.iloc[0]}"
            )
        return int(rows[0]), "chosen by the user"
    scores = findings.scores
    model, reference = scores.main_pair
    extreme = str(scores.table["sequence_id"].iloc[int(np.abs(scores.gain(model, reference)).argmax())])
    reason = f"the window in which {findings.labels[model]} and {findings.labels[reference]} differ most"
    return int(np.flatnonzero(identifiers == extreme)[0]), reason


def _windows(findings: Findings) -> Section:
    difference = findings.comparison.difference("adapted", "base")
    last = (
        "; c, gain of the adapted model in each window, with its mean over all bases (line) and interval (band)"
        if difference
        else ""
    )
    picture = Picture(
        "scores",
        figures_scores.score_distributions(findings.scores, findings.labels, difference.gain if difference else None),
        f"Scores of the windows: a, histogram; b, violin with quartiles (bar) and median (dot){last}.",
        "Further left in a, or lower in b, is better; a model whose windows lie at the dotted line knows nothing"
        + (", and in c only what lies right of 0 has improved." if difference else "."),
    )
    return Section("All windows", [tables.windows_table(findings.scores, findings.labels)], [picture])


def _experiment(experiment: Experiment, labels: dict[str, str]) -> Section:
    picture = Picture(
        "experiment",
        figures_scores.experiment_scatter(experiment, labels),
        f"Model score against measured “{experiment.value_name}”.",
        "A dot is a row of the table of measurements; a correlation whose interval contains 0, or that the Markov "
        "model reaches as well, says nothing for the language model.",
    )
    return Section("Score against experiment", [tables.experiment_table(experiment, labels)], [picture])


def _generation(generation: Generation, labels: dict[str, str]) -> Section:
    pictures = [
        Picture(
            "logo",
            figures_generation.sequence_logos(generation),
            "Sequence logo of what follows the prompts.",
            "Tall letters are positions where the sequences agree; continuations of unrelated prompts should be as "
            "flat as the genome's own, and a tall logo means that the model writes the same whatever it is given; with "
            "few sequences (n) some letters are tall by chance.",
        ),
        Picture(
            "gc",
            figures_generation.gc_bars(generation),
            "GC share: mean, standard deviation, single sequences.",
            "The models' bars should resemble the genome's in height and spread.",
        ),
        Picture(
            "lengths",
            figures_generation.length_histogram(generation),
            "Lengths of the generated sequences.",
            "A peak at the requested length is normal; shorter ones ended early.",
        ),
        Picture(
            "kmers",
            figures_generation.kmer_spectrum(generation),
            "3-mers of the generated sequences against the genome's at matched length.",
            "Points on the bars mean the genome's composition; random fragments of the genome, as many as a model "
            f"wrote, are at a distance of {_sampling_distance(generation):.3f} by sampling alone.",
        ),
    ]
    return Section("Generated sequences", [tables.generation_table(generation, labels)], pictures)


def _sampling_distance(generation: Generation) -> float:
    return float(generation.summary.set_index("group")["kmer_distance"]["genome"])
