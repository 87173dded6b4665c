"""Models against each other and against guessing: means, paired differences, and the verdict they allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.page.text import bracketed, number, plural
from evaluation.per_base.scores import UNIFORM_NLL, WindowScores
from evaluation.statistics.bootstrap import Interval, interval, paired_effect_size, resampled_means

#: Differences shown, as (model, reference); those of models that a run lacks are left out.
PAIRS = (("adapted", "base"), ("adapted", "markov"), ("base", "markov"))
_FEW_WINDOWS = 20


@dataclass(frozen=True)
class Difference:
    """How much more a model explains than a reference: NLL of the reference − NLL of the model.

    Attributes
    ----------
    model, reference : str
    gain : Interval
        Nats per base; positive when the model is better.
    effect_size : float
        Paired Cohen's d over windows, each window counting once.
    share_better : float
        Share of the windows in which the model is better.
    """

    model: str
    reference: str
    gain: Interval
    effect_size: float
    share_better: float


@dataclass(frozen=True)
class Comparison:
    """Everything that the verdict stands on.

    Attributes
    ----------
    nll : dict
        Interval of the NLL in nats per base, by model.
    accuracy : dict
        Share of bases for which the most probable base is the observed one, by model.
    differences : list of Difference
    windows, bases : int
    """

    nll: dict[str, Interval]
    accuracy: dict[str, float]
    differences: list[Difference]
    windows: int
    bases: int

    def difference(self, model: str, reference: str) -> Difference | None:
        """The difference of that pair, when the run has both models."""
        found = [d for d in self.differences if (d.model, d.reference) == (model, reference)]
        return found[0] if found else None

    def models_table(self) -> pd.DataFrame:
        """One row a model, a uniform guess first: NLL with interval (nats/base), bits/base, perplexity, accuracy."""
        rows = [("uniform", Interval(UNIFORM_NLL, UNIFORM_NLL, UNIFORM_NLL), 0.25)]
        rows += [(model, nll, self.accuracy[model]) for model, nll in self.nll.items()]
        return pd.DataFrame(
            {
                "model": model,
                "nll": nll.estimate,
                "nll_low": nll.low,
                "nll_high": nll.high,
                "bits": nll.estimate / np.log(2),
                "perplexity": float(np.exp(nll.estimate)),
                "accuracy": accuracy,
            }
            for model, nll, accuracy in rows
        )

    def differences_table(self) -> pd.DataFrame:
        """One row a pair: gain with interval (nats/base), effect size, share of windows in which it is better."""
        return pd.DataFrame(
            {
                "model": d.model,
                "reference": d.reference,
                "gain": d.gain.estimate,
                "gain_low": d.gain.low,
                "gain_high": d.gain.high,
                "cohens_d": d.effect_size,
                "share_better": d.share_better,
            }
            for d in self.differences
        )


def compare(scores: WindowScores, samples: int, confidence: float, seed: int) -> Comparison:
    """Means over all bases, with intervals from resampled windows; all models share the resamplings."""
    sums, weights = scores.nll_sums(), scores.table["bases"].to_numpy(float)
    draws = resampled_means(sums, weights, samples, seed)
    means = sums.sum(axis=0) / weights.sum()
    column = {model: place for place, model in enumerate(scores.models)}
    windows = len(scores.table)
    nll = {model: interval(float(means[c]), draws[:, c], windows, confidence) for model, c in column.items()}
    accuracy = {model: float(scores.table[f"correct_{model}"].sum() / weights.sum()) for model in column}
    differences = []
    for model, reference in PAIRS:
        if model in column and reference in column:
            c, r = column[model], column[reference]
            gains = scores.gain(model, reference)
            gain = interval(float(means[r] - means[c]), draws[:, r] - draws[:, c], windows, confidence)
            share = float((gains > 0).mean())
            differences.append(Difference(model, reference, gain, paired_effect_size(gains), share))
    return Comparison(nll, accuracy, differences, windows, scores.bases)


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


def judge(comparison: Comparison, genome: str, split: str, order: int, confidence: float) -> Verdict:
    """Put the comparison in words, claiming nothing that an interval does not support.

    Parameters
    ----------
    genome : str
        Name of the genome.
    split : str
        The split that was scored; anything but `test` is not called held-out.
    order : int
        Order of the Markov baseline.
    confidence : float
        Coverage of the intervals.
    """
    held_out = "held-out " if split == "test" else ""
    where = (
        f"{plural(comparison.windows, f'{held_out}window')} ({plural(comparison.bases, 'base')}) "
        f"of the {split} split of {genome}"
    )
    baseline = f"the order-{order} Markov model fitted on the train split"
    main = comparison.difference("adapted", "base")
    if main is None:
        model = "base" if "base" in comparison.nll else "adapted"
        name = {"base": "base model, without adaptation,", "adapted": "model, trained from scratch,"}[model]
        headline = (
            f"The {name} has an NLL of {bracketed(comparison.nll[model])} nats per base on {where}; "
            f"{_against(comparison, model, baseline)}."
        )
        outcome = "unpaired"
    else:
        outcome = {1: "better", -1: "worse", 0: "none"}[main.gain.sign]
        headline = f"{_claim(main.gain, where)}; {_against(comparison, 'adapted', baseline)}."
    return Verdict(outcome, headline, _notes(comparison, split, confidence))


def _claim(gain: Interval, where: str) -> str:
    if gain.sign > 0:
        return f"The adapted model explains {bracketed(gain)} nats per base more than the base model on {where}"
    if gain.sign < 0:
        loss = Interval(-gain.estimate, -gain.high, -gain.low)
        return (
            f"The adapted model is worse than the base model: it explains {bracketed(loss)} nats per base less on "
            f"{where}"
        )
    if gain.defined and gain.low == gain.high == 0:
        return f"The adapted and the base model give the same likelihoods on {where}: the adaptation changed nothing"
    return (
        f"No difference could be shown between the adapted and the base model on {where}: "
        f"{bracketed(gain, signed=True)} nats per base"
    )


def _against(comparison: Comparison, model: str, baseline: str) -> str:
    difference = comparison.difference(model, "markov")
    assert difference is not None
    gain = bracketed(difference.gain, signed=True)
    if difference.gain.sign > 0:
        return f"it beats {baseline} ({gain} nats per base)"
    if difference.gain.sign < 0:
        return f"it does not beat {baseline}, which is better ({gain} nats per base)"
    return f"it could not be shown to beat {baseline} ({gain} nats per base)"


def _notes(comparison: Comparison, split: str, confidence: float) -> list[str]:
    notes = [f"Brackets are {100 * confidence:g} % bootstrap intervals over windows; positive means more is explained."]
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
    elif comparison.windows < _FEW_WINDOWS:
        notes.append(f"There are only {plural(comparison.windows, 'window')}: the intervals are rough.")
    return notes
