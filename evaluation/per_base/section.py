"""What the page shows of the per-base scores."""

from __future__ import annotations

from collections.abc import Mapping

from evaluation.page.layout import Picture, Section
from evaluation.page.text import number, plural
from evaluation.per_base import figures, figures_strata, tables
from evaluation.per_base.analysis import PerBaseResult
from evaluation.per_base.comparison import Comparison
from evaluation.per_base.scores import INSIDE, WindowScores
from evaluation.per_base.strata import SEQUENCE_KINDS
from evaluation.statistics.bootstrap import Interval


def sections(result: PerBaseResult, labels: Mapping[str, str], outside: Mapping[str, float]) -> list[Section]:
    """All sections, in the order of the page.

    Parameters
    ----------
    result : PerBaseResult
    labels : mapping
        What each model is called, `uniform` among them.
    outside : mapping
        Mean probability outside A, C, G, T, by model.
    """
    found = [
        _compared(result, labels, outside),
        _by_class(result, labels),
        _by_sequence(result, labels),
        _calibration(result, labels),
        _windows(result, labels),
    ]
    return [section for section in found if section is not None]


def _compared(result: PerBaseResult, labels: Mapping[str, str], outside: Mapping[str, float]) -> Section:
    comparison = result.comparison
    shown = [tables.models_table(comparison, labels, outside)]
    remarks = [_left_out(result.scores)]
    if len(comparison.parts) > 2:
        shown.append(tables.repeats_table(comparison, labels))
    else:
        remarks.append(_not_masked(comparison))
    shown.append(tables.differences_table(comparison, labels))
    if comparison.average is not None:
        shown.append(tables.average_table(comparison, comparison.average, labels))
    return Section("Models compared", shown, remarks=remarks)


def _left_out(scores: WindowScores) -> str:
    scored = f"{plural(scores.bases, 'base')} in {plural(len(scores.table), 'window')}"
    return (
        f"{scored}: these are scored, the same for every model. Left out: {scores.undefined:,} without a prediction "
        f"(such as the first base of a window), {scores.not_acgt:,} that are none of A, C, G, T, and "
        f"{plural(scores.empty_windows, 'window')} without a scored base."
    )


def _not_masked(comparison: Comparison) -> str:
    if INSIDE in comparison.parts:
        return "All scored bases are soft-masked (lower case): nothing can be told of what lies outside repeats."
    return (
        "No scored base is soft-masked (lower case), so that repeats and other bases cannot be told apart: soft-mask "
        "the genome to see them separately."
    )


def _by_class(result: PerBaseResult, labels: Mapping[str, str]) -> Section | None:
    if result.strata.kind("class").empty:
        return None
    pictures = [
        Picture(
            "classes",
            figures_strata.forest(result.strata, "class", labels, _overall(result)),
            "NLL of each model, and gain, by class of base.",
            f"Left: further left is better, and what lies at the dotted line is no better than a uniform guess. Right: "
            f"{_gain_reading(result)} Lines are intervals; classes in too few blocks have none.",
        ),
        Picture(
            "class_distributions",
            figures_strata.class_distributions(result.strata, labels),
            "Negative log-likelihood of single bases by class, one violin a model.",
            "Each violin is as wide as the bases are many at that NLL, the bar spans the quartiles and the dot is the "
            "median; a second bulge near 0 is sequence that the model knows nearly by heart, such as repeats.",
        ),
    ]
    return Section("By class of base", [tables.strata_table(result.strata, "class", labels)], pictures)


def _by_sequence(result: PerBaseResult, labels: Mapping[str, str]) -> Section | None:
    kinds = [kind for kind in SEQUENCE_KINDS.values() if not result.strata.kind(kind).empty]
    if not kinds:
        return None
    pictures = [
        Picture(
            kind.replace(" ", "_"),
            figures_strata.forest(result.strata, kind, labels, _overall(result)),
            f"NLL of each model, and gain, by {kind}.",
            _gain_reading(result)
            + " Homologous copies share their blocks, so that they do not count as independent evidence.",
        )
        for kind in kinds
    ]
    shown = [tables.strata_table(result.strata, kind, labels) for kind in kinds]
    return Section("By haplotype, homolog group and subgenome", shown, pictures, folded=True)


def _gain_reading(result: PerBaseResult) -> str:
    return (
        "only what lies right of 0 with its whole interval has improved; the dashed line is the gain over all bases "
        f"({number(_overall(result).estimate, signed=True)} nats per base)."
    )


def _overall(result: PerBaseResult) -> Interval:
    difference = result.comparison.difference(*result.scores.main_pair)
    assert difference is not None
    return difference.gain


def _calibration(result: PerBaseResult, labels: Mapping[str, str]) -> Section:
    picture = Picture(
        "calibration",
        figures_strata.reliability(result.calibration, labels),
        "Reliability: share of right predictions against confidence, above; how often each confidence occurs, below.",
        "On the dashed line a model is as often right as it says; below it, it is too sure of itself. Each point is a "
        "bin with at least 100 bases, and its line the interval. Confidence is the probability of the most probable "
        "base among A, C, G, T, so that it is at least 25 %.",
    )
    return Section("Calibration", [tables.calibration_table(result.calibration, labels)], [picture])


def _windows(result: PerBaseResult, labels: Mapping[str, str]) -> Section:
    difference = result.comparison.difference("adapted", "base")
    last = (
        "; c, gain of the adapted model in each window, with its mean over all bases (line) and interval (band)"
        if difference
        else ""
    )
    picture = Picture(
        "scores",
        figures.score_distributions(result.scores, dict(labels), difference.gain if difference else None),
        f"Scores of the windows: a, histogram; b, violin with quartiles (bar) and median (dot){last}.",
        "Further left in a, or lower in b, is better; a model whose windows lie at the dotted line knows nothing"
        + (", and in c only what lies right of 0 has improved." if difference else "."),
    )
    return Section("All windows", [tables.windows_table(result.scores, labels)], [picture])
