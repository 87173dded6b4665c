"""Dividing sequences into train, val and test: by themselves, by class, or in groups that stay whole."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workflow.config.classify import ClassifyConfig
from workflow.errors import InputError
from workflow.labels.labelled_set import SPLITS
from workflow.labels.similarity import similar_groups

#: A split by groups that is so much larger or smaller than asked is told.
_UNEVEN = 0.05


def divide_rows(
    labels: pd.DataFrame, validation_share: float, test_share: float, *, stratified: bool, seed: int
) -> np.ndarray:
    """Split of each row, drawn by chance.

    One row of every class stays in train, so that a class with one example is learnt but not tested. The others,
    ordered by class and by chance within it, are taken at even distances: the splits are as large as asked to within
    a row, and those of a class to within two.

    Parameters
    ----------
    labels : DataFrame, (n, levels)
        Most general level first; the class of a row is its most special label. Without columns all are of one class.
    validation_share, test_share : float
        Of all rows.
    stratified : bool
        Without it the classes are not kept apart, but for the row that stays.
    seed : int

    Returns
    -------
    ndarray, (n,) str
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    stratum = _most_special(labels)[shuffled]
    _, kept = np.unique(stratum, return_index=True)
    free = np.setdiff1d(np.arange(len(labels)), kept)
    if stratified:
        free = free[np.argsort(stratum[free], kind="stable")]
    split = np.full(len(labels), SPLITS[0], object)
    scale = len(labels) / max(len(free), 1)
    test, validation = _fitting(test_share * scale, validation_share * scale)
    is_test = _evenly(len(free), test, generator)
    rest = free[~is_test]
    is_validation = _evenly(len(rest), validation / (1 - test) if test < 1 else 0.0, generator)
    split[shuffled[free[is_test]]] = "test"
    split[shuffled[rest[is_validation]]] = "val"
    return split.astype(str)


def divide_groups(
    groups: np.ndarray, classes: np.ndarray, validation_share: float, test_share: float, seed: int
) -> np.ndarray:
    """Split of each row such that no group is divided and each class is in every split, as far as groups allow.

    Groups, the largest first and equal ones by chance, go to the split that has least of what it is to have of their
    classes; where splits are alike in that, of rows.

    Parameters
    ----------
    groups : ndarray, (n,) int
        From 0.
    classes : ndarray, (n,) int
        From 0; −1 for rows whose group stays in train.
    validation_share, test_share : float
    seed : int

    Returns
    -------
    ndarray, (n,) str
    """
    classes, stays = np.maximum(classes, 0), np.bincount(groups, classes < 0) > 0
    (group_of, class_of), counts = np.unique(np.stack([groups, classes]), axis=1, return_counts=True)
    sizes, class_sizes = np.bincount(groups), np.bincount(classes)
    first = np.searchsorted(group_of, np.arange(len(sizes) + 1))
    # A class of few groups is rather tested than validated.
    names = np.array(["train", "test", "val"])
    shares = np.array([1 - validation_share - test_share, test_share, validation_share])
    used = shares > 0
    names, shares = names[used], shares[used]
    wanted, wanted_rows = np.outer(shares, class_sizes), shares * len(groups)
    has, has_rows = np.zeros(wanted.shape), np.zeros(len(shares))
    chosen = np.zeros(len(sizes), np.int64)
    for group in np.lexsort((np.random.default_rng(seed).permutation(len(sizes)), -sizes)):
        held = slice(first[group], first[group + 1])
        kinds, weights = class_of[held], counts[held] / class_sizes[class_of[held]]
        filled = (has[:, kinds] / wanted[:, kinds]) @ weights / weights.sum()
        emptiest = np.lexsort((has_rows / wanted_rows, filled.round(9)))[0]
        chosen[group] = 0 if stays[group] else emptiest
        has[chosen[group], kinds] += counts[held]
        has_rows[chosen[group]] += sizes[group]
    split: np.ndarray = names[chosen][groups]
    return split


def divide(
    labels: pd.DataFrame, sequences: list[bytes], named_groups: np.ndarray | None, config: ClassifyConfig, seed: int
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Divide as the configuration says, but for `given`.

    Parameters
    ----------
    labels : DataFrame, (n, levels)
        Classes; without columns where the labels are no classes.
    sequences : list of bytes
    named_groups : ndarray, (n,) object, optional
        Cells of the group column, None where missing: such a row is a group of its own.
    config : ClassifyConfig
    seed : int

    Returns
    -------
    split : ndarray, (n,) str
    group : ndarray, (n,) object, or None
    notes : list of str

    Raises
    ------
    InputError
        Nothing is left for train, or there are too few groups to divide.
    """
    shares = config.validation_share, config.test_share
    if config.split in ("random", "stratified"):
        split = divide_rows(labels, *shares, stratified=config.split == "stratified", seed=seed)
        return split, None, _notes_on_single(labels)
    if config.split == "group":
        assert named_groups is not None
        codes = _codes_of(named_groups)
        found = f"column {config.group_column} (classify.group_column) names {codes.max() + 1} group(s)"
    else:
        codes = similar_groups(sequences, config.similarity)
        named_groups = codes.astype(object)
        found = f"classify.similarity={config.similarity} leaves {codes.max() + 1} group(s) of similar sequences"
    if codes.max() + 1 < len(SPLITS):
        raise InputError(f"{found}; train, val and test need one each: use another classify.split")
    split = divide_groups(codes, _classes_in_groups(labels, codes), *shares, seed)
    return split, named_groups, _notes_on_groups(codes, split, shares)


def _notes_on_single(labels: pd.DataFrame) -> list[str]:
    kinds, sizes = np.unique(_most_special(labels), return_counts=True)
    sizes = sizes[kinds >= 0]
    single = int((sizes == 1).sum())
    if not single:
        return []
    return [f"{single:,} of {len(sizes):,} classes have one example: it stays in train, and they are not tested."]


def _notes_on_groups(codes: np.ndarray, split: np.ndarray, shares: tuple[float, float]) -> list[str]:
    wanted = dict(zip(SPLITS, (1 - sum(shares), *shares), strict=True))
    got = {name: float((split == name).mean()) for name in SPLITS}
    notes = [f"{codes.max() + 1:,} groups stay whole; the largest has {np.bincount(codes).max():,} sequences."]
    if max(abs(got[name] - wanted[name]) for name in SPLITS) > _UNEVEN:
        told = ", ".join(f"{name} {got[name]:.1%} in place of {wanted[name]:.1%}" for name in SPLITS)
        notes.append(f"Groups are too large for the shares asked for: {told}.")
    return notes


def _most_special(labels: pd.DataFrame) -> np.ndarray:
    """Number of each row's most special label, (n,) int64; −1 without any."""
    special = np.full(len(labels), -1, np.int64)
    total = 0
    for column in labels.columns[::-1]:
        codes, kinds = pd.factorize(labels[column])
        special = np.where((special < 0) & (codes >= 0), codes + total, special)
        total += len(kinds)
    return special


def _classes_in_groups(labels: pd.DataFrame, groups: np.ndarray) -> np.ndarray:
    """Number of each row's most special label that stands in several groups, (n,) int64; −1 without one.

    What stands in one group alone cannot be both learnt and tested. Without columns all rows are of one class.
    """
    special, total = np.full(len(labels), -1 if len(labels.columns) else 0, np.int64), 0
    for column in labels:
        codes, kinds = pd.factorize(labels[column])
        known = codes >= 0
        pairs = np.unique(np.stack([codes[known], groups[known]]), axis=1)
        several = np.bincount(pairs[0], minlength=len(kinds)) > 1
        divisible = known & np.append(several, False)[codes]
        special, total = np.where(divisible, codes + total, special), total + len(kinds)
    return special


def _codes_of(groups: np.ndarray) -> np.ndarray:
    codes, kinds = pd.factorize(groups)
    missing = codes < 0
    codes[missing] = len(kinds) + np.arange(missing.sum())
    return codes.astype(np.int64)


def _fitting(test: float, validation: float) -> tuple[float, float]:
    """Shares that do not exceed the whole."""
    both = max(test + validation, 1.0)
    return test / both, validation / both


def _evenly(n: int, share: float, generator: np.random.Generator) -> np.ndarray:
    """Mark that share of n rows at even distances from a start by chance, (n,) bool."""
    ticks = np.floor(np.arange(n + 1) * share + generator.random())
    marked: np.ndarray = np.diff(ticks) > 0
    return marked
