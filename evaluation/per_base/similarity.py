"""Does what a model gains depend on how much of a window it has seen in train? If so, it memorises.

Windows are joined with the leakage audit of the preparation, which says how much of each window's k-mers lie in one
stretch of train (`containment`) and anywhere in train (`in_train`). A Markov model and copying from train, which can
only profit from what they have seen, stand beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numba
import numpy as np
import pandas as pd

from evaluation.page.text import bracketed
from evaluation.per_base.scores import WindowScores
from evaluation.statistics.bootstrap import Interval, fewest_rows, interval, resampled_totals
from evaluation.statistics.groups import FEW_SAMPLES, GROUPS, group_of, mean_intervals, ratio

#: Upper borders of the bins of containment; a bin holds its upper border, and the first is for exactly 0.
BIN_BORDERS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
#: In percent.
BIN_NAMES = ("0", *(f"{100 * low:g}–{100 * high:g}" for low, high in pairwise(BIN_BORDERS)))
MEASURES = ("containment", "in_train")


@dataclass(frozen=True)
class Similarity:
    """Scores against similarity to train.

    Attributes
    ----------
    bins : DataFrame
        One row for each bin of containment that holds a window, and model: bin (a name of `BIN_NAMES`), windows,
        bases, containment (mean of the windows), nll (nats per base) with `nll_low`, `nll_high`; gain over the
        reference with `gain_low`, `gain_high`.
    correlations : DataFrame
        One row for each measure (`MEASURES`) and quantity (`nll_<model>` or `gain`, nats per base of each window):
        Spearman's rank correlation over windows, `rho` with `rho_low`, `rho_high`. NaN where one does not vary.
    model, reference : str
        Whose gain over what `gain` is: the run's main pair.
    windows : int
        Windows of which the similarity is known.
    unmatched : int
        Scored windows of which it is not.
    excluded : int
        Windows of the same splits that the audit has left out as too similar to train; they are not scored.
    """

    bins: pd.DataFrame
    correlations: pd.DataFrame
    model: str
    reference: str
    windows: int
    unmatched: int
    excluded: int

    @property
    def any_similar(self) -> bool:
        """Whether any scored window shares a k-mer with train."""
        return bool((self.bins["containment"] > 0).any())

    def correlation(self, measure: str, quantity: str) -> Interval:
        """Spearman's correlation of one quantity."""
        table = self.correlations
        row = table[(table["measure"] == measure) & (table["quantity"] == quantity)]
        rho, low, high = row[["rho", "rho_low", "rho_high"]].to_numpy(float)[0]
        return Interval(rho, low, high)

    def finding(self, labels: Mapping[str, str]) -> str:
        """What the correlation of the gain with containment allows to say, in a sentence."""
        found = self.correlation("containment", "gain")
        gain = f"the gain of {labels[self.model]} over {labels[self.reference]}"
        said = f"Spearman's ρ {bracketed(found, signed=True)} over {self.windows:,} windows"
        if found.sign > 0:
            return f"{_capital(gain)} grows with similarity to train, as it does when a model memorises ({said})."
        if found.sign < 0:
            return f"{_capital(gain)} falls with similarity to train ({said}): no sign of memorising."
        return f"That {gain} grows with similarity to train could not be shown ({said})."


def analyse(scores: WindowScores, leakage: pd.DataFrame, samples: int, confidence: float, seed: int) -> Similarity:
    """Scores by similarity to train.

    Parameters
    ----------
    scores : WindowScores
    leakage : DataFrame
        sequence_id, split, containment, in_train, excluded; `prepare/leakage.parquet`.
    samples, confidence, seed : int, float, int
        Number of resamplings, coverage of the intervals, seed of the generator.
    """
    model, reference = scores.main_pair
    known = leakage.dropna(subset=list(MEASURES)).drop_duplicates("sequence_id").set_index("sequence_id")
    row = known.index.get_indexer(pd.Index(scores.table["sequence_id"]))
    matched = np.flatnonzero(row >= 0)
    audit = known.iloc[row[matched]]
    bases = scores.table["bases"].to_numpy(float)[matched]
    sums = scores.table[[f"nll_{name}" for name in scores.models]].to_numpy(float)[matched]
    gain = scores.gain(model, reference)[matched]
    resampling = _Resampling(group_of(scores.table["block"].to_numpy(np.int64)[matched]), samples, confidence, seed)
    per_window = {f"nll_{name}": sums[:, place] / bases for place, name in enumerate(scores.models)} | {"gain": gain}
    correlations = [
        (measure, quantity, resampling.spearman(audit[measure].to_numpy(float), values))
        for measure in MEASURES
        for quantity, values in per_window.items()
    ]
    gains = sums[:, [scores.models.index(reference)]] - sums
    held = leakage["split"].isin(audit["split"].unique())
    return Similarity(
        resampling.bins(audit["containment"].to_numpy(float), bases, sums, gains, scores.models),
        pd.DataFrame(
            [(*names, found.estimate, found.low, found.high) for *names, found in correlations],
            columns=["measure", "quantity", "rho", "rho_low", "rho_high"],
        ),
        model,
        reference,
        len(matched),
        len(scores.table) - len(matched),
        int((leakage["excluded"].astype(bool) & held).sum()),
    )


@dataclass(frozen=True)
class _Resampling:
    """How intervals are made; `group` is the resampling group of each window."""

    group: np.ndarray
    samples: int
    confidence: float
    seed: int

    @cached_property
    def _draws(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of each window's group among those that have any; how often each is drawn, once each coming first."""
        used, group = np.unique(self.group, return_inverse=True)
        counts = resampled_totals(np.eye(len(used)), min(self.samples, FEW_SAMPLES), self.seed)
        return group, np.concatenate([np.ones((1, len(used))), counts]).astype(np.int64)

    def spearman(self, x: np.ndarray, y: np.ndarray) -> Interval:
        """Rank correlation of two columns over windows, ranked anew in every resampling of groups."""
        if not len(x):
            return Interval(np.nan, np.nan, np.nan)
        tie_x, tie_y = (np.unique(values, return_inverse=True)[1] for values in (x, y))
        group, counts = self._draws
        # In the order of y, so that the ranks of y are met one after the other and not all over memory.
        order = np.argsort(tie_y, kind="stable")
        estimate, *draws = _spearman(tie_x[order], tie_y[order], group[order], counts).tolist()
        # With fewer groups chance alone gives all draws one sign, of which `finding` would make a claim.
        groups = counts.shape[1] if counts.shape[1] >= fewest_rows(self.confidence) else 1
        return interval(estimate, np.array(draws), groups, self.confidence)

    def bins(
        self, containment: np.ndarray, bases: np.ndarray, nll: np.ndarray, gain: np.ndarray, models: tuple[str, ...]
    ) -> pd.DataFrame:
        """The table `Similarity.bins` from sums (windows, models) of each window."""
        number = np.searchsorted(BIN_BORDERS, containment)
        shape = (GROUPS, len(BIN_NAMES), len(models))
        sums = {"nll": np.zeros(shape), "gain": np.zeros(shape)}
        weights = np.zeros(shape[:2])
        np.add.at(weights, (self.group, number), bases)
        columns: dict[str, np.ndarray] = {}
        for quantity, values in (("nll", nll), ("gain", gain)):
            np.add.at(sums[quantity], (self.group, number), values)
            low, mean, high = mean_intervals(
                sums[quantity], weights[..., None], self.samples, self.confidence, self.seed
            )
            columns |= {quantity: mean.ravel(), f"{quantity}_low": low.ravel(), f"{quantity}_high": high.ravel()}
        windows = np.bincount(number, minlength=len(BIN_NAMES))
        mean_containment = ratio(np.bincount(number, containment, len(BIN_NAMES)), windows)
        keys = pd.MultiIndex.from_product([BIN_NAMES, models], names=["bin", "model"]).to_frame(index=False)
        of_bin = {"windows": windows, "bases": weights.sum(axis=0), "containment": mean_containment}
        table = keys.assign(**{name: np.repeat(values, len(models)) for name, values in of_bin.items()}, **columns)
        return table[table["windows"] > 0].astype({"bases": np.int64}).reset_index(drop=True)


@numba.njit(nogil=True, cache=True)
def _spearman(tie_x: np.ndarray, tie_y: np.ndarray, group: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Correlation of the mid-ranks of rows that occur as often as each row of `counts` says of their group.

    Parameters
    ----------
    tie_x, tie_y, group : ndarray, (n,) int64
        Rank of each row's value among the different values; its group.
    counts : ndarray, (samples, groups) int64

    Returns
    -------
    ndarray, (samples,)
        NaN where a column is constant.
    """
    found = np.full(len(counts), np.nan)
    for sample in range(len(counts)):
        weight = counts[sample][group]
        middle = (weight.sum() + 1) / 2
        rank_x, rank_y = _mid_ranks(tie_x, weight), _mid_ranks(tie_y, weight)
        together = of_x = of_y = 0.0
        for row in range(len(group)):
            x, y = rank_x[tie_x[row]] - middle, rank_y[tie_y[row]] - middle
            together += weight[row] * x * y
            of_x += weight[row] * x * x
            of_y += weight[row] * y * y
        if of_x > 0 and of_y > 0:
            found[sample] = together / np.sqrt(of_x * of_y)
    return found


@numba.njit(nogil=True, cache=True)
def _mid_ranks(tie: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean rank, from 1, of each different value."""
    ranks = np.zeros(tie.max() + 1)
    for row in range(len(tie)):
        ranks[tie[row]] += weight[row]
    before = 0.0
    for value in range(len(ranks)):
        size = ranks[value]
        ranks[value] = before + (size + 1) / 2
        before += size
    return ranks


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
