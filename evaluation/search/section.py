"""What a page shows of a study."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from matplotlib.figure import Figure

from evaluation.page.layout import Picture, Section
from evaluation.page.text import plural
from evaluation.per_base.verdict import Verdict
from evaluation.search import figures_history, figures_parallel, figures_settings, figures_values
from evaluation.search.looks import beyond
from evaluation.search.noise import Noise, noise
from evaluation.search.reading import Study, read_study, study_of
from evaluation.search.tables import REPORT_OF_RUN, repeats_table, settings_table, trials_table
from evaluation.search.verdict import judge

CONFIDENCE = 0.95
#: Complete trials per setting below which importances are a guess.
_ENOUGH = 5


@dataclass(frozen=True)
class Search:
    """What a study says.

    Attributes
    ----------
    study : Study
    noise : list of Noise or None
        Of each objective.
    verdict : Verdict
    address : str
        Folder of the study as an address relative to the page, with a slash at its end; empty where the page lies
        in it.
    """

    study: Study
    noise: list[Noise | None]
    verdict: Verdict
    address: str


def analyse(folder: Path, address: str) -> Search:
    """Read a study and judge it.

    Parameters
    ----------
    folder : Path
        Of the study.
    address : str
        The same as an address relative to the page; empty where the page lies in it.

    Raises
    ------
    InputError
        As `evaluation.search.reading.read_study`.
    """
    study = read_study(folder)
    found = [noise(study, place, CONFIDENCE) for place in range(len(study.objectives))]
    return Search(study, found, judge(study, found, CONFIDENCE), address)


def search_of(run: Path, out: Path) -> Search | None:
    """The study that a run is the final training of, or whose files it holds; None where there is none.

    Parameters
    ----------
    run : Path
        Run folder.
    out : Path
        Folder of the page, or one beside it.

    Raises
    ------
    InputError
        As `evaluation.search.reading.read_study`.
    """
    folder = study_of(run)
    if folder is None:
        return None
    return analyse(folder, f"{quote(os.path.relpath(folder.resolve(), out.resolve()))}/")


def report_sections(search: Search) -> list[Section]:
    """The part `Search` of the report of a run: what was found, and under it everything that a study's page shows."""
    links = [("folder of the study", search.address)]
    if (search.study.folder / "report.html").exists():
        links = [("page of the study", f"{search.address}report.html")]
    first = Section("Search", remarks=[search.verdict.headline, *search.verdict.notes], links=links)
    return [first, *sections(search, level=3)]


def sections(search: Search, level: int = 2) -> list[Section]:
    """The parts of a study's page, drawn with the settings of `evaluation.drawing.style.applied`."""
    parts = [_noise(search), _history(search.study), _settings(search.study), _configurations(search.study)]
    if len(search.study.objectives) > 1:
        parts.append(_pareto(search.study))
    parts += [
        _costs(search.study),
        Section("All trials", [trials_table(search.study, search.address)]),
        _study(search),
    ]
    return [Section(**vars(part) | {"level": level}) for part in parts if part is not None]


def _pictures(*given: tuple[str, Figure | None, str, str]) -> list[Picture]:
    """Those that there is something to draw for."""
    return [Picture(f"search_{name}", figure, *words) for name, figure, *words in given if figure is not None]


def _begun(text: str) -> str:
    """Words at the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def _noise(search: Search) -> Section | None:
    study = search.study
    if not study.repeats:
        return None
    picture = _pictures(
        (
            "seeds",
            figures_values.seeds(study, search.noise),
            "The noise of the best: the same configuration with other seeds.",
            f"Bar and band: {100 * CONFIDENCE:g} % interval of the mean of the seeds (Student's t). The star lies on "
            "the better side of them as far as it was chosen for its luck. Where the dashed line of the default "
            "configuration runs through the dots, the search has gained nothing that can be shown; grey dots (the "
            f"next best trials, at most {figures_values.MOST_OTHERS}) among the dots are as good as the best.",
        )
    )
    return Section("The noise of the best", [repeats_table(study, search.address)], picture)


def _history(study: Study) -> Section:
    hidden = sum(beyond(column, one.sign) for one, column in zip(study.objectives, study.values.T, strict=True))
    cut = f" {plural(hidden, 'value')} beyond the axis lie at its end." if hidden else ""
    told = " and ".join(f"{objective.better} {objective.phrase} is better" for objective in study.objectives)
    reading = (
        f"{_begun(told)}. The dashed line is the default configuration. Pruned and failed trials "
        f"are marked at the worse end.{cut} A best that still moves at the right end asks for more trials."
    )
    pictures = _pictures(
        ("history", figures_history.history(study), "Value of every trial, and the best so far.", reading),
        (
            "curves",
            figures_history.curves(study),
            f"{_begun(study.followed)} of every trial while it ran.",
            "A trial is pruned when it is worse than others were at the same step: pruned curves that lie among the "
            "complete ones were stopped too early. The axis is chosen for the values after the first tenth of the "
            "steps.",
        ),
    )
    return Section("History", pictures=pictures)


def _settings(study: Study) -> Section:
    complete = int(study.in_state("complete").sum())
    remarks = []
    if complete < _ENOUGH * len(study.settings):
        remarks.append(
            f"{plural(complete, 'complete trial')} for {plural(len(study.settings), 'setting')} are few: take the "
            "importances as a hint."
        )
    pictures = _pictures(
        (
            "importances",
            figures_settings.importances(study),
            "How much each setting decides.",
            f"fANOVA (Hutter, Hoos & Leyton-Brown 2014) over {plural(complete, 'complete trial')}: the share of the "
            "variance of the objective that the setting explains by itself. The dotted line is what each would have "
            "if all were alike. The share says nothing of the direction, and it depends on the range: a setting that "
            "was searched narrowly decides little.",
        ),
        *(
            (
                "slices" if place == 0 else f"slices_{place + 1}",
                figures_settings.slices(study, place),
                f"{_begun(objective.label)} along each setting.",
                "A dot a complete trial, the darker the earlier; trials of one category are spread sideways so that "
                "they can be told apart. A good region is a group of "
                f"{'low' if objective.sign > 0 else 'high'} dots, not one dot; a setting without a trend may be left "
                "at its default.",
            )
            for place, objective in enumerate(study.objectives)
        ),
    )
    return Section("The settings", [settings_table(study, CONFIDENCE)], pictures, remarks)


def _configurations(study: Study) -> Section | None:
    pictures = _pictures(
        (
            "parallel",
            figures_parallel.parallel(study),
            "Whole configurations.",
            "A line a complete trial, through its settings to its value at the right; dark lines are the better ones, "
            "and the best tenth is drawn strongly. Axes are logarithmic where the search was. Where the dark lines run "
            "together, the setting matters; where they fan out, any value does.",
        )
    )
    return Section("Configurations", pictures=pictures) if pictures else None


def _pareto(study: Study) -> Section | None:
    pictures = _pictures(
        (
            "pareto",
            figures_values.pareto(study),
            "The objectives against each other.",
            "No trial is better than one of the Pareto front in one objective without being worse in another: which of "
            "them is the best is a matter of what an objective is worth. One seed each: neighbours on the front may "
            "differ by luck.",
        )
    )
    return Section("Pareto front", pictures=pictures) if pictures else None


def _costs(study: Study) -> Section | None:
    pictures = _pictures(
        (
            "costs",
            figures_history.costs(study),
            "What the trials have cost.",
            "Left, the duration of each trial; right, the sum of those that ended alike. Pruned trials should have "
            "cost far less than complete ones, failed ones next to nothing.",
        )
    )
    return Section("Cost", pictures=pictures) if pictures else None


def _study(search: Search) -> Section:
    """The study in about ten lines, what its search had to say, and where its results are."""
    study, record = search.study, search.study.record
    wanted, best = record.get("trials_wanted"), record.get("best") or {}
    objectives = "; ".join(f"{one.name} ({one.axis}, {one.better} is better)" for one in study.objectives)
    lines = [
        ("Objective" if len(study.objectives) == 1 else "Objectives", objectives),
        ("Trials", f"{len(study.trials):,}{f' ({wanted:,} finished ones asked for)' if wanted else ''}"),
        ("Sampler", record.get("sampler")),
        ("Pruner", record.get("pruner")),
        ("Constraints", "; ".join(map(str, record.get("constraints") or []))),
        ("Given", " ".join(map(str, record.get("base") or []))),
        ("Run the best", best.get("command")),
        ("Storage", record.get("storage")),
        ("Look into it", record.get("dashboard")),
        ("Software", ", ".join(f"{name} {version}" for name, version in (record.get("versions") or {}).items())),
        ("Begun", record.get("created")),
    ]
    places = {
        "best configuration": best.get("yaml"),
        "final run": record.get("final"),
        "report of the final run": f"{record.get('final')}/{REPORT_OF_RUN}",
    }
    links = [
        (text, f"{search.address}{quote(place)}")
        for text, place in places.items()
        if place and (study.folder / place).exists()
    ]
    remarks = [_begun(str(note)).rstrip(".") + "." for note in record.get("notes") or []]
    told = [(label, str(text)) for label, text in lines if text]
    return Section("The study", lines=told, remarks=remarks, links=links)
