"""The page of a comparison of classifiers, and the tables beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.classification import tables
from evaluation.classification.analysis import Analysis, analyse
from evaluation.classification.files import write_method
from evaluation.classification.measures import BINS, TITLES
from evaluation.classification.reading import BASELINE
from evaluation.classification.resampling import MOST_UNITS
from evaluation.classification.section import sections
from evaluation.classification.verdict import checks, judge
from evaluation.drawing import style
from evaluation.page import layout
from evaluation.page.text import bracketed
from workflow.artifacts import publish, write_json, write_text

REPORT = "report.html"


@dataclass(frozen=True)
class Outcome:
    """What a comparison found.

    Attributes
    ----------
    headline : dict
        Numbers for a summary: the best method, the deciding measure, its interval, that of the baseline, verdict.
    checks : list of dict
        Gates: name, passed, saw, limit, why, subject.
    """

    headline: dict[str, object]
    checks: list[dict[str, Any]]


def write(folder: Path, *, samples: int, confidence: float, seed: int) -> Outcome:
    """Measure the methods of a stage `classify`, and write report.html, metrics.json, comparison.csv and tables.

    Those of each method lie in `methods/<method>`, under MicrobeRT's names (`evaluation.classification.files`).

    Parameters
    ----------
    folder : Path
        What the stage wrote; also written to.
    samples, confidence, seed : int, float, int
        Number of resamplings, coverage of the intervals, seed of the generator.

    Raises
    ------
    InputError
        A file is missing or damaged, or the methods did not predict the same sequences.
    """
    analysis = analyse(folder, samples, confidence, seed)
    for method in analysis.data.methods:
        write_method(analysis, method, folder / "methods" / method.name)
    tables.comparison(analysis).to_csv(folder / "comparison.csv", index=False)
    verdict, found = judge(analysis), checks(analysis)
    with style.applied():
        parts = sections(analysis)
        with publish(folder / "figures") as drawn:
            layout.save_figures(parts, drawn)
    page = layout.render(
        "classification.html.j2",
        folder / "figures",
        labels=", ".join(analysis.data.levels),
        verdict=verdict,
        fired=[{**check, "stage": "classify"} for check in found if not check["passed"]],
        warnings=[],
        sections=parts,
        methods=_methods(analysis),
    )
    write_text(folder / REPORT, page)
    write_json(folder / "metrics.json", metrics(analysis))
    return Outcome(_headline(analysis), found)


def metrics(analysis: Analysis) -> dict[str, Any]:
    """What a program reads: verdict, deciding measure, and every score with its interval."""
    verdict = judge(analysis)
    return {
        "task": analysis.data.task,
        "verdict": vars(verdict),
        "decided_by": {"metric": analysis.key, "level": analysis.main_level},
        "best": analysis.ranked()[0].name,
        "leaked_test_sequences": analysis.leaked,
        "scores": _plain(analysis.scores),
        "paths": _plain({"path": analysis.paths})["path"],
        "scores_without_leaks": _plain(analysis.without_leaks) if analysis.without_leaks else None,
        "intervals": {"samples": analysis.samples, "confidence": analysis.confidence, "seed": analysis.seed},
    }


def _plain(scores: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    return {
        level: {
            name: {measure: vars(found.interval) for measure, found in measured.items()}
            for name, measured in of_level.items()
        }
        for level, of_level in scores.items()
    }


def _headline(analysis: Analysis) -> dict[str, object]:
    best = analysis.ranked()[0]
    gain = analysis.gain(best.name, BASELINE)
    return {
        "test_rows": int(analysis.data.used(analysis.main_level).sum()),
        "best_method": best.name,
        analysis.key: bracketed(analysis.score(best.name)),
        f"{analysis.key}_{BASELINE}": bracketed(analysis.score(BASELINE)) if analysis.data.method(BASELINE) else None,
        **({f"gain_over_{BASELINE}": bracketed(gain.interval, signed=True)} if gain else {}),
        "leaked_test_sequences": analysis.leaked,
        "verdict": judge(analysis).headline,
    }


def _methods(analysis: Analysis) -> list[str]:
    unit, key = analysis.data.unit_noun, TITLES[analysis.key]
    texts = [
        f"Intervals: {100 * analysis.confidence:g} %, expanded percentile (Hesterberg 2015), from {analysis.samples:,} "
        f"resamplings of test {unit}s, shared by all methods and levels; of more than {MOST_UNITS:,} several are drawn "
        f"together. Seed {analysis.seed}. They cover the choice of the test {unit}s, not that of the seed or split of "
        "a training. AUROC, average precision and Spearman's correlation are resampled by the influence of each row on "
        "them (Efron 1982; DeLong et al. 1988).",
        f"Methods are judged by {key}. p-values are those at which the interval of a paired difference touches 0, "
        "corrected for the number of methods and levels (Holm 1979).",
    ]
    if analysis.data.is_regression:
        return [*texts, "R² is 1 − Σ(y − ŷ)² / Σ(y − ȳ)² on the test set: below 0 for what is worse than its mean."]
    return [
        *texts,
        "Averages over classes are over those that are present in the test set: macro takes classes alike, weighted by "
        "their support, micro sums over them. MCC is Gorodkin's (2004) for several classes. AUROC and average "
        "precision are one class against the rest, averaged. The reciprocal rank is that of the true class by its "
        f"probability. Calibration error: the expected one over {BINS} bins of confidence; chance adds to it, and in a "
        "resampling once more, so that its interval lies high.",
        "A missing label leaves its row out of its level. A label that training lacks counts as wrong; of log-loss "
        "such rows are left out.",
    ]
