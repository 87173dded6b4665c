"""Which documents become one token file, and how much of the training each file is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow.config import SPLITS
from workflow.dataset.documents import REGIONS, Documents, read_columns, table_of, values_of
from workflow.errors import InputError


@dataclass(frozen=True)
class PartName:
    """What tells one token file of a run from the others.

    Attributes
    ----------
    set, split : str
    copies : int, optional
        Number of copies of its windows, where the windows of the set have different weights.
    """

    set: str
    split: str
    copies: int | None = None

    def of_file(self, genome: str = "", between: str = "") -> str:
        """Name of a file: genome, set (not of regions), copies, what stands between, split."""
        of_set = "" if self.set == REGIONS else self.set
        copies = "" if self.copies is None else f"copies{self.copies}"
        return "_".join(filter(None, [genome, of_set, copies, between, self.split]))


def parts_of(name: str, documents: Documents, weighted: Collection[str]) -> Iterator[tuple[PartName, Documents]]:
    """Divide documents of a set by split and, where windows have different weights, by number of copies.

    A reader can weigh whole files only. So windows of c copies, each of weight 1/c, lie in a file of their
    own, which has the share of their weighted bases.

    Parameters
    ----------
    name : str
        Of the set.
    documents : Documents
        Some of it, in the order in which they are written.
    weighted : collection of str
        Splits in which the windows of the set have different weights.
    """
    splits, split_of = values_of(documents.table["split"])
    copies = documents.table["copies"].to_numpy()
    for split in SPLITS:
        rows = np.flatnonzero(split_of == splits.index(split)) if split in splits else np.empty(0, int)
        if split in weighted:
            for count in np.unique(copies[rows]).tolist():
                yield PartName(name, split, count), documents.take(rows[copies[rows] == count])
        elif len(rows):
            yield PartName(name, split), documents.take(rows)


@dataclass(frozen=True)
class Mixture:
    """Which sets are in which split.

    Attributes
    ----------
    there : dict
        By split, the sets that have something in it.
    weighted : dict
        By set, the splits in which its windows have different weights.
    """

    there: dict[str, list[str]]
    weighted: dict[str, list[str]]


def plan_mixture(prepared: Path, names: Iterable[str]) -> Mixture:
    """See what the sets of a mixture have, before anything is written.

    Parameters
    ----------
    prepared : Path
        Published folder of stage `prepare`.
    names : iterable of str
        Sets of the mixture.

    Raises
    ------
    InputError
        A set does not exist or has nothing in train; or no set has anything in val or test.
    """
    lightest = {name: _lightest(prepared, name) for name in names}
    for name, of_set in lightest.items():
        if "train" not in of_set:
            raise InputError(f"mixture.weights.{name}: nothing of this set is in train; see {table_of(prepared, name)}")
    there = {split: [name for name in lightest if split in lightest[name]] for split in SPLITS}
    for split in SPLITS:
        if not there[split]:
            raise InputError(
                f"nothing of {', '.join(lightest)} is in the {split} split: add a set to mixture.weights that has "
                "some, or divide the genome otherwise"
            )
    weighted = {name: [split for split in SPLITS if of_set.get(split, 1) < 1] for name, of_set in lightest.items()}
    return Mixture(there, weighted)


def _lightest(prepared: Path, name: str) -> dict[str, float]:
    """The smallest weight of a set's documents in each split that it has."""
    path = table_of(prepared, name)
    if name != REGIONS and not path.exists():
        made = [REGIONS, *sorted(table.stem for table in path.parent.glob("*.parquet"))]
        raise InputError(
            f"mixture.weights names {name}, prepare made {', '.join(made)} only: give it under windows.sets"
        )
    lightest: dict[str, float] = {}
    for table in read_columns(path, ("split",) if name == REGIONS else ("split", "weight")):
        splits, split_of = values_of(table["split"])
        weight = np.ones(len(table)) if name == REGIONS else table["weight"].to_numpy()
        for number, split in enumerate(splits):
            least = float(weight[split_of == number].min(initial=np.inf))
            if np.isfinite(least):
                lightest[split] = min(least, lightest.get(split, least))
    return lightest
