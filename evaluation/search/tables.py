"""Tables of a study: its settings and its trials."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np

from evaluation.page.tables import Table
from evaluation.page.text import MISSING, bracketed, count, number, percent
from evaluation.search.progress import pareto_front
from evaluation.search.reading import Study
from evaluation.search.space import Setting
from evaluation.statistics.bootstrap import Interval, correlation, fewest_rows

_RESAMPLINGS, _SEED = 1000, 42
#: Of a run folder that was evaluated.
REPORT_OF_RUN = "evaluate/report.html"
_MINUTE = 60.0


def settings_table(study: Study, confidence: float) -> Table:
    """Every searched setting: where it was searched, its default, its best value, and what it decides."""
    told = [objective for objective in study.objectives if study.importances.get(objective.name)]
    best, default = study.best(0), study.default
    has_conditions = any(setting.when for setting in study.settings)
    rows = [
        [
            setting.key,
            setting.searched,
            *([setting.when or MISSING] if has_conditions else []),
            MISSING if default is None else setting.words[default],
            MISSING if best is None else setting.words[best],
            *(_share(study.importances[objective.name].get(setting.key, np.nan)) for objective in told),
            *(_cell(_trend(setting, study.values[:, place], confidence)) for place in range(len(study.objectives))),
        ]
        for setting in study.settings
    ]
    caption = (
        "The settings of the space. Importance: share of the objective's variance that the setting decides (fANOVA). "
        "ρ: Spearman's rank correlation of the setting with the objective over the complete trials, with its "
        f"{100 * confidence:g} % bootstrap interval; positive where more of it gives a higher value. A sampler that "
        "learns looks longer where it is good, so that ρ describes these trials and not the whole space. "
        f"{MISSING}: without an order, or not known."
    )
    several = len(study.objectives) > 1
    columns = [
        "setting",
        "searched",
        *(["active when"] if has_conditions else []),
        "default",
        "best",
        *(f"importance{f', {objective.label}' if several else ''}" for objective in told),
        *(f"ρ{f', {objective.label}' if several else ''}" for objective in study.objectives),
    ]
    return Table(caption, columns, rows, words=4 + has_conditions)


def _trend(setting: Setting, values: np.ndarray, confidence: float) -> Interval | None:
    """Rank correlation of an ordered setting with an objective; None where there is nothing to correlate."""
    used = np.isfinite(setting.places) & np.isfinite(values)
    if not setting.is_ordered or used.sum() < fewest_rows(confidence) or np.ptp(setting.places[used]) == 0:
        return None
    return correlation(setting.places[used], values[used], "spearman", _RESAMPLINGS, confidence, _SEED)


def _share(share: float) -> str:
    return MISSING if np.isnan(share) else percent(share)


def _cell(interval: Interval | None) -> str:
    return MISSING if interval is None else bracketed(interval, signed=True)


def trials_table(study: Study, address: str) -> Table:
    """Every trial with its values, settings and links to its run; in bold the best, or the Pareto front.

    Parameters
    ----------
    study : Study
    address : str
        The folder of the study as an address relative to the page; empty where the page lies in it.
    """
    words = [setting for setting in study.settings if not setting.is_ordered]
    numbers = [setting for setting in study.settings if setting.is_ordered]
    reports = [(study.folder / run / REPORT_OF_RUN).exists() if run else False for run in study.trials["run"]]
    rows, links = [], {}
    for row, (trial, state, reason, kind, _, run, seconds, hours, steps) in enumerate(
        study.trials.itertuples(index=False)
    ):
        told = state if kind == "sampled" else f"{state} ({kind})"
        cells = [str(trial), *(["report" if reports[row] else ""] if any(reports) else []), told, _short(reason)]
        cells += [setting.words[row] for setting in words]
        cells += [objective.told(value) for objective, value in zip(study.objectives, study.values[row], strict=True)]
        cells += [setting.words[row] for setting in numbers]
        cells += [_known(steps, 0), _known(seconds, 1, _MINUTE), _known(hours, 3)]
        rows.append(cells)
        if run and (study.folder / run).is_dir():
            links[row, 0] = f"{address}{quote(run)}/"
        if reports[row]:
            links[row, 1] = f"{address}{quote(run)}/{REPORT_OF_RUN}"
    columns = [
        "trial",
        *(["report"] if any(reports) else []),
        "state",
        "why",
        *(setting.name for setting in words),
        *(objective.label for objective in study.objectives),
        *(setting.name for setting in numbers),
        "steps",
        "minutes",
        "GPU hours",
    ]
    chosen = np.flatnonzero(pareto_front(study)) if len(study.objectives) > 1 else [study.best(0)]
    bold = {int(row) for row in chosen if row is not None}
    units = " and ".join(objective.axis for objective in study.objectives)
    told_bold = "the Pareto front" if len(study.objectives) > 1 else "the best trial"
    caption = (
        f"All {count(len(rows))} trials; in bold {told_bold}. The number leads to the folder of the run where it is "
        f"still there. Values are {units}. Pruned: stopped because others were better at the same step; refused: "
        "not run at all; failed: without a value that means something."
    )
    return Table(caption, columns, rows, words=columns.index(study.objectives[0].label), fired=bold, links=links)


def _short(reason: str) -> str:
    return " ".join(str(reason).split())


def _known(value: object, decimals: int, unit: float = 1.0) -> str:
    """A number of the table, which may be missing."""
    known = float(value) if isinstance(value, int | float) else float("nan")
    return number(known / unit, decimals)


def repeats_table(study: Study, address: str) -> Table:
    """The trainings of the best configuration with other seeds."""
    rows = [
        [
            str(repeat.seed),
            *(objective.told(value) for objective, value in zip(study.objectives, repeat.values, strict=True)),
        ]
        for repeat in study.repeats
    ]
    links = {
        (row, 0): f"{address}{quote(repeat.run)}/"
        for row, repeat in enumerate(study.repeats)
        if repeat.run and (study.folder / repeat.run).is_dir()
    }
    caption = "The best configuration trained again: each seed with its values."
    return Table(caption, ["seed", *(objective.axis for objective in study.objectives)], rows, links=links)
