"""What the stage `variants` published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow.artifacts import read_json, read_table

#: The name of a variant that the user's table gives no class.
NO_CLASS = "(no class)"


@dataclass(frozen=True)
class ScoredVariants:
    """Variants with the scores of the models.

    Attributes
    ----------
    table : DataFrame
        As `workflow.stages.variants` writes it.
    models : tuple of str
        Those with a column `delta_<model>`: ln P(alternative window) − ln P(reference window), nats.
    about : dict
        The settings of the stage.
    left_out : DataFrame
        reason, variants, line of the first.
    """

    table: pd.DataFrame
    models: tuple[str, ...]
    about: dict[str, Any]
    left_out: pd.DataFrame

    def deltas(self, model: str) -> np.ndarray:
        """(n,) Δ of a model in nats, NaN where it has none."""
        return self.table[f"delta_{model}"].to_numpy(float)

    @property
    def is_labelled(self) -> np.ndarray:
        """(n,) bool: the label is one of the two sides."""
        return self.table["positive"].notna().to_numpy(bool)

    @property
    def positive(self) -> np.ndarray:
        """(n,) bool: the label is on the positive side; of no meaning without a label."""
        return self.table["positive"].fillna(False).to_numpy(bool)

    @property
    def classes(self) -> np.ndarray:
        """(n,) of str: consequence class of each variant."""
        return self.table["consequence"].fillna(NO_CLASS).to_numpy(str)

    @property
    def class_names(self) -> list[str]:
        """The consequence classes, the largest first."""
        names, sizes = np.unique(self.classes, return_counts=True)
        return [str(name) for name in names[np.argsort(-sizes, kind="stable")]]

    @property
    def sites(self) -> np.ndarray:
        """(n,) int64: number of the position; variants of one position are not independent."""
        sites: np.ndarray = self.table.groupby(["seqid", "position"], sort=False).ngroup().to_numpy(np.int64)
        return sites

    def side(self, positive: bool) -> str:
        """What the user calls a side."""
        return " / ".join(map(str, self.about["positive" if positive else "negative"]))


def read(folder: Path) -> ScoredVariants:
    """Read the published folder of the stage. Raises InputError when a file is missing."""
    about = read_json(folder / "about.json")
    table = read_table(folder / "variants.parquet")
    return ScoredVariants(table, tuple(about["models"]), about, read_table(folder / "left_out.parquet"))
