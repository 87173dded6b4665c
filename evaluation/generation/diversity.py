"""How different the generated sequences are from one another, and whether the prompt makes a difference.

Two measures tell. If the prompt changed nothing, the continuations of one prompt would be no more alike than those of
different prompts, and exchanging prompts among the sequences would leave their distances as they are: a permutation
test on the cosine distance of their 6-mers. And the model would find the same first base equally probable after every
prompt: where the tool tells the probabilities of its letters, this shows an effect that 400 random letters hide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, lgamma

import numpy as np
import pandas as pd

from evaluation.artefacts.sequences import kmer_counts
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import MODELS, Samples
from evaluation.statistics.bootstrap import Interval

KMER = 6
#: Sequences of a group that are compared with one another.
MOST_COMPARED = 500
_PERMUTATIONS = 1999
_CHUNK_CELLS = 1 << 20
_LEVEL = 0.05
#: Means of the same distances in another order differ by less.
_EQUAL = 1e-9
#: Nats. Below, log-probabilities of the same base may differ by rounding (bfloat16 has 8 bits).
_ROUNDING = 0.02
_WHY = (
    "A tool that drops its prompt, or a model that has collapsed, writes the same whatever it is given: what it writes "
    "then says nothing about this genome."
)


@dataclass(frozen=True)
class GroupDiversity:
    """Distances within one group.

    Attributes
    ----------
    compared : int
        Sequences, at most `MOST_COMPARED`.
    between, within : Interval
        Mean over prompts of the cosine distance of the 6-mers, 0 (same) to 1 (nothing in common), to sequences of other
        prompts and to those of the same prompt. NaN where there are no such pairs.
    difference : Interval
        Mean over prompts of between − within.
    duplicates : float
        Share of the sequences that are equal to another one of the group.
    p_value : float
        Probability of distances within prompts as small as these, if the prompt changed nothing. NaN where it cannot be
        tested, or where too few sequences could never give a small one.
    first_base : Interval
        Mean difference of the log-probabilities (nats) of the same first base after two prompts; over prompts. NaN
        where they are unknown, or no two prompts were continued with the same base.
    """

    compared: int
    between: Interval
    within: Interval
    difference: Interval
    duplicates: float
    p_value: float
    first_base: Interval


def measure_diversity(samples: Samples, resampling: Resampling) -> dict[str, GroupDiversity]:
    """Distances within each group; see `GroupDiversity`."""
    return {group: _measure(rows, resampling) for group, rows in samples.groups.items()}


def checks(diversity: Mapping[str, GroupDiversity]) -> list[dict[str, object]]:
    """Gate `prompt_sensitivity` of each model with at least 2 prompts, and 2 samples or known probabilities.

    It fires where all sequences are equal, even with a single sample of each prompt. Else it passes where the first
    base's log-probability depends on the prompt, or the permutation test finds an effect; with too few sequences for a
    test, where sequences of different prompts differ more than those of the same one.

    Returns
    -------
    list of dict
        name, passed, saw, limit, why, subject (the model).
    """
    groups = {model: diversity[model] for model in MODELS if model in diversity}
    return [
        {
            "name": "prompt_sensitivity",
            "passed": _depends_on_prompt(group),
            "saw": "; ".join(_evidence(group)),
            "limit": f"p at most {_LEVEL}, or a first base that differs by {_ROUNDING} nats",
            "why": _WHY,
            "subject": model,
        }
        for model, group in groups.items()
        if _evidence(group)
    ]


def _depends_on_prompt(group: GroupDiversity) -> bool:
    if group.between.estimate == 0:
        return False
    if group.first_base.estimate > _ROUNDING:
        return True
    return bool(group.p_value <= _LEVEL) if np.isfinite(group.p_value) else group.difference.estimate > 0


def _evidence(group: GroupDiversity) -> list[str]:
    """What was seen, in words; empty where nothing can be said."""
    evidence = []
    if np.isfinite(group.difference.estimate):
        test = f" (p = {group.p_value:.2g})" if np.isfinite(group.p_value) else ""
        evidence.append(
            f"distance {group.between.estimate:.3f} between prompts, {group.within.estimate:.3f} between samples of one"
            + test
        )
    if np.isfinite(group.first_base.estimate):
        evidence.append(f"the first base differs by {group.first_base.estimate:.3f} nats between prompts")
    if group.between.estimate == 0:
        evidence.append("the sequences of all prompts are equal")
    return evidence


def _measure(rows: pd.DataFrame, resampling: Resampling) -> GroupDiversity:
    compared = _compared(rows)
    prompts = pd.factorize(compared["prompt_id"])[0]
    distances = _cosine_distances(compared["sequence"].tolist())
    same = prompts[:, None] == prompts
    others = ~np.eye(len(prompts), dtype=bool)
    within = _means_by_prompt(np.where(same & others, distances, np.nan), prompts)
    between = _means_by_prompt(np.where(same, np.nan, distances), prompts)
    first_base = _first_base_distances(compared)
    names = np.arange(len(within))
    return GroupDiversity(
        compared=len(compared),
        between=resampling.mean(between, names),
        within=resampling.mean(within, names),
        difference=resampling.mean(between - within, names),
        duplicates=float(rows["sequence"].duplicated(keep=False).mean()),
        p_value=_permutation_test(distances, prompts, resampling.seed),
        first_base=resampling.mean(_means_by_prompt(np.where(same, np.nan, first_base), prompts), names),
    )


def _compared(rows: pd.DataFrame) -> pd.DataFrame:
    """At most `MOST_COMPARED` sequences that are long enough: evenly spaced prompts, the first samples of each."""
    long_enough = rows[rows["sequence"].str.len() >= KMER]
    names = long_enough["prompt_id"].drop_duplicates().to_numpy()
    each = max(MOST_COMPARED // max(len(names), 1), 2)
    first = long_enough[long_enough.groupby("prompt_id").cumcount() < each]
    places = np.linspace(0, len(names) - 1, min(len(names), MOST_COMPARED // 2 if each == 2 else len(names)))
    kept = first[first["prompt_id"].isin(names[places.round().astype(int)])]
    return kept.head(MOST_COMPARED).reset_index(drop=True)


def _cosine_distances(sequences: list[str]) -> np.ndarray:
    """(n, n); 1 to a sequence without any 6-mer of A, C, G, T."""
    counts = kmer_counts(sequences, KMER)
    norms = np.linalg.norm(counts, axis=1, keepdims=True)
    unit = np.divide(counts, norms, out=np.zeros_like(counts), where=norms > 0)
    # Equal sequences are at a distance of 0, without an error of rounding.
    distances: np.ndarray = np.round(1 - unit @ unit.T, 6).astype(np.float64)
    return distances


def _first_base_distances(rows: pd.DataFrame) -> np.ndarray:
    """Difference of the log-probabilities of the first base (n, n); NaN where two sequences begin with another one."""
    logprobs = rows["first_logprob"].to_numpy(float)
    letters = rows["sequence"].str[0].to_numpy(str)
    return np.where(letters[:, None] == letters, np.abs(logprobs[:, None] - logprobs), np.nan)


def _means_by_prompt(distances: np.ndarray, prompts: np.ndarray) -> np.ndarray:
    """Mean of the defined distances of each prompt's sequences, (prompts,); NaN where there are none."""
    defined = np.isfinite(distances)
    sums = np.bincount(prompts, np.where(defined, distances, 0).sum(axis=1))
    numbers = np.bincount(prompts, defined.sum(axis=1))
    means: np.ndarray = np.divide(sums, numbers, out=np.full(len(sums), np.nan), where=numbers > 0)
    return means


def _permutation_test(distances: np.ndarray, prompts: np.ndarray, seed: int) -> float:
    """Share of the exchanges of sequences that leave those of one prompt as near to each other as they are.

    One-sided, with the observed order among the exchanges (Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39).
    """
    one, other = np.nonzero(np.triu(prompts[:, None] == prompts, 1))
    if _arrangements(prompts) < 1 / _LEVEL:
        return float("nan")
    observed = distances[one, other].mean()
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // len(one))
    as_near = 1
    for first in range(0, _PERMUTATIONS, step):
        rows = np.tile(np.arange(len(prompts)), (min(step, _PERMUTATIONS - first), 1))
        orders = generator.permuted(rows, axis=1)
        means = distances[orders[:, one], orders[:, other]].mean(axis=1)
        as_near += int((means <= observed + _EQUAL).sum())
    return as_near / (1 + _PERMUTATIONS)


def _arrangements(prompts: np.ndarray) -> float:
    """Ways to deal the sequences to prompts of the same sizes, where prompts of the same size are exchangeable."""
    sizes = np.bincount(prompts)
    logs = lgamma(len(prompts) + 1) - sum(lgamma(size + 1) for size in sizes)
    logs -= sum(lgamma(count + 1) for count in np.bincount(sizes))
    return exp(min(logs, 100.0))
