"""The verdict: whether a model is worth more than counts of short words, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from evaluation.classification.analysis import Analysis
from evaluation.classification.measures import LOWER_IS_BETTER, TITLES
from evaluation.classification.reading import BASELINE, HEAD, NEURAL, RANDOM
from evaluation.page.text import bracketed, number, percent, plural
from evaluation.per_base.verdict import Verdict

#: Units below which intervals are wide, and rows below which a class says little.
_FEW_UNITS, _FEW_ROWS = 100, 10


def judge(analysis: Analysis) -> Verdict:
    """Put the comparison in words, claiming nothing that an interval does not support."""
    outcome, headline = _headline(analysis)
    return Verdict(outcome, headline, [*_findings(analysis), *_cautions(analysis)])


def checks(analysis: Analysis) -> list[dict[str, Any]]:
    """Gate `beats_baseline` for what was adapted, or the heads alone where nothing was.

    Each with name, passed, saw, limit, why, subject. Heads beside adaptations, and random weights, are controls.
    """
    neural = [method for method in analysis.data.methods if method.family == NEURAL and method.name != RANDOM]
    adapted = [method for method in neural if method.name != HEAD]
    found = []
    for method in adapted or neural:
        gain = analysis.gain(method.name, BASELINE)
        if gain is None:
            continue
        found.append(
            {
                "name": "beats_baseline",
                "passed": _is_better(analysis, method.name, BASELINE),
                "saw": f"{bracketed(gain.interval, signed=True)} {_key(analysis)}, {method.title} over "
                f"{_title(analysis, BASELINE)}",
                "limit": f"an interval above 0, and p ≤ {1 - analysis.confidence:.2g} after Holm's correction",
                "why": "What counts of short words tell as well needs no language model: train longer, with other "
                "settings, or start from a larger model.",
                "subject": f"classify: {method.name}",
            }
        )
    return found


def _key(analysis: Analysis) -> str:
    """The measure that decides, and where."""
    level = f" of {analysis.main_level}" if len(analysis.data.levels) > 1 else ""
    return f"{TITLES[analysis.key]}{level}"


def _title(analysis: Analysis, name: str) -> str:
    method = analysis.data.method(name)
    return name if method is None else method.title


def _direction(analysis: Analysis, name: str, reference: str) -> int:
    """1 where a method is shown to be better than the reference, −1 where worse, else 0."""
    gain = analysis.gain(name, reference)
    if gain is None or not gain.is_shown(analysis.confidence):
        return 0
    return -gain.interval.sign if analysis.key in LOWER_IS_BETTER else gain.interval.sign


def _is_better(analysis: Analysis, name: str, reference: str) -> bool:
    return _direction(analysis, name, reference) > 0


def _difference(analysis: Analysis, name: str, reference: str) -> str:
    gain = analysis.gain(name, reference)
    return "no difference defined" if gain is None else bracketed(gain.interval, signed=True)


def _headline(analysis: Analysis) -> tuple[str, str]:
    others = [method for method in analysis.ranked() if method.name != BASELINE]
    if analysis.data.method(BASELINE) is None or not others:
        method = analysis.ranked()[0]
        return "unpaired", f"{method.title}: {_key(analysis)} {bracketed(analysis.score(method.name))}."
    best, baseline = others[0], _title(analysis, BASELINE)
    if analysis.gain(best.name, BASELINE) is None or np.isnan(analysis.score(best.name).estimate):
        return "none", f"{_key(analysis)} is not defined on this test set: no method is shown to beat {baseline}."
    told = f"{_difference(analysis, best.name, BASELINE)} {_key(analysis)}"
    winners = [method for method in others if _is_better(analysis, method.name, BASELINE)]
    if winners:
        first = winners[0]
        told = f"{_difference(analysis, first.name, BASELINE)} {_key(analysis)}"
        more = f"; so {_do(len(winners) - 1)} {plural(len(winners) - 1, 'other method')}" if len(winners) > 1 else ""
        return "better", f"{first.title} beats {baseline}: {told}{more}."
    if _direction(analysis, best.name, BASELINE) < 0:
        return "worse", f"Every method is worse than {baseline}; the best of them, {best.title}, by {told}."
    return "none", f"No method beats {baseline}; the best of the others, {best.title}, differs by {told}."


def _do(amount: int) -> str:
    return "does" if amount == 1 else "do"


def _findings(analysis: Analysis) -> Iterator[str]:
    """What else the intervals allow to be said."""
    data = analysis.data
    best = analysis.ranked()[0]
    yield (
        f"Best on the test set: {best.title}, {_key(analysis)} {bracketed(analysis.score(best.name))}"
        + ("" if best.name == BASELINE else f"; {_baseline_score(analysis)}")
        + "."
    )
    trained = [m for m in data.methods if m.family == NEURAL and m.name != HEAD]
    if data.method(HEAD) is not None and trained:
        words = {
            1: "is better than",
            -1: "is worse than",
            0: "could not be shown, corrected for all comparisons, to differ from",
        }
        for method in trained:
            direction = _direction(analysis, method.name, HEAD)
            yield (
                f"{method.title} {words[direction]} {_title(analysis, HEAD)}: "
                f"{_difference(analysis, method.name, HEAD)} {_key(analysis)}."
            )


def _baseline_score(analysis: Analysis) -> str:
    return f"{_title(analysis, BASELINE)} has {bracketed(analysis.score(BASELINE))}"


def _cautions(analysis: Analysis) -> Iterator[str]:
    """What a reader must know before quoting a number."""
    data = analysis.data
    if analysis.leaked:
        sequences = len(np.unique(data.ids))
        yield (
            f"{plural(analysis.leaked, 'test sequence')} ({percent(analysis.leaked / sequences)}) also stand in "
            "training, as they are or as reverse complements: the section on leaks gives the scores without them."
        )
    for level in data.levels:
        unseen, missing = data.unseen(level), int((~data.used(level)).sum())
        if unseen:
            yield (
                f"{plural(unseen, f'test {data.row_noun}')} of {level} have a label that training lacks; they count "
                "as wrong."
            )
        if missing:
            yield f"{plural(missing, f'test {data.row_noun}')} without {level} left out there."
    units = analysis.units(analysis.main_level)
    if units < _FEW_UNITS:
        yield f"Only {plural(units, f'test {data.unit_noun}')}: intervals are wide, and may be too narrow still."
    if not data.is_regression:
        level = analysis.main_level
        support = np.bincount(data.true[level][data.used(level)], minlength=len(data.classes[level]))
        rare = int(((support > 0) & (support < _FEW_ROWS)).sum())
        absent = int((support == 0).sum())
        if rare or absent:
            yield (
                f"Of {len(support):,} classes of {level}, {rare:,} have fewer than {_FEW_ROWS} test "
                f"{data.row_noun}s and {absent:,} have none: averages over classes rest on little there."
            )
    undefined = [m.title for m in data.methods if np.isnan(analysis.score(m.name).estimate)]
    if undefined:
        yield f"Without a score ({number(float('nan'))}), {_key(analysis)} being undefined: {', '.join(undefined)}."
    yield from map(str, data.about.get("notes", []))
