"""Where every base of the genome went."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workflow.genome.assignment import SPLITS
from workflow.genome.regions import total_bases


def account(
    total_bases_in: int, regions: pd.DataFrame, windows: pd.DataFrame, dropped: dict[str, int]
) -> dict[str, Any]:
    """The genome's bases by what became of them.

    Parameters
    ----------
    total_bases_in : int
        Bases of all input sequences.
    regions, windows : DataFrame
        start, end, split.
    dropped : dict
        Bases left out by reason, each counted where it happened.

    Returns
    -------
    dict
        `total_bases`; `kept` by split; `dropped` by reason; `windows` by split with the number of windows and
        the kept bases inside and outside of them.
    """
    kept = {split: total_bases(regions[regions["split"] == split]) for split in SPLITS}
    assert sum(kept.values()) + sum(dropped.values()) == total_bases_in, (kept, dropped, total_bases_in)
    in_windows = {}
    for split in SPLITS:
        of_split = windows[windows["split"] == split]
        inside = total_bases(of_split)
        in_windows[split] = {
            "windows": len(of_split),
            "bases_in": inside,
            "bases_outside": kept[split] - inside,
        }
    return {"total_bases": total_bases_in, "kept": kept, "dropped": dropped, "windows": in_windows}
