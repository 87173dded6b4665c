"""What a study allows to be claimed, in words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from evaluation.page.text import bracketed, number, plural
from evaluation.per_base.verdict import Verdict
from evaluation.search.noise import Noise
from evaluation.search.progress import LATE, late_gain, pareto_front
from evaluation.search.reading import Study
from evaluation.search.space import Objective
from evaluation.statistics.bootstrap import Interval

#: Trainings below which the spread between seeds is hardly known.
_FEW_REPEATS = 5
#: Reasons that are told, the most frequent first.
_MOST_REASONS = 4
_LONGEST_REASON = 160


def judge(study: Study, found: list[Noise | None], confidence: float) -> Verdict:
    """Put a study in words, claiming nothing that the repeated seeds do not support.

    Parameters
    ----------
    study : Study
    found : list of Noise or None
        Of each objective.
    confidence : float
        Coverage of the intervals.
    """
    best = study.best(0)
    if best is None:
        headline = f"No trial came to its end: there is no best configuration ({_counts(study)})."
        return Verdict("none", headline, [*_failures(study), *_search(study, None)])
    claims = [
        _claim(study, place, found[place] if study.best(place) == best else None)
        for place in range(len(study.objectives))
    ]
    headline = f"{claims[0]}."
    if len(claims) > 1:
        complete, front = int(study.in_state("complete").sum()), int(pareto_front(study).sum())
        headline = f"{plural(front, 'trial')} of {complete:,} complete ones form the Pareto front. {headline}"
    notes = [
        *(f"{claim}." for claim in claims[1:]),
        f"{_counts(study)}.",
        *_failures(study),
        *_luck(study, found[0], confidence),
        *_borders(study, best),
        *_search(study, found[0]),
        "The settings were chosen by these very values: what the chosen configuration is worth on held-out data is "
        "said by the report of a run with it on the test split.",
    ]
    return Verdict(_outcome(study, best, found[0]), headline, notes)


def _outcome(study: Study, best: int, of_first: Noise | None) -> str:
    if of_first is None or best == study.default:
        return "none"
    return {1: "better", -1: "worse", 0: "none"}[of_first.gain.sign]


def _claim(study: Study, place: int, noise: Noise | None) -> str:
    """What the best trial reached in one objective, against the default configuration."""
    objective, best = study.objectives[place], study.best(place)
    assert best is not None
    trial, value = study.numbers[best], float(study.values[best, place])
    reached = (
        f"{objective.best} {objective.phrase}: {objective.with_unit(value)} in trial {trial}"
        if noise is None
        else f"{objective.best} {objective.phrase}: trial {trial}, whose configuration reaches "
        f"{_with_unit(noise.mean, objective)} (mean of {plural(len(noise.values), 'seed')})"
    )
    reached = reached[0].upper() + reached[1:]
    if best == study.default:
        return f"{reached}, which is the default configuration: no trial did better"
    if study.default is None:
        return f"{reached}; the default configuration did not run to its end, so that there is nothing to compare with"
    default = float(study.values[study.default, place])
    against = f"the default configuration ({objective.told(default)}, trial {study.numbers[study.default]})"
    if noise is None:
        gain = objective.sign * (default - value)
        if gain == 0:
            return f"{reached}, as {against}"
        return (
            f"{reached}, {objective.told(gain)} better than {against}; it ran with one seed, so that the difference "
            "cannot be told from luck"
        )
    return f"{reached}; {_gain(noise.gain, against)}"


def _gain(gain: Interval, against: str) -> str:
    if gain.sign > 0:
        return f"{bracketed(gain)} better than {against}, which is more than the noise of seeds"
    if gain.sign < 0:
        turned = Interval(-gain.estimate, -gain.high, -gain.low)
        return f"{bracketed(turned)} worse than {against}: trained again, the best of the search is no better"
    if not gain.defined:
        return f"{number(gain.estimate, signed=True)} against {against}, which one seed cannot tell from luck"
    return f"its difference from {against} cannot be told from the noise of seeds: {bracketed(gain, signed=True)}"


def _with_unit(interval: Interval, objective: Objective) -> str:
    return f"{bracketed(interval)} {objective.unit}".rstrip()


def _counts(study: Study) -> str:
    """How many trials there are, and how they ended."""
    states = Counter(study.trials["state"])
    told = ", ".join(f"{states[state]:,} {state}" for state in dict.fromkeys(study.trials["state"].sort_values()))
    return f"{plural(len(study.trials), 'trial')}{f': {told}' if told else ''}"


def _failures(study: Study) -> list[str]:
    """Why trials failed: the reasons, which are alike but for their numbers, with one of each in full."""
    reasons = [str(reason) or "no reason given" for reason in study.trials.loc[study.in_state("failed"), "reason"]]
    if not reasons:
        return []
    kinds = Counter(map(_kind, reasons))
    first = {_kind(reason): reason for reason in reversed(reasons)}
    told = [
        f"{times:,} × {_shortened(first[kind])}{', for instance' if times > 1 and re.search('[0-9]', kind) else ''}"
        for kind, times in kinds.most_common(_MOST_REASONS)
    ]
    rest = sum(kinds.values()) - sum(times for _, times in kinds.most_common(_MOST_REASONS))
    told += [f"{rest:,} × other reasons"] if rest else []
    return [f"Failed trials, which count for nothing in the search: {'; '.join(told)}."]


def _kind(reason: str) -> str:
    """A reason without its numbers."""
    return re.sub(r"\d[\d,.]*(e[+-]?\d+)?", "0", reason)


def _shortened(reason: str) -> str:
    text = " ".join(reason.split()).rstrip(".")
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def _luck(study: Study, noise: Noise | None, confidence: float) -> list[str]:
    """What the best value owes to having been chosen, and which trials are as good."""
    objective, best = study.objectives[0], study.best(0)
    assert best is not None
    tried = int(np.isfinite(study.values[:, 0]).sum())
    if noise is None:
        why = "no repeat of it ended with a value" if study.repeats else "it was not trained again with other seeds"
        told = f"The best of {tried:,} values owes part of it to luck. How much is not known: {why} (sweep.repeats)."
        return [told] if tried > 1 else []
    found = float(study.values[best, 0])
    optimism = objective.sign * (noise.mean.estimate - found)
    notes = []
    if optimism > 0:
        notes.append(
            f"Trial {study.numbers[best]} itself had {objective.told(found)}, {objective.told(optimism)} better than "
            f"the mean of its repeats: the best of {plural(tried, 'value')} is partly luck. Quote the mean."
        )
    if len(noise.values) < 2:
        return [*notes, "There is one repeat: the noise of seeds is not known."]
    few = f" From {plural(len(noise.values), 'seed')} this is rough." if len(noise.values) < _FEW_REPEATS else ""
    notes.append(
        f"Seeds alone spread {objective.phrase} by {objective.told(noise.spread)} (standard deviation of "
        f"{len(noise.values)} repeats).{few} Brackets are {100 * confidence:g} % intervals; that of a difference "
        "counts the one seed of the default configuration as well."
    )
    if noise.spread == 0:
        notes.append("All repeats gave the same value: the seed changes nothing, and the interval says nothing.")
    elif noise.alike:
        notes.append(
            f"{plural(noise.alike, 'other trial')} of {tried - 1:,} lie within this noise: their settings cannot be "
            "told from the best."
        )
    if noise.failed:
        notes.append(f"{noise.failed:,} of {plural(len(study.repeats), 'repeat')} did not end with a value.")
    return notes


def _borders(study: Study, best: int) -> list[str]:
    """At which borders of the space the best lies."""
    found = [(setting, border) for setting in study.settings if (border := setting.border(best))]
    if not found:
        return []
    told = "; ".join(
        f"{setting.key} = {setting.words[best]}, the {border} border of {setting.searched}" for setting, border in found
    )
    return [
        f"Trial {study.numbers[best]} lies at a border of the space: {told}. Better values may lie beyond: widen the "
        "space there if the setting allows."
    ]


def _search(study: Study, noise: Noise | None) -> list[str]:
    """Whether the search still improved when it ended."""
    objective, gain = study.objectives[0], late_gain(study, 0)
    unfinished = int(sum(study.in_state(state).sum() for state in ("running", "waiting")))
    notes = [f"{plural(unfinished, 'trial')} had not ended when this page was written."] if unfinished else []
    part = f"the last {round(100 * LATE)} % of the complete trials"
    if gain > 0:
        within = " That is less than the spread of seeds." if noise is not None and gain < noise.spread else ""
        notes.append(
            f"The search still improved: {part} {'lowered' if objective.sign > 0 else 'raised'} the best by "
            f"{objective.told(gain)}, which a search that learns nothing does in 1 of {round(1 / LATE)} cases."
            f"{within or ' More trials may find better.'}"
        )
    elif gain == 0:
        notes.append(f"The search had stopped improving: {part} found nothing better.")
    return notes
