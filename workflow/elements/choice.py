"""Which elements are scored: promoters of the annotation or places of a BED file, in one split, a sample of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.elements.intervals import Stretches
from workflow.genome.layout import Layout


@dataclass(frozen=True)
class Choice:
    """The elements that are scored.

    Attributes
    ----------
    table : DataFrame
        seqid, start, end (0-based half-open, forward strand), strand.
    left_out : dict
        Others by reason.
    """

    table: pd.DataFrame
    left_out: dict[str, int]


def promoters(sites: pd.DataFrame, upstream: int, downstream: int) -> pd.DataFrame:
    """Places around transcription starts, which may reach past the ends of their sequences.

    Parameters
    ----------
    sites : DataFrame
        kind, seqid, position (0-based, of the first transcribed base), strand; kinds other than `tss` are passed
        over.
    upstream, downstream : int
        Bases before the first transcribed base, and from it onwards.

    Returns
    -------
    DataFrame
        seqid, start, end, strand.
    """
    starts = sites[sites["kind"] == "tss"]
    position = starts["position"].to_numpy(np.int64)
    reverse = (starts["strand"] == "-").to_numpy(bool)
    return pd.DataFrame(
        {
            "seqid": starts["seqid"].to_numpy(),
            "start": np.where(reverse, position + 1 - downstream, position - upstream),
            "end": np.where(reverse, position + 1 + upstream, position + downstream),
            "strand": starts["strand"].to_numpy(),
        }
    )


def on_genome(places: pd.DataFrame, lengths: Mapping[str, int]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Places that lie on their sequences, each once, and how many were not: `past_sequence_end`, `repeated`."""
    length = places["seqid"].map(pd.Series(lengths)).to_numpy()
    inside = places[((places["start"] >= 0) & (places["end"] <= length)).to_numpy(bool)]
    unique = inside.drop_duplicates(ignore_index=True)
    return unique, {"past_sequence_end": len(places) - len(inside), "repeated": len(inside) - len(unique)}


def choose(places: pd.DataFrame, layout: Layout, regions: Stretches, maximum: int, seed: int) -> Choice:
    """Elements wholly within the regions; of too many, an evenly spaced sample that begins at a random one.

    Parameters
    ----------
    places : DataFrame
        seqid, start, end, strand, all on the genome.
    layout : Layout
    regions : Stretches
    maximum, seed : int
    """
    start, end = located(places, layout)
    inside = np.flatnonzero(regions.hold(start, end))
    inside = inside[np.argsort(start[inside], kind="stable")]
    taken = min(maximum, len(inside))
    offset = np.random.default_rng(seed).random()
    rows = inside[((np.arange(taken) + offset) * len(inside) / max(taken, 1)).astype(np.int64)]
    left_out = {"outside_split": len(places) - len(inside), "not_sampled": len(inside) - taken}
    return Choice(places.iloc[rows].reset_index(drop=True), left_out)


def located(places: pd.DataFrame, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of places in the coordinates of a layout, (n,) int64 each."""
    offset = layout.offsets[layout.numbers(places["seqid"])]
    return offset + places["start"].to_numpy(np.int64), offset + places["end"].to_numpy(np.int64)
