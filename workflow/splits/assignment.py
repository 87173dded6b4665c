"""Deciding which groups go to train, val and test. Deterministic for a seed, whatever the order of the file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workflow.errors import InputError

SPLITS = ("train", "val", "test")
_ORDERS_TRIED = 256
#: A split whose bases are within this share of what was asked for is good enough to stop looking.
_TOLERANCE = 0.15
#: More runs than this add borders but hardly make a split more like the whole genome.
_MOST_RUNS = 12
#: Places at which a run may begin that are looked at; each costs time in proportion to the number of blocks.
_STARTS_TRIED = 1_000


def assign_groups(
    bases: dict[str, int], fractions: dict[str, float], seed: int, forced: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Split of each group, so that the splits get their share of the bases as well as whole groups allow.

    Random orders are tried; in each, a group goes to the split that lacks most. The first order that gives
    every split its share within 15 % is taken, else the best. Forced groups come first.

    Parameters
    ----------
    bases : dict
        Size of each group by label; at least three groups.
    fractions : dict
        Share of each split.
    seed : int
    forced : mapping, optional
        Split of single groups.

    Raises
    ------
    InputError
        What is forced leaves a split empty.
    """
    labels = sorted(bases)
    size = np.array([bases[label] for label in labels], float)
    want = np.array([fractions[split] for split in SPLITS]) * size.sum()
    splits = dict(forced or {})
    fixed = np.array([SPLITS.index(splits[label]) if label in splits else -1 for label in labels])
    free = np.flatnonzero(fixed < 0)
    empty = set(range(len(SPLITS))) - set(fixed.tolist())
    if len(free) < len(empty):
        names = " and ".join(SPLITS[split] for split in sorted(empty))
        raise InputError(f"split: what is forced leaves no homolog group for {names}")
    lack = want - np.bincount(fixed[fixed >= 0], size[fixed >= 0], len(SPLITS))
    random = np.random.default_rng(seed)
    best, least = fixed, np.inf
    for _ in range(_ORDERS_TRIED):
        chosen = fixed.copy()
        order = random.permutation(len(free))
        chosen[free] = _fill(size[free], lack, order, empty)
        got = np.bincount(chosen, size, len(SPLITS))
        deviation = float(np.max(np.abs(got / want - 1)))
        if deviation < least:
            best, least = chosen, deviation
        if least <= _TOLERANCE:
            break
    return {label: SPLITS[split] for label, split in zip(labels, best.tolist(), strict=True)}


def _fill(size: np.ndarray, want: np.ndarray, order: np.ndarray, without: set[int]) -> np.ndarray:
    """Give each group in turn to the split that lacks most; the last groups go to splits that are still empty."""
    lack = want.copy()
    chosen = np.full(len(size), -1)
    empty = set(without)
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        among = sorted(empty) if left <= len(empty) else range(len(want))
        split = max(among, key=lack.__getitem__)
        empty.discard(split)
        lack[split] -= size[group]
        chosen[group] = split
    return chosen


def assign_runs(
    size: np.ndarray, group: np.ndarray, fractions: dict[str, float], shortest_run: int, seed: int
) -> np.ndarray:
    """Split of each block: test and val are runs of neighbouring blocks with all members of their groups.

    Runs keep the borders few at which bases are purged; several, spread over the genome, are more like the
    whole than one. Each split gets as many as its share allows, up to 12. Starts are tried in a random order;
    the first run is taken that has the wanted length within 15 % and drags in no block from elsewhere, else
    the one that comes nearest; more runs follow while they bring the split nearer to its share. What is left
    is train.

    Parameters
    ----------
    size : (n,) int64
        Bases of each block, in genome order.
    group : (n,) int64
        Blocks with the same number go to the same split; at least three distinct numbers.
    fractions : dict
        Share of each split.
    shortest_run : int
        Bases that a run should have at least.
    seed : int

    Returns
    -------
    (n,) str
    """
    split = np.full(len(size), "train", dtype="<U5")
    random = np.random.default_rng(seed)
    for name, reserved in (("test", 2), ("val", 1)):
        want = fractions[name] * size.sum()
        length = want / min(max(want // max(shortest_run, 1), 1), _MOST_RUNS)
        while True:
            lacking = want - size[split == name].sum()
            free = split == "train"
            run = _best_run(size, group, free, min(lacking, length), reserved, random)
            if run is None or ((split == name).any() and abs(lacking - size[run].sum()) >= lacking):
                break
            split[run] = name
            if abs(want - size[split == name].sum()) <= _TOLERANCE * want:
                break
    return split


def _best_run(
    size: np.ndarray, group: np.ndarray, free: np.ndarray, want: float, reserved: int, random: np.random.Generator
) -> np.ndarray | None:
    """Mask (n,) of the blocks of the run nearest to `want` bases that leaves `reserved` groups free."""
    spare = len(np.unique(group[free])) - reserved
    if spare < 1 or want <= 0:
        return None
    whole = np.bincount(group, size, len(group))
    groups = group.tolist()
    best, best_cost = None, np.inf
    for start in random.permutation(np.flatnonzero(free))[:_STARTS_TRIED].tolist():
        members, bases = _grow(start, groups, whole, free, want, spare)
        cost = abs(bases - want) / want
        if cost >= best_cost:
            continue
        run = np.isin(group, members)
        stretches = int(np.count_nonzero(np.diff(run, prepend=False, append=False))) // 2
        if cost + stretches - 1 <= _TOLERANCE:
            return run
        if cost + _TOLERANCE * (stretches - 1) < best_cost:
            best, best_cost = run, cost + _TOLERANCE * (stretches - 1)
    return best


def _grow(
    start: int, group: list[int], whole: np.ndarray, free: np.ndarray, want: float, spare: int
) -> tuple[list[int], float]:
    """Groups met from block `start` on, while each brings the run nearer to `want` bases."""
    members = [group[start]]
    bases = float(whole[group[start]])
    for block in range(start + 1, len(group)):
        if not free[block]:
            break
        if group[block] in members:
            continue
        more = bases + whole[group[block]]
        if len(members) == spare or abs(more - want) >= abs(bases - want):
            break
        members.append(group[block])
        bases = more
    return members, bases
