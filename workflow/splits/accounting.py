"""Where every base of the genome went."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workflow.genome.regions import total_bases
from workflow.splits.assignment import SPLITS


def account(bases: int, regions: pd.DataFrame, dropped: dict[str, int]) -> dict[str, Any]:
    """The genome's bases by what became of them.

    Parameters
    ----------
    bases : int
        Of all input sequences.
    regions : DataFrame
        start, end, split.
    dropped : dict
        Bases left out by reason, each counted where it happened.

    Returns
    -------
    dict
        `total_bases`; `kept` by split; `dropped` by reason.
    """
    kept = {split: total_bases(regions[regions["split"] == split]) for split in SPLITS}
    if sum(kept.values()) + sum(dropped.values()) != bases:
        raise RuntimeError(f"bases are lost or counted twice, please report this: {kept}, {dropped}, {bases}")
    return {"total_bases": bases, "kept": kept, "dropped": dropped}
