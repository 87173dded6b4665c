"""Models of several runs ranked, and tested against each other in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from evaluation.page.text import bracketed, number, plural
from evaluation.per_base.scores import UNIFORM_NLL
from evaluation.per_base.shared import WindowSums
from evaluation.per_base.verdict import Verdict
from evaluation.statistics.blocks import BlockMeans, block_sums
from evaluation.statistics.bootstrap import Interval, resampled_totals
from evaluation.statistics.multiple import bootstrap_p_value, holm

UNIFORM = "uniform guess"
#: Parts of the bases, by the name that a column has.
PARTS = {"all": "all bases", "outside": "outside repeats", "inside": "in repeats"}
#: p-value below which a difference is claimed.
LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """How much more a model explains than another.

    Attributes
    ----------
    model, reference : str
        Labels; the model is the one with the lower NLL.
    gain : Interval
        NLL of the reference − NLL of the model over all bases, nats per base.
    effect_size : float
        Paired Cohen's d over blocks of windows.
    p_value, corrected : float
        Two-sided, from the bootstrap; and corrected for the number of pairs (Holm).
    """

    model: str
    reference: str
    gain: Interval
    effect_size: float
    p_value: float
    corrected: float

    @property
    def is_shown(self) -> bool:
        """Whether the difference stands after correction."""
        return self.corrected < LEVEL


@dataclass(frozen=True)
class Leaderboard:
    """What several models explain of the same bases.

    Attributes
    ----------
    models, baselines : list of str
        Labels, the lowest NLL first; the uniform guess is the last of the baselines.
    nll : dict of dict
        By part of the bases (`PARTS`) and label: interval of the NLL in nats per base.
    accuracy : dict
        By label: share of all bases for which the most probable one is right.
    gains : dict
        By label and reference: interval of the NLL of the reference − NLL of the model, over all bases.
    pairs : list of Pair
        Every two models.
    windows, bases, blocks : int
        Scored, and independent units.
    repeat_share : float
        Share of the bases that is soft-masked.
    """

    models: list[str]
    baselines: list[str]
    nll: dict[str, dict[str, Interval]]
    accuracy: dict[str, Interval]
    gains: dict[tuple[str, str], Interval]
    pairs: list[Pair]
    windows: int
    bases: int
    blocks: int
    repeat_share: float

    def table(self) -> pd.DataFrame:
        """One row a model or baseline: label, kind, for each part NLL and its ends (nats per base), accuracy."""
        rows = []
        for label in (*self.models, *self.baselines):
            row: dict[str, object] = {"label": label, "kind": "model" if label in self.models else "baseline"}
            for part, of_label in self.nll.items():
                row |= _columns(f"nll_{part}", of_label[label])
            rows.append(row | _columns("accuracy", self.accuracy[label]))
        return pd.DataFrame(rows)

    def pairs_table(self) -> pd.DataFrame:
        """One row a pair: model, reference, gain and its ends (nats per base), cohens_d, p_value, p_corrected."""
        return pd.DataFrame(
            [
                {"model": pair.model, "reference": pair.reference}
                | _columns("gain", pair.gain)
                | {"cohens_d": pair.effect_size, "p_value": pair.p_value, "p_corrected": pair.corrected}
                for pair in self.pairs
            ]
        )


def _columns(name: str, value: Interval) -> dict[str, object]:
    return {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}


def rank(
    sums: WindowSums,
    models: Sequence[str],
    starts: Mapping[str, str],
    blocks: np.ndarray,
    *,
    samples: int,
    confidence: float,
    seed: int,
) -> Leaderboard:
    """Rank models over all bases, with intervals from resampled blocks that all models share.

    Parameters
    ----------
    sums : WindowSums
        Of the models and the baselines.
    models : sequence of str
        Those that are ranked; the others are baselines.
    starts : mapping
        Label of the model from which an adapted one began, by its label.
    blocks : ndarray, (windows,) int64
        Resampling block of each window (`evaluation.statistics.blocks.blocks`).
    samples, confidence, seed : int, float, int
        Of the intervals.
    """
    nll = np.stack([*sums.nll.values(), UNIFORM_NLL * sums.bases], axis=-1)
    correct = np.stack([*sums.correct.values(), sums.bases / 4], axis=-1)
    labels = [*sums.nll, UNIFORM]
    tested = _Tested(_parts(nll, blocks), _parts(sums.bases, blocks), labels, samples, confidence, seed)
    right = _Tested(_parts(correct, blocks), _parts(sums.bases, blocks), labels, samples, confidence, seed)
    estimates = {label: tested.means(label) for label in labels}
    best_first = sorted(labels[:-1], key=lambda label: estimates[label][0].estimate)
    ranked = [label for label in best_first if label in models]
    baselines = [label for label in best_first if label not in models] + [UNIFORM]
    wanted = [(model, baseline) for model in ranked for baseline in baselines] + list(starts.items())
    return Leaderboard(
        ranked,
        baselines,
        {part: {label: estimates[label][place] for label in labels} for place, part in enumerate(PARTS)},
        {label: right.means(label)[0] for label in labels},
        {pair: tested.gain(*pair) for pair in wanted},
        tested.pairs(ranked),
        int((sums.bases[:, 0] > 0).sum()),
        int(sums.bases[:, 0].sum()),
        tested.blocks,
        float(sums.bases[:, 1].sum() / sums.bases[:, 0].sum()),
    )


class _Tested:
    """Means of every label over each part of the bases, and tests over all bases; all share the resampled blocks."""

    def __init__(
        self, sums: np.ndarray, bases: np.ndarray, labels: list[str], samples: int, confidence: float, seed: int
    ) -> None:
        self._column = {label: place for place, label in enumerate(labels)}
        self._means = BlockMeans(sums, bases, samples, confidence, seed)
        used = bases[:, 0] > 0
        totals = resampled_totals(np.column_stack([sums[used, 0], bases[used, 0]]), samples, seed)
        self._draws = totals[:, :-1] / totals[:, -1:]
        self.blocks = int(used.sum())

    def means(self, label: str) -> list[Interval]:
        """Of each part."""
        found = self._means.means(self._column[label])
        return [Interval(*map(float, ends)) for ends in zip(found.estimate, found.low, found.high, strict=True)]

    def gain(self, model: str, reference: str) -> Interval:
        found = self._means.differences(self._column[model], self._column[reference])
        return Interval(float(found.estimate[0]), float(found.low[0]), float(found.high[0]))

    def pairs(self, ranked: list[str]) -> list[Pair]:
        """Every two of the labels, the better one first."""
        columns = [(self._column[model], self._column[other]) for model, other in combinations(ranked, 2)]
        gains = [self.gain(*pair) for pair in combinations(ranked, 2)]
        # Too few blocks for an interval are too few for a test.
        p_values = [
            bootstrap_p_value(self._draws[:, r] - self._draws[:, m], self.blocks) if gain.defined else np.nan
            for (m, r), gain in zip(columns, gains, strict=True)
        ]
        sizes = [float(self._means.effect_sizes(m, r)[0]) for m, r in columns]
        tests = zip(combinations(ranked, 2), gains, sizes, p_values, holm(np.array(p_values)).tolist(), strict=True)
        return [Pair(*pair, gain, size, p, corrected) for pair, gain, size, p, corrected in tests]


def _parts(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Sums (blocks, parts, …) in the order of `PARTS` from those of the windows, (windows, strata, …)."""
    whole, repeat = values[:, 0], values[:, 1]
    parts = np.stack([whole, whole - repeat, repeat], axis=1)
    count = int(blocks.max()) + 1
    return block_sums(parts.reshape(len(parts), -1), blocks, count).reshape(count, *parts.shape[1:])


def judge(board: Leaderboard, genome: str, confidence: float) -> Verdict:
    """Put the ranking in words, claiming nothing that a corrected test does not support."""
    best, second = board.models[:2]
    where = f"{plural(board.windows, 'window')} ({plural(board.bases, 'base')}) of {genome}"
    ahead = board.pairs[0]
    tied = [pair.reference for pair in board.pairs if pair.model == best and not pair.is_shown]
    if ahead.is_shown:
        claim = f"{best} explains {bracketed(ahead.gain)} nats per base more than the next best, {second}"
    else:
        claim = (
            f"{best} has the lowest NLL, but no difference could be shown from "
            f"{plural(len(tied), 'other model')}, among them {second}"
        )
    notes = [
        f"{plural(len(board.models), 'model')} scored the same bases. Brackets are {100 * confidence:g} % bootstrap "
        f"intervals over {plural(board.blocks, 'block')} of windows.",
        f"A difference is claimed where p < {LEVEL:g} after Holm's correction for {plural(len(board.pairs), 'pair')}.",
    ]
    if not ahead.gain.defined:
        notes.append(f"With {plural(board.blocks, 'block')} nothing can be said about the uncertainty.")
    for baseline in board.baselines:
        behind = [model for model in board.models if board.gains[model, baseline].sign <= 0]
        if behind:
            notes.append(
                f"{plural(len(behind), 'model')} could not be shown to beat the {baseline}: {_listed(behind)}."
            )
    against = "; ".join(
        f"{bracketed(board.gains[best, baseline], signed=True)} over the {baseline}"
        for baseline in board.baselines[:-1]
    )
    beaten = all(board.gains[best, baseline].sign > 0 for baseline in board.baselines)
    outcome = "better" if ahead.is_shown and beaten else "none"
    unbeaten = "" if beaten else "; it could not be shown to beat every baseline"
    return Verdict(outcome, f"{claim}, on {where}{f' ({against})' if against else ''}{unbeaten}.", notes)


def _listed(names: list[str]) -> str:
    shown = "; ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {number(len(names) - 5, 0)} more"
