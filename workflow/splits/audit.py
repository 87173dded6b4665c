"""The leakage audit of a split, what it leaves out of val and test, and the audit of a random split beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workflow.genome.parallel import in_order
from workflow.genome.regions import cut_out, tile, total_bases
from workflow.splits.assignment import SPLITS
from workflow.splits.hashing import K
from workflow.splits.kmers import KmerFile
from workflow.splits.leakage import COPY, MAX_WINDOWS, audit_windows, random_split, resemblance, summarise

#: Windows of val and test of the random split that are audited, at most.
_NAIVE_WINDOWS = 20_000


@dataclass(frozen=True)
class Audit:
    """What is known of the leakage of a split.

    Attributes
    ----------
    windows : DataFrame
        One row a tiling window of val and test as they were divided: sequence_id, seqid, start, end, split, the
        columns of `audit_windows`, excluded.
    naive : DataFrame
        split, in_train, containment: the same of windows divided at random.
    regions : DataFrame
        Regions without the excluded windows.
    excluded_bases : int
    summary : dict
        What `leakage.json` holds.
    """

    windows: pd.DataFrame
    naive: pd.DataFrame
    regions: pd.DataFrame
    excluded_bases: int
    summary: dict[str, Any]

    def share_with_copies(self) -> dict[str, float]:
        """Share of the windows of val and of test, as they were divided, that have a copy in train.

        A copy shares at least half of the window's k-mers, whatever is left out: two windows that differ in
        2.2 % of their bases do.
        """
        is_copy = resemblance(self.windows) >= COPY
        return {name: float(is_copy[self.windows["split"] == name].mean()) for name in ("val", "test")}


def audit_split(
    kmers: KmerFile,
    regions: pd.DataFrame,
    contigs: pd.DataFrame,
    *,
    length: int,
    min_length: int,
    max_containment: float,
    fractions: dict[str, float],
    seed: int,
) -> Audit:
    """Compare every window of val and test with train, leave out those with a copy there, and audit a random split.

    Parameters
    ----------
    kmers : KmerFile
    regions : DataFrame
        seqid, start, end, split, group; disjoint, sorted.
    contigs : DataFrame
        What was divided; the random split divides the same.
    length, min_length : int
        Bases of a window.
    max_containment : float
        A window of which a larger part lies in one stretch of train is left out.
    fractions : dict
        Of the random split.
    seed : int
    """
    windows = _windows(regions[regions["split"] != "train"], length, min_length)
    train = regions[regions["split"] == "train"]
    both: tuple[Callable[[], pd.DataFrame], ...] = (
        lambda: audit_windows(kmers, windows, train, length),
        lambda: _audit_of_random_split(kmers, contigs, len(windows), length, min_length, fractions, seed),
    )
    audit, naive = in_order(lambda one: one(), both)
    windows = windows.join(audit)
    windows["excluded"] = resemblance(windows) > max_containment
    leaking = windows[windows["excluded"]]
    left = cut_out(regions, *(leaking[name].to_numpy() for name in ("seqid", "start", "end")))
    short = left["end"] - left["start"] < min_length
    left = left[~short].reset_index(drop=True)
    summary = {
        "k": K,
        "scaled": kmers.scaled,
        "window": length,
        "threshold": max_containment,
        **{name: summarise(windows[windows["split"] == name]) for name in ("val", "test")},
        "naive": summarise(naive),
        "excluded": {
            name: {"windows": len(of_split), "bases": total_bases(of_split)}
            for name, of_split in ((name, leaking[leaking["split"] == name]) for name in ("val", "test"))
        },
    }
    return Audit(windows, naive, left, total_bases(regions) - total_bases(left), summary)


def _windows(regions: pd.DataFrame, length: int, min_length: int) -> pd.DataFrame:
    windows = _tiled(regions[["seqid", "start", "end", "split"]], length, min_length)
    names = [f"{seqid}:{first}-{last}(+)" for seqid, first, last, _ in windows.itertuples(index=False)]
    return windows.assign(sequence_id=names)[["sequence_id", "seqid", "start", "end", "split"]]


def _audit_of_random_split(
    kmers: KmerFile,
    contigs: pd.DataFrame,
    held_windows: int,
    length: int,
    min_length: int,
    fractions: dict[str, float],
    seed: int,
) -> pd.DataFrame:
    """Audit as many windows as the true split has, or a sample with a limit for dispersed repeats in proportion."""
    windows = _tiled(contigs[["seqid", "start", "end"]], length, min_length)
    audited = min(held_windows, _NAIVE_WINDOWS)
    split = random_split(windows, {name: fractions[name] for name in SPLITS}, audited, seed)
    held = windows[split.isin(["val", "test"])].reset_index(drop=True)
    most = max(MAX_WINDOWS * audited // max(held_windows, 1), 2)
    audit = audit_windows(kmers, held, _joined(windows[split == "train"]), length, most)
    return audit[["in_train", "containment"]].assign(split=split[split.isin(["val", "test"])].to_numpy())


def _joined(windows: pd.DataFrame) -> pd.DataFrame:
    """Windows that touch, as one."""
    before = windows.shift()
    run = ((windows["seqid"] != before["seqid"]) | (windows["start"] != before["end"])).cumsum()
    return windows.groupby(run).agg(seqid=("seqid", "first"), start=("start", "first"), end=("end", "last"))


def _tiled(regions: pd.DataFrame, length: int, min_length: int) -> pd.DataFrame:
    """Consecutive windows of regions, with their other columns; none of less than `min_length` bases."""
    first, last = (regions[name].to_numpy(np.int64) for name in ("start", "end"))
    region, start, end = tile(first, last, length, length)
    long_enough = end - start >= min_length
    windows: pd.DataFrame = regions.iloc[region[long_enough]].reset_index(drop=True)
    return windows.assign(start=start[long_enough], end=end[long_enough])
