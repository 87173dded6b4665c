"""The verdict: what the comparison allows to be claimed, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.page.text import bracketed, number, plural
from evaluation.per_base.comparison import Comparison, Difference
from evaluation.per_base.scores import INSIDE, UNIFORM_NLL
from evaluation.statistics.bootstrap import Interval, fewest_rows

_FEW_BLOCKS = 20


@dataclass(frozen=True)
class Verdict:
    """What may be claimed.

    Attributes
    ----------
    outcome : str
        `better`, `worse`, `none` (no difference could be shown) or `unpaired` (there is one model).
    headline : str
    notes : list of str
        What a reader must know before quoting the headline.
    """

    outcome: str
    headline: str
    notes: list[str]


def judge(
    comparison: Comparison,
    genome: str,
    split: str,
    order: int,
    confidence: float,
    *,
    coding: Interval | None = None,
    held_out: str = "held-out windows",
    forgetting: Sequence[str] = (),
) -> Verdict:
    """Put the comparison in words, claiming nothing that an interval does not support.

    Parameters
    ----------
    comparison : Comparison
    genome : str
        Name of the genome.
    split : str
        The split that was scored; anything but `test` is not called held-out.
    order : int
        Order of the Markov baseline.
    confidence : float
        Coverage of the intervals.
    coding : Interval, optional
        Gain of the adapted over the base model in coding sequence.
    held_out : str
        What was kept from the training, such as `held-out homolog groups`.
    forgetting : sequence of str
        What the verdict says of other organisms, such as `forgetting on rice +0.4 % [+0.2, +0.6]`.
    """
    where = (
        f"{held_out if split == 'test' else 'windows'} of {genome} ({plural(comparison.windows, 'window')}, "
        f"{plural(comparison.bases, 'base')} of the {split} split)"
    )
    main = comparison.difference("adapted", "base")
    if main is None:
        model = "base" if "base" in comparison.nll else "adapted"
        name = {"base": "base model, without adaptation,", "adapted": "model, trained from scratch,"}[model]
        claims = [f"The {name} has an NLL of {bracketed(comparison.nll[model])} nats per base on {where}"]
        outcome = "unpaired"
    else:
        model = "adapted"
        claims = [_claim(main.gain, where), *_where_it_lies(comparison, main, coding)]
        outcome = {1: "better", -1: "worse", 0: "none"}[main.gain.sign]
    claims += _against_baselines(comparison, model, order)
    return Verdict(outcome, "; ".join([*claims, *forgetting]) + ".", _notes(comparison, split, confidence))


def _claim(gain: Interval, where: str) -> str:
    if gain.sign > 0:
        return f"The adapted model explains {bracketed(gain)} nats per base more than the base model on {where}"
    if gain.sign < 0:
        return (
            f"The adapted model is worse than the base model: it explains {bracketed(_turned(gain))} nats per base "
            f"less on {where}"
        )
    if gain.defined and gain.low == gain.high == 0:
        return f"The adapted and the base model give the same likelihoods on {where}: the adaptation changed nothing"
    return (
        f"No difference could be shown between the adapted and the base model on {where}: "
        f"{bracketed(gain, signed=True)} nats per base"
    )


def _turned(gain: Interval) -> Interval:
    return Interval(-gain.estimate, -gain.high, -gain.low)


def _where_it_lies(comparison: Comparison, main: Difference, coding: Interval | None) -> list[str]:
    """How much of the gain or loss is in repeats, and what there is in coding sequence."""
    claims = []
    if main.gain.sign and INSIDE in comparison.parts:
        repeats = comparison.parts[INSIDE]
        difference = repeats.difference("adapted", "base")
        assert difference is not None
        share = difference.share_of_gain
        if share.defined:
            claims.append(
                f"{number(100 * share.estimate, 0)} % [{number(100 * share.low, 0)}, {number(100 * share.high, 0)}] of "
                f"it in repeats, which are {number(100 * repeats.bases / comparison.bases, 0)} % of the bases"
            )
    if coding is not None:
        claims.append(_in_coding(coding))
    return claims


def _in_coding(gain: Interval) -> str:
    if gain.sign > 0:
        return f"a gain of {bracketed(gain)} in coding sequence"
    if gain.sign < 0:
        return f"a loss of {bracketed(_turned(gain))} in coding sequence"
    shown = f" ({bracketed(gain, signed=True)})" if gain.defined else ""
    return f"no gain could be shown in coding sequence{shown}"


def _against_baselines(comparison: Comparison, model: str, order: int) -> list[str]:
    names = {
        "markov": f"the order-{order} Markov model fitted on the train split",
        "copy": "copying from the train split",
    }
    found = {baseline: comparison.difference(model, baseline) for baseline in names}
    markov, copy = found["markov"], found["copy"]
    if markov is not None and copy is not None and copy.gain == markov.gain:
        # No window had anything to copy: that is no second victory.
        del found["copy"]
    return [_against(difference.gain, names[name]) for name, difference in found.items() if difference is not None]


def _against(gain: Interval, baseline: str) -> str:
    shown = bracketed(gain, signed=True)
    if gain.sign > 0:
        return f"it beats {baseline} ({shown} nats per base)"
    if gain.sign < 0:
        return f"it does not beat {baseline}, which is better ({shown} nats per base)"
    return f"it could not be shown to beat {baseline} ({shown} nats per base)"


def _notes(comparison: Comparison, split: str, confidence: float) -> list[str]:
    notes = [
        f"Brackets are {100 * confidence:g} % bootstrap intervals over {plural(comparison.blocks, 'block')} of "
        "neighbouring windows; positive means that more is explained."
    ]
    if split != "test":
        notes.append(f"These are windows of the {split} split, which training has used: this is no held-out result.")
    for model in ("base", "adapted"):
        nll = comparison.nll.get(model)
        if nll is not None and nll.estimate >= UNIFORM_NLL:
            notes.append(
                f"The {model} model is no better than a uniform guess (NLL {number(nll.estimate)} against ln 4 = "
                f"{number(UNIFORM_NLL)} nats per base): look for a fault before reading anything else."
            )
    if comparison.windows == 1:
        notes.append("There is only one window: nothing can be said about the uncertainty.")
    elif comparison.blocks < fewest_rows(confidence):
        notes.append(f"There are only {plural(comparison.blocks, 'block')} of windows: too few for an interval.")
    elif comparison.blocks < _FEW_BLOCKS:
        notes.append(f"There are only {plural(comparison.blocks, 'block')} of windows: the intervals are rough.")
    return notes
