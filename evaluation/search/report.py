"""The page of a study: `report.html` in its folder."""

from __future__ import annotations

from pathlib import Path

from evaluation.drawing import style
from evaluation.page import layout
from evaluation.search.section import CONFIDENCE, analyse, sections
from workflow.artifacts import publish, write_text

_REPORT = "report.html"


def write_report(study: Path) -> Path:
    """Write report.html and figures/*.png in the folder of a study; the path of the page.

    One process at a time: the caller keeps others away.

    Raises
    ------
    InputError
        A file of the study is missing, or was written by another version.
    """
    search = analyse(study, address="")
    with style.applied():
        parts = sections(search)
        with publish(study / "figures") as figures:
            layout.save_figures(parts, figures)
    page = layout.render(
        "study.html.j2",
        study / "figures",
        study_name=search.study.name,
        verdict=search.verdict,
        fired=[],
        warnings=[],
        sections=parts,
        methods=_methods(),
    )
    write_text(study / _REPORT, page)
    return study / _REPORT


def _methods() -> list[str]:
    return [
        "A trial trains the default configuration with some settings changed. Its value is the best validation of its "
        "training, or what its predictions were scored. Trials that failed, or that are no better than a uniform "
        "guess, have no value; pruned ones were stopped before they had their last.",
        "The best of many noisy values is better than its configuration is (the winner's curse). It was therefore "
        f"trained again with other seeds where the study asked for it; their mean has a {100 * CONFIDENCE:g} % "
        "interval by Student's t. The default configuration ran once: its difference from that mean has a prediction "
        "interval for one more run, t·s·√(1 + 1/k) to either side (Hahn & Meeker 1991), which takes the noise of both "
        "for equal.",
        "Importances: functional analysis of variance of a random forest (Hutter, Hoos & Leyton-Brown 2014, ICML), "
        "over the settings that every complete trial has.",
    ]
