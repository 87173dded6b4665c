"""Two groups of variants that are not paired, such as those of exons and introns, as they are and matched by GC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from evaluation.artefacts.sequences import gc_shares, open_fasta
from evaluation.drawing.style import COLOURS, new_figure, plain
from evaluation.page.text import bracketed, number
from evaluation.statistics.unpaired import Unpaired, matched, unpaired

#: Rows further apart than this many bases count as independent.
INDEPENDENT = 1_000
_TINY_P = 1e-4


@dataclass(frozen=True)
class GroupComparison:
    """Two groups in several measures.

    Attributes
    ----------
    names : tuple of str
        Of the groups.
    whole, matched : dict
        `Unpaired` by measure: of all rows, and of as many of both groups as have the same GC.
    wrongly_paired : dict
        p value by measure of Wilcoxon's signed-rank test on row 1 against row 1, and so on: of no meaning, for
        comparison.
    reshuffled : dict
        Least and greatest of that p value over 200 orders of the same rows.
    gc : DataFrame
        Rows `all`, `matched`; a column a group: mean GC of the windows.
    """

    names: tuple[str, str]
    whole: dict[str, Unpaired]
    matched: dict[str, Unpaired]
    wrongly_paired: dict[str, float]
    reshuffled: dict[str, tuple[float, float]]
    gc: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """A row a measure: p values of both tests, effects with intervals, before and after matching."""
        rows = {
            measure: {
                f"median, {self.names[0]}": number(found.medians[0]),
                f"median, {self.names[1]}": number(found.medians[1]),
                "paired test (wrong)": _p_value(self.wrongly_paired[measure]),
                "… other orders of the rows": " to ".join(map(_p_value, self.reshuffled[measure])),
                "Mann–Whitney": _p_value(found.p_value),
                "effect": bracketed(found.effect, signed=True),
                "Mann–Whitney, GC-matched": _p_value(self.matched[measure].p_value),
                "effect, GC-matched": bracketed(self.matched[measure].effect, signed=True),
            }
            for measure, found in self.whole.items()
        }
        return pd.DataFrame(rows).T


def window_gc(table: pd.DataFrame, prepared: Path) -> np.ndarray:
    """GC of the window of each variant of the run's genome, (n,); table: seqid, window_start, window_end."""
    with open_fasta(prepared / "genome.fa") as genome:
        places = table[["seqid", "window_start", "window_end"]].itertuples(index=False)
        return gc_shares([str(genome[seqid][start:end]) for seqid, start, end in places])


def compare_groups(
    values: Mapping[str, np.ndarray],
    table: pd.DataFrame,
    first: Mapping[str, np.ndarray],
    gc: np.ndarray,
    tolerance: float,
    samples: int,
    confidence: float,
    seed: int,
) -> GroupComparison:
    """Compare two groups of variants, without pairs, and again with the same GC.

    Parameters
    ----------
    values : mapping
        (n,) by measure.
    table : DataFrame
        seqid and position: rows within `INDEPENDENT` bases are resampled together.
    first : mapping
        (n,) bool by name of the two groups; rows of neither are left out.
    gc : ndarray, (n,)
    tolerance : float
        Largest difference of GC within a matched pair.
    samples, confidence, seed : int, float, int
        Resamplings, level of the intervals, seed.
    """
    (one_name, one), (other_name, other) = first.items()
    stretches = (table["seqid"] + ":" + (table["position"] // INDEPENDENT).astype(str)).to_numpy(str)
    one_rows, other_rows = np.flatnonzero(one), np.flatnonzero(other)
    pairs = matched(gc[one_rows], gc[other_rows], tolerance, seed)
    parts = {"all": (one_rows, other_rows), "matched": (one_rows[pairs[0]], other_rows[pairs[1]])}
    found = {}
    for part, (left, right) in parts.items():
        rows = np.concatenate([left, right])
        chosen = {name: column[rows] for name, column in values.items()}
        is_first = np.arange(len(rows)) < len(left)
        found[part] = unpaired(chosen, is_first, samples, confidence, seed, stretches[rows])
    means = {part: [gc[left].mean(), gc[right].mean()] for part, (left, right) in parts.items()}
    generator = np.random.default_rng(seed)
    return GroupComparison(
        (one_name, other_name),
        found["all"],
        found["matched"],
        {name: _signed_rank(column[one_rows], column[other_rows]) for name, column in values.items()},
        {name: _reshuffled(column[one_rows], column[other_rows], generator) for name, column in values.items()},
        pd.DataFrame(means, index=[one_name, other_name]).T,
    )


def _signed_rank(one: np.ndarray, other: np.ndarray) -> float:
    """p of the paired test on rows of the same number; the longer group is cut."""
    size = min(len(one), len(other))
    return float(stats.wilcoxon(one[:size], other[:size]).pvalue)


def _reshuffled(one: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> tuple[float, float]:
    values = [_signed_rank(one, generator.permutation(other)) for _ in range(200)]
    return min(values), max(values)


def _p_value(value: float) -> str:
    return f"< {_TINY_P:.4f}" if value < _TINY_P else number(value, 4)


def effects_figure(comparison: GroupComparison) -> Figure:
    """The effect of each measure with its interval: of all rows, and of those matched by GC (open)."""
    measures = list(comparison.whole)
    figure = new_figure(0.75 + 0.32 * len(measures))
    axes = figure.subplots()
    looks = {"all variants": (comparison.whole, -0.13, COLOURS["base"]), "GC-matched": (comparison.matched, 0.13, "w")}
    for name, (found, shift, fill) in looks.items():
        for at, measure in enumerate(measures):
            effect = found[measure].effect
            axes.plot([effect.low, effect.high], [at + shift] * 2, color=COLOURS["base"], linewidth=1.2)
            axes.plot(
                effect.estimate,
                at + shift,
                "o",
                color=fill,
                markeredgecolor=COLOURS["base"],
                markersize=5,
                label=name if at == 0 else None,
                linestyle="none",
            )
    axes.axvline(0, color=COLOURS["uniform"], linewidth=0.8, linestyle=":", zorder=0)
    axes.set_yticks(range(len(measures)), [plain(measure) for measure in measures])
    axes.set(ylim=(len(measures) - 0.5, -0.5), xlim=(-1.03, 1.03))
    one, other = map(plain, comparison.names)
    axes.set_xlabel(f"rank-biserial correlation (right: larger in {one}; left: larger in {other})")
    figure.legend(loc="outside upper right", ncols=2)
    return figure
