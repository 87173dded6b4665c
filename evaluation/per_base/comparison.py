"""Models against each other and against guessing: means, paired differences, over all bases and by repeats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.per_base.scores import ALL, REPEATS, UNIFORM_NLL, WindowScores
from evaluation.statistics.blocks import BlockMeans, Estimates, block_sums
from evaluation.statistics.bootstrap import Interval

#: Differences shown, as (model, reference); those of models that a run lacks are left out.
PAIRS = (("adapted", "base"), *((model, other) for other in ("markov", "copy") for model in ("adapted", "base")))


@dataclass(frozen=True)
class Difference:
    """How much more a model explains than a reference: NLL of the reference − NLL of the model.

    Attributes
    ----------
    model, reference : str
    gain : Interval
        Nats per base; positive when the model is better.
    effect_size : float
        Paired Cohen's d over blocks, weighted by their bases.
    share_of_gain : Interval
        What part of the gain over all bases lies in these; NaN where no gain or loss could be shown.
    """

    model: str
    reference: str
    gain: Interval
    effect_size: float
    share_of_gain: Interval


@dataclass(frozen=True)
class Part:
    """All models over the same bases.

    Attributes
    ----------
    bases : int
    nll : dict
        Interval of the NLL in nats per base, by model.
    accuracy : dict
        Interval of the share of bases for which the most probable base is the observed one, by model.
    differences : list of Difference
    """

    bases: int
    nll: dict[str, Interval]
    accuracy: dict[str, Interval]
    differences: list[Difference]

    def difference(self, model: str, reference: str) -> Difference | None:
        """The difference of that pair, when the run has both models."""
        found = [d for d in self.differences if (d.model, d.reference) == (model, reference)]
        return found[0] if found else None


@dataclass(frozen=True)
class Comparison:
    """Everything that the verdict stands on.

    Attributes
    ----------
    parts : dict
        By name (`evaluation.per_base.scores.REPEATS`): over all bases; outside repeats and in repeats where there are
        soft-masked bases.
    average : Part or None
        Models that were also read as the reverse complement, by the mean of both NLLs of each base; no accuracy.
    share_better : dict
        By pair (model, reference): share of the windows in which the model is better.
    windows, blocks : int
        Windows, and blocks that were resampled.
    """

    parts: dict[str, Part]
    average: Part | None
    share_better: dict[tuple[str, str], float]
    windows: int
    blocks: int

    @property
    def bases(self) -> int:
        """Scored bases."""
        return self.parts[ALL].bases

    @property
    def nll(self) -> dict[str, Interval]:
        """NLL over all bases, nats per base, by model."""
        return self.parts[ALL].nll

    @property
    def accuracy(self) -> dict[str, Interval]:
        """Accuracy over all bases, by model."""
        return self.parts[ALL].accuracy

    @property
    def differences(self) -> list[Difference]:
        """Differences over all bases."""
        return self.parts[ALL].differences

    def difference(self, model: str, reference: str) -> Difference | None:
        """The difference of that pair over all bases, when the run has both models."""
        return self.parts[ALL].difference(model, reference)

    def models_table(self) -> pd.DataFrame:
        """One row a model and part, a uniform guess first.

        Columns: model, repeats, bases; nll (nats/base) and accuracy, each with `_low` and `_high`; bits/base,
        perplexity.
        """
        rows = []
        for name, part in self.parts.items():
            uniform = Interval(UNIFORM_NLL, UNIFORM_NLL, UNIFORM_NLL), Interval(0.25, 0.25, 0.25)
            of_models = {model: (nll, part.accuracy[model]) for model, nll in part.nll.items()}
            rows += [(model, name, part.bases, *both) for model, both in {"uniform": uniform, **of_models}.items()]
        return pd.DataFrame(
            {
                "model": model,
                "repeats": name,
                "bases": bases,
                "nll": nll.estimate,
                "nll_low": nll.low,
                "nll_high": nll.high,
                "bits": nll.estimate / np.log(2),
                "perplexity": float(np.exp(nll.estimate)),
                "accuracy": accuracy.estimate,
                "accuracy_low": accuracy.low,
                "accuracy_high": accuracy.high,
            }
            for model, name, bases, nll, accuracy in rows
        )

    def differences_table(self) -> pd.DataFrame:
        """One row a pair and part.

        Columns: model, reference, repeats; gain (nats/base) with its ends, cohens_d, share_of_gain with its ends;
        share_better, of the windows with all their bases.
        """
        return pd.DataFrame(
            {
                "model": d.model,
                "reference": d.reference,
                "repeats": name,
                "gain": d.gain.estimate,
                "gain_low": d.gain.low,
                "gain_high": d.gain.high,
                "cohens_d": d.effect_size,
                "share_of_gain": d.share_of_gain.estimate,
                "share_of_gain_low": d.share_of_gain.low,
                "share_of_gain_high": d.share_of_gain.high,
                "share_better": self.share_better[d.model, d.reference] if name == ALL else float("nan"),
            }
            for name, part in self.parts.items()
            for d in part.differences
        )


def compare(scores: WindowScores, samples: int, confidence: float, seed: int) -> Comparison:
    """Means over bases, with intervals from resampled blocks; all models and parts share the resamplings."""
    bases, sums = scores.by_block(np.zeros(len(scores.table), np.int64), 1)
    means = BlockMeans(sums[:, 0], bases[:, 0], samples, confidence, seed)
    in_repeats = bool(scores.table["bases_repeat"].any())
    pairs = [pair for pair in PAIRS if set(pair) <= set(scores.models)]
    return Comparison(
        parts={
            name: _part(scores.models, pairs, means, place, int(bases[:, 0, place].sum()))
            for place, name in enumerate(REPEATS if in_repeats else (ALL,))
            if bases[:, 0, place].any()
        },
        average=_average(scores, pairs, samples, confidence, seed),
        share_better={pair: float((scores.gain(*pair) > 0).mean()) for pair in pairs},
        windows=len(scores.table),
        blocks=scores.table["block"].nunique(),
    )


def _average(
    scores: WindowScores, pairs: list[tuple[str, str]], samples: int, confidence: float, seed: int
) -> Part | None:
    models = scores.both_directions
    if not models:
        return None
    columns = [scores.table[name].to_numpy(float) for name in ("bases", *(f"nll_average_{model}" for model in models))]
    block = scores.table["block"].to_numpy(np.int64)
    sums = block_sums(np.column_stack(columns), block, int(block.max()) + 1)
    means = BlockMeans(sums[:, None, 1:], sums[:, :1], samples, confidence, seed)
    of_both = [pair for pair in pairs if set(pair) <= set(models)]
    return _part(models, of_both, means, 0, scores.bases)


def _part(models: tuple[str, ...], pairs: list[tuple[str, str]], means: BlockMeans, place: int, bases: int) -> Part:
    column = {model: number for number, model in enumerate(models)}
    return Part(
        bases,
        nll={model: _interval(means.means(column[model]), place) for model in models},
        accuracy={
            model: _interval(means.means(column[model] + len(models)), place)
            for model in models
            if column[model] + len(models) < means.quantities
        },
        differences=[
            Difference(
                model,
                reference,
                _interval(means.differences(column[model], column[reference]), place),
                float(means.effect_sizes(column[model], column[reference])[place]),
                _interval(means.shares(column[model], column[reference], whole=0), place),
            )
            for model, reference in pairs
        ],
    )


def _interval(estimates: Estimates, place: int) -> Interval:
    return Interval(*(float(values[place]) for values in (estimates.estimate, estimates.low, estimates.high)))
