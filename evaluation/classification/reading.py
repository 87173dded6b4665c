"""What the stage `classify` left of each method: its predictions of the test sequences, and how it was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow.artifacts import InputError, read_json, read_table

#: The baseline that every method has to beat, and what only trains a head.
BASELINE, HEAD, RANDOM = "kmer", "head", "random"
NEURAL = "neural"
REGRESSION, PER_BASE = "regression", "per_base"
#: Number of a label that is not known.
MISSING_LABEL = -1


@dataclass(frozen=True)
class Method:
    """Predictions of one method.

    Attributes
    ----------
    name, title, family : str
        `family` is `kmer`, `shallow` or `neural`.
    details : dict
        What `method.json` says.
    predicted, independent : dict
        By level, of each row: the number of the class, that of no class where there is none; or a number (float64,
        NaN where there is none). `independent` is what the level says by itself.
    probabilities : dict
        By level, (rows, classes that training has seen) float32 as a memory map; without levels that have none.
    history : DataFrame or None
        epoch, step, name, value.
    """

    name: str
    title: str
    family: str
    details: dict[str, Any]
    predicted: dict[str, np.ndarray]
    independent: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]
    history: pd.DataFrame | None

    def detail(self, key: str) -> Any:
        """What `method.json` has under a key; None where it has nothing."""
        return self.details.get(key)


@dataclass(frozen=True)
class Classified:
    """Everything that a comparison of methods reads.

    Attributes
    ----------
    folder : Path
    about : dict
        What `classify.json` says.
    levels : tuple of str
        Most general first; the columns of a regression.
    classes : dict
        By level: the classes that training has seen, then those of the test alone. Empty for a regression.
    trained : dict
        By level, how many classes training has seen.
    parents : list of ndarray
        Of each level but the first, the number of each class's parent, −1 where it is not known.
    ids : ndarray of str, (rows,)
    position : ndarray or None
        Of each row in its sequence, where rows are bases.
    true : dict
        By level, of each row: number of the class, `MISSING_LABEL` where it is not known; or a number, NaN.
    units : ndarray, (rows,)
        What each row is resampled with: its group, its sequence, or itself.
    grouped : bool
        Whether units are groups.
    leaked : ndarray, (rows,) bool
        Whether the sequence also stands in training, as it is or as its reverse complement.
    methods : tuple of Method
    """

    folder: Path
    about: dict[str, Any]
    levels: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]
    trained: dict[str, int]
    parents: list[np.ndarray]
    ids: np.ndarray
    position: np.ndarray | None
    true: dict[str, np.ndarray]
    units: np.ndarray
    grouped: bool
    leaked: np.ndarray
    methods: tuple[Method, ...]

    @property
    def task(self) -> str:
        """`classification`, `regression` or `per_base`."""
        return str(self.about["task"])

    @property
    def is_regression(self) -> bool:
        """Whether numbers are predicted."""
        return self.task == REGRESSION

    @property
    def row_noun(self) -> str:
        """What a row is."""
        return "base" if self.task == PER_BASE else "sequence"

    @property
    def unit_noun(self) -> str:
        """What is resampled."""
        return "group" if self.grouped else "sequence"

    @property
    def has_paths(self) -> bool:
        """Whether there is a hierarchy, with a path of labels for each row."""
        return len(self.levels) > 1 and not self.is_regression

    def used(self, level: str) -> np.ndarray:
        """(rows,) bool: where the truth is known."""
        true = self.true[level]
        return np.isfinite(true) if self.is_regression else true >= 0

    def unseen(self, level: str) -> int:
        """Rows with a label that training has not seen."""
        return 0 if self.is_regression else int((self.true[level] >= self.trained[level]).sum())

    def method(self, name: str) -> Method | None:
        """A method by its name; None where it was not run."""
        return next((method for method in self.methods if method.name == name), None)


def read(folder: Path) -> Classified:
    """Read the folder of a stage `classify`.

    Raises
    ------
    InputError
        A file is missing or damaged, or the methods did not predict the same rows.
    """
    about = read_json(folder / "classify.json")
    _require_keys(about, ("task", "levels", "methods"), folder / "classify.json")
    levels = tuple(map(str, about["levels"]))
    names = [str(name) for name in about["methods"]]
    if not names:
        raise InputError(f"{folder / 'classify.json'} names no method: run the stage again, stage=classify force=true")
    tables = {name: _test_table(folder / "methods" / name / "test.parquet", levels) for name in names}
    first = tables[names[0]]
    _require_same_rows(folder, tables, levels)
    is_regression = about["task"] == REGRESSION
    trained, parents = ({}, []) if is_regression else _encoding(folder / "labels.json", levels)
    classes = {level: _with_unseen(trained[level], first[f"true.{level}"]) for level in trained}
    ids = first["id"].astype(str).to_numpy(object)
    split = read_table(folder / "split.parquet")
    units, grouped = _units(ids, split, about["task"] == PER_BASE)
    return Classified(
        folder=folder,
        about=about,
        levels=levels,
        classes=classes,
        trained={level: len(names) for level, names in trained.items()},
        parents=parents,
        ids=ids,
        position=first["position"].to_numpy(np.int64) if about["task"] == PER_BASE else None,
        true={level: _values(first[f"true.{level}"], classes.get(level), MISSING_LABEL, folder) for level in levels},
        units=units,
        grouped=grouped,
        leaked=np.isin(ids, _leaked(folder / "duplicates.csv", split)),
        methods=tuple(_method(folder / "methods" / name, name, tables[name], classes, levels) for name in names),
    )


def _of_another_version(path: Path) -> InputError:
    return InputError(f"{path} was written by another version: run the stage again with stage=classify force=true")


def _require_keys(content: Any, keys: Sequence[str], path: Path) -> None:
    if not isinstance(content, dict) or any(key not in content for key in keys):
        raise _of_another_version(path)


def _test_table(path: Path, levels: Sequence[str]) -> pd.DataFrame:
    table = read_table(path)
    wanted = ["id", *(f"{kind}.{level}" for kind in ("true", "predicted") for level in levels)]
    if any(column not in table for column in wanted):
        raise _of_another_version(path)
    return table


def _require_same_rows(folder: Path, tables: dict[str, pd.DataFrame], levels: Sequence[str]) -> None:
    """Stop when a method was asked about other rows than the first: their differences would not be paired."""
    (first_name, first), *others = tables.items()
    columns = [name for name in ("id", "position", *(f"true.{level}" for level in levels)) if name in first]
    for name, table in others:
        if any(column not in table for column in columns) or not first[columns].equals(table[columns]):
            raise InputError(
                f"{folder / 'methods' / name / 'test.parquet'} has other rows or labels than that of {first_name}: "
                "run the stage again with stage=classify force=true"
            )


def _encoding(path: Path, levels: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], list[np.ndarray]]:
    """Classes of each level, and the parents of those below the first."""
    content = read_json(path)
    _require_keys(content, ("version", "classes", "parents"), path)
    classes, parents = content["classes"], content["parents"]
    if any(level not in classes for level in levels) or any(level not in parents for level in levels[1:]):
        raise _of_another_version(path)
    of_levels = {level: tuple(map(str, classes[level])) for level in levels}
    return of_levels, [np.array(parents[level], np.int64) for level in levels[1:]]


def _with_unseen(trained: tuple[str, ...], true: pd.Series) -> tuple[str, ...]:
    found = true.dropna().astype(str).unique().tolist()
    return (*trained, *sorted(set(found) - set(trained)))


def _values(column: pd.Series, classes: tuple[str, ...] | None, missing: int, path: Path) -> np.ndarray:
    """Numbers of classes, `missing` for those that are not known; or float64 where there are no classes."""
    if classes is None:
        return column.to_numpy(np.float64, na_value=np.nan)
    codes, names = pd.factorize(column)
    numbers = {name: number for number, name in enumerate(classes)}
    told = [numbers.get(str(name)) for name in names]
    if None in told:
        raise _of_another_version(path)
    return np.array([*told, missing], np.int64)[codes]


def _method(
    folder: Path, name: str, table: pd.DataFrame, classes: dict[str, tuple[str, ...]], levels: Sequence[str]
) -> Method:
    path, details = folder / "test.parquet", read_json(folder / "method.json")
    _require_keys(details, ("title", "family"), folder / "method.json")

    def values(kind: str, level: str) -> np.ndarray:
        column = f"{kind}.{level}" if f"{kind}.{level}" in table else f"predicted.{level}"
        return _values(table[column], classes.get(level), len(classes.get(level, ())), path)

    probabilities = {}
    for level in classes:
        found = folder / f"probabilities.{level}.npy"
        if found.exists():
            probabilities[level] = np.load(found, mmap_mode="r", allow_pickle=False)
            if probabilities[level].ndim != 2 or len(probabilities[level]) != len(table):
                raise _of_another_version(found)
    history = folder / "history.parquet"
    return Method(
        name=name,
        title=str(details["title"]),
        family=str(details["family"]),
        details=details,
        predicted={level: values("predicted", level) for level in levels},
        independent={level: values("independent", level) for level in levels},
        probabilities=probabilities,
        history=read_table(history, ["epoch", "step", "name", "value"]) if history.exists() else None,
    )


def _units(ids: np.ndarray, split: pd.DataFrame, by_base: bool) -> tuple[np.ndarray, bool]:
    """What each row is resampled with, and whether that is a group."""
    rows = pd.factorize(ids)[0] if by_base else np.arange(len(ids))
    if "group" not in split or not split.loc[split["split"] == "test", "group"].notna().any():
        return rows, False
    tested = split[split["split"] == "test"].drop_duplicates("id")
    of_id = pd.Series(tested["group"].to_numpy(object), index=tested["id"].astype(str))
    codes, names = pd.factorize(of_id.reindex(ids).to_numpy(object))
    return np.where(codes >= 0, codes, len(names) + rows), True


def _leaked(path: Path, split: pd.DataFrame) -> list[str]:
    """Ids of test sequences that also stand in training, among those that were trained on."""
    try:
        pairs = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise InputError(f"{path} cannot be read: {error}; run stage=classify again with force=true") from error
    except pd.errors.EmptyDataError:
        return []
    if any(column not in pairs for column in ("id_a", "split_a", "id_b", "split_b")):
        raise _of_another_version(path)
    trained = set(split.loc[split["split"] == "train", "id"].astype(str))
    found: set[str] = set()
    for test, other in (("a", "b"), ("b", "a")):
        chosen = (pairs[f"split_{test}"] == "test") & (pairs[f"split_{other}"] == "train")
        chosen &= pairs[f"id_{other}"].isin(trained)
        found |= set(pairs.loc[chosen, f"id_{test}"])
    return sorted(found)
