"""Labels as numbers: the classes of each level, in a fixed order, and the parent of each class."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow.errors import InputError

VERSION = 1
#: Number of a label that is missing, or that training did not hold.
UNKNOWN = -1
#: Of labels by base: not known here.
UNKNOWN_LETTER = "."
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


@dataclass(frozen=True)
class LabelEncoding:
    """Classes of each level of a hierarchy.

    Attributes
    ----------
    levels : tuple of str
        Names of the columns, most general first.
    classes : dict
        Classes of each level: numbers by their value, then text in the order of the alphabet. A label's code is its
        place here.
    parents : dict
        Of each level but the first, the code of each class's parent one level above; −1 where training never tells
        it.
    """

    levels: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]
    parents: dict[str, tuple[int, ...]]

    @classmethod
    def fit(cls, labels: pd.DataFrame) -> LabelEncoding:
        """The encoding of the labels of training.

        Parameters
        ----------
        labels : DataFrame, (n, levels)
            Text, None where missing; without contradictions (`workflow.labels.checks`).
        """
        levels = tuple(map(str, labels.columns))
        classes = {level: tuple(sorted(labels[level].dropna().unique(), key=_order)) for level in levels}
        parents = {
            level: _parents(labels[[above, level]], classes[above], classes[level])
            for above, level in itertools.pairwise(levels)
        }
        return cls(levels, classes, parents)

    @classmethod
    def fit_by_base(cls, labels: pd.DataFrame) -> LabelEncoding:
        """The encoding of labels by base: (n, levels) texts, each as long as its sequence."""
        seen: set[tuple[str, ...]] = set()
        for texts in labels.itertuples(index=False):
            seen.update(zip(*_aligned(texts), strict=True))
        letters = pd.DataFrame(sorted(seen), columns=labels.columns, dtype=object)
        return cls.fit(letters.mask(letters == UNKNOWN_LETTER, None))

    def encode(self, labels: pd.DataFrame) -> np.ndarray:
        """Codes of labels, (n, levels) int64; −1 where a label is missing or was not seen in training."""
        codes = np.full((len(labels), len(self.levels)), UNKNOWN, np.int64)
        for column, level in enumerate(self.levels):
            numbers = {name: number for number, name in enumerate(self.classes[level])}
            codes[:, column] = [numbers.get(label, UNKNOWN) for label in labels[level]]
        return codes

    def encode_by_base(self, labels: pd.DataFrame) -> Iterator[np.ndarray]:
        """Codes of each sequence of labels by base, (length, levels) int64; −1 where they are not known."""
        numbers = [{name: number for number, name in enumerate(self.classes[level])} for level in self.levels]
        for texts in labels[list(self.levels)].itertuples(index=False):
            aligned = zip(numbers, _aligned(texts), strict=True)
            codes = [[of_level.get(letter, UNKNOWN) for letter in text] for of_level, text in aligned]
            yield np.array(codes, np.int64).T

    def parent_codes(self) -> list[np.ndarray]:
        """Of each level but the first, the parents' codes, (K,) int64."""
        return [np.array(self.parents[level], np.int64) for level in self.levels[1:]]

    def sizes(self) -> list[int]:
        """Number of classes of each level."""
        return [len(self.classes[level]) for level in self.levels]

    def to_json(self) -> dict[str, Any]:
        """What is written to `labels.json`."""
        return {
            "version": VERSION,
            "levels": list(self.levels),
            "classes": {level: list(names) for level, names in self.classes.items()},
            "parents": {level: list(codes) for level, codes in self.parents.items()},
        }

    @classmethod
    def from_json(cls, content: Any, path: Path) -> LabelEncoding:
        """Read back what `to_json` gave.

        Parameters
        ----------
        content : object
            As it was parsed.
        path : Path
            Where it stood, for the message.

        Raises
        ------
        InputError
            It is of another version, or no encoding.
        """
        version = content.get("version") if isinstance(content, dict) else None
        if version != VERSION:
            raise InputError(
                f"{path}: labels of version {version}, this program reads version {VERSION}; "
                "train the model again with it"
            )
        try:
            levels = tuple(str(level) for level in content["levels"])
            classes = {level: tuple(map(str, content["classes"][level])) for level in levels}
            parents = {level: tuple(map(int, content["parents"][level])) for level in levels[1:]}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: not the labels that a training writes ({error!r}); take its folder anew"
            ) from None
        encoding = cls(levels, classes, parents)
        if fault := encoding._fault():
            raise InputError(f"{path}: {fault}; take the folder of the training anew")
        return encoding

    def _fault(self) -> str | None:
        for above, level in zip(self.levels[:-1], self.levels[1:], strict=True):
            codes = self.parents[level]
            if len(codes) != len(self.classes[level]):
                return f"level {level} has {len(self.classes[level])} classes and {len(codes)} parents"
            if any(not UNKNOWN <= code < len(self.classes[above]) for code in codes):
                return f"a parent of level {level} is no class of {above}"
        return None


def class_weights(codes: np.ndarray, classes: int) -> np.ndarray:
    """Weights that make classes count alike: n / (K · n_k) for n labels of K classes, of which n_k are of class k.

    Parameters
    ----------
    codes : ndarray, (n,) int
        Classes; −1 does not count.
    classes : int

    Returns
    -------
    ndarray, (classes,) float64
        0 for a class that is absent.
    """
    counts = np.bincount(codes[codes >= 0], minlength=classes)
    weights = np.zeros(classes)
    there = counts > 0
    weights[there] = counts.sum() / (classes * counts[there])
    return weights


def _order(label: str) -> tuple[bool, float, str]:
    is_number = _NUMBER.fullmatch(label) is not None
    return not is_number, float(label) if is_number else 0.0, label


def _parents(labels: pd.DataFrame, above: tuple[str, ...], classes: tuple[str, ...]) -> tuple[int, ...]:
    numbers = {name: number for number, name in enumerate(above)}
    pairs = labels.dropna().drop_duplicates()
    parent_of = {child: numbers[parent] for parent, child in pairs.itertuples(index=False)}
    return tuple(parent_of.get(name, UNKNOWN) for name in classes)


def _aligned(texts: tuple[Any, ...]) -> list[str]:
    """The texts of a row, dots in place of a missing one."""
    length = max(len(text) for text in texts if isinstance(text, str))
    return [text if isinstance(text, str) else UNKNOWN_LETTER * length for text in texts]
