"""Scores by stratum: class of base; haplotype, homolog group and subgenome; repeats and other bases always apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from evaluation.per_base.classes import NO_CLASS
from evaluation.per_base.scores import ALL, INSIDE, REPEATS, UNIFORM_NLL, WindowScores, with_all
from evaluation.per_base.stream import Chunk
from evaluation.statistics.blocks import BlockMeans, Estimates
from evaluation.statistics.bootstrap import Interval
from workflow.artifacts import BASE_CLASSES

#: Names of the classes and their codes; coding sequence as a whole, and each codon position.
CLASSES: dict[str, tuple[int, ...]] = {
    "CDS": tuple(BASE_CLASSES.index(f"cds_{position}") for position in range(3)),
    **{f"codon position {position + 1}": (BASE_CLASSES.index(f"cds_{position}"),) for position in range(3)},
    **{
        name: (BASE_CLASSES.index(code),)
        for name, code in {
            "5′ UTR": "utr5",
            "3′ UTR": "utr3",
            "donor site (10 bp)": "donor",
            "acceptor site (10 bp)": "acceptor",
            "intron, rest": "intron",
            "promoter (1 kb)": "promoter",
            "ncRNA": "ncrna",
        }.items()
    },
    # Both are intergenic: the class track calls soft-masked intergenic bases repeats.
    "intergenic": (BASE_CLASSES.index("intergenic"), BASE_CLASSES.index("repeat")),
    "no class (joined exons)": (NO_CLASS,),
}
#: Parts of another class, left out of a partition.
_PARTS = tuple(f"codon position {position}" for position in (1, 2, 3))
#: Kinds of strata that sequences belong to: column of sequences.parquet, and its name.
SEQUENCE_KINDS = {"haplotype": "haplotype", "group": "homolog group", "subgenome": "subgenome"}
# More values than this are one stratum, "the other …": no figure holds them.
_MOST_VALUES = 40
_NONE, _OTHERS = "none", "the other "
_WIDEST_NLL = 8.0
#: Edges of the histogram of the NLL of single bases, nats; the last bin has all that is larger.
NLL_EDGES = np.linspace(0, _WIDEST_NLL, 161)


@dataclass(frozen=True)
class Strata:
    """Scores by stratum.

    Attributes
    ----------
    table : DataFrame
        A row a stratum: kind (`class` or a value of `SEQUENCE_KINDS`), name, repeats (a value of `REPEATS`), bases,
        share (of all scored bases), blocks (that have such bases); for each model `nll_<model>` and
        `accuracy_<model>`, each with `_low` and `_high`; nll_uniform; gain of the main pair with gain_low and
        gain_high (nats per base), cohens_d (over blocks, weighted by bases; NaN without an interval), and
        share_of_gain with its ends: what part of the gain over all bases falls here, adding up to 1 over the rows
        of a kind with `all` (codon positions are parts of CDS) and undefined where no gain or loss could be shown.
    pair : tuple of str
        Model and reference of the gain.
    models : tuple of str
        In the order of the columns.
    histogram : ndarray, (models, classes, bins) int64
        Scored bases by NLL (`NLL_EDGES`), for each class of `CLASSES`; all 0 without a class track.
    """

    table: pd.DataFrame
    pair: tuple[str, str]
    models: tuple[str, ...]
    histogram: np.ndarray

    def kind(self, kind: str) -> pd.DataFrame:
        """The rows of one kind."""
        return self.table[self.table["kind"] == kind]

    def gain(self, kind: str, name: str, repeats: str = ALL) -> Interval | None:
        """Gain of the main pair in a stratum; None where it has no bases."""
        rows = self.table[
            (self.table["kind"] == kind) & (self.table["name"] == name) & (self.table["repeats"] == repeats)
        ]
        if rows.empty:
            return None
        return Interval(*(float(rows[column].iloc[0]) for column in ("gain", "gain_low", "gain_high")))


class ClassTally:
    """Adds up scores by block, class of base, and whether the base is soft-masked.

    Parameters
    ----------
    models : sequence of str
        All models of the stream.
    blocks : int
        Number of resampling blocks.
    """

    def __init__(self, models: Sequence[str], blocks: int) -> None:
        shape = (blocks, NO_CLASS + 1, 2)
        self.models = tuple(models)
        self.bases = np.zeros(shape, np.int64)
        self.sums = np.zeros((len(self.models), *shape, 2))
        self.histogram = np.zeros((len(self.models), NO_CLASS + 1, len(NLL_EDGES) - 1), np.int64)
        self.has_classes = False

    def add(self, chunk: Chunk, blocks: np.ndarray) -> None:
        """See `evaluation.per_base.stream.Tally`."""
        if chunk.classes is None:
            return
        self.has_classes = True
        where = (chunk.starts, blocks, chunk.scored, chunk.repeat, chunk.classes)
        _count(*where, self.bases)
        for place, model in enumerate(self.models):
            found = chunk.models[model]
            _sum(*where, found.nll, found.correct, self.sums[place], self.histogram[place])

    def by_class(self) -> tuple[np.ndarray, np.ndarray]:
        """Bases and sums of each of `CLASSES`, shaped as those of `WindowScores.by_block`."""
        bases = np.stack([self.bases[:, list(codes)].sum(axis=1) for codes in CLASSES.values()], axis=1)
        sums = np.stack([self.sums[:, :, list(codes)].sum(axis=2) for codes in CLASSES.values()], axis=2)
        # (models, blocks, strata, 2, 2): NLL of each model, then correct of each.
        by_quantity = np.moveaxis(np.concatenate([sums[..., 0], sums[..., 1]]), 0, -1)
        return with_all(bases), with_all(by_quantity)


def stratify(
    scores: WindowScores,
    tally: ClassTally,
    sequences: pd.DataFrame,
    samples: int,
    confidence: float,
    seed: int,
) -> Strata:
    """Estimate every stratum with its intervals.

    Parameters
    ----------
    scores : WindowScores
    tally : ClassTally
        After the whole stream.
    sequences : DataFrame
        seqid, and the columns of `SEQUENCE_KINDS`.
    samples, confidence, seed : int, float, int
        Of the intervals.
    """
    tables = []
    if tally.has_classes:
        bases, sums = tally.by_class()
        tables.append(_table("class", list(CLASSES), bases, sums, scores, samples, confidence, seed))
    for column, kind in SEQUENCE_KINDS.items():
        value = _values(scores, sequences, column)
        if len(names := sorted(set(value), key=_natural)) > 1:
            bases, sums = scores.by_block(pd.Index(names).get_indexer(pd.Index(value)), len(names))
            tables.append(_table(kind, names, bases, sums, scores, samples, confidence, seed))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame({"kind": [], "name": [], "repeats": []})
    histogram = np.stack([tally.histogram[:, list(codes)].sum(axis=1) for codes in CLASSES.values()], axis=1)
    return Strata(table, scores.main_pair, scores.models, histogram)


def _values(scores: WindowScores, sequences: pd.DataFrame, column: str) -> list[str]:
    """Value of each window's sequence; those of the many with few bases are one."""
    of_sequence = dict(zip(sequences["seqid"].astype(str), sequences[column].astype(str), strict=True))
    value = scores.table["seqid"].astype(str).map(of_sequence).replace("", _NONE)
    largest = scores.table["bases"].groupby(value.to_numpy()).sum().sort_values(ascending=False, kind="stable")
    if len(largest) > _MOST_VALUES:
        kept = set(largest.index[: _MOST_VALUES - 1])
        value = value.where(value.isin(kept), f"{_OTHERS}{len(largest) - len(kept):,}")
    return list(value)


def _natural(name: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    """Numbers within names count by value; what is no name comes last."""
    parts = [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]
    return name == _NONE or name.startswith(_OTHERS), [part for part in parts if part[2]]


def _table(
    kind: str,
    names: list[str],
    bases: np.ndarray,
    sums: np.ndarray,
    scores: WindowScores,
    samples: int,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Rows of one kind; the whole of them is appended to the strata and taken off again."""
    models = scores.models
    parts = [name not in _PARTS for name in names]
    # The last stratum is the partition's whole.
    bases, sums = (np.concatenate([some, some[:, parts].sum(axis=1, keepdims=True)], axis=1) for some in (bases, sums))
    in_repeats = bool(bases[:, :, REPEATS.index(INSIDE)].any())
    strata = len(names) + 1
    bases, sums = bases.reshape(len(bases), -1), sums.reshape(len(sums), strata * len(REPEATS), -1)
    means = BlockMeans(sums, bases, samples, confidence, seed)
    whole = len(names) * len(REPEATS)
    model, reference = (models.index(name) for name in scores.main_pair)
    columns: dict[str, object] = {
        "kind": kind,
        "name": np.repeat([*names, ""], len(REPEATS)),
        "repeats": list(REPEATS) * strata,
        "bases": bases.sum(axis=0).astype(np.int64),
        "share": bases.sum(axis=0) / bases[:, whole].sum(),
        "blocks": np.count_nonzero(bases, axis=0),
    }
    for place, name in enumerate(models):
        columns |= _columns(f"nll_{name}", means.means(place))
        columns |= _columns(f"accuracy_{name}", means.means(place + len(models)))
    gain = means.differences(model, reference)
    columns |= {"nll_uniform": UNIFORM_NLL} | _columns("gain", gain)
    # Too few blocks for an interval are too few for a standard deviation.
    columns |= {"cohens_d": np.where(np.isfinite(gain.low), means.effect_sizes(model, reference), np.nan)}
    columns |= _columns("share_of_gain", means.shares(model, reference, whole))
    table = pd.DataFrame(columns).iloc[:whole]
    return table[(table["bases"] > 0) & table["repeats"].isin(REPEATS if in_repeats else (ALL,))]


def _columns(name: str, estimates: Estimates) -> dict[str, object]:
    return {name: estimates.estimate, f"{name}_low": estimates.low, f"{name}_high": estimates.high}


@numba.njit(nogil=True, cache=True)
def _count(
    starts: np.ndarray,
    blocks: np.ndarray,
    scored: np.ndarray,
    repeat: np.ndarray,
    classes: np.ndarray,
    bases: np.ndarray,
) -> None:
    for window in range(len(blocks)):
        of_block = bases[blocks[window]]
        for at in range(starts[window], starts[window + 1]):
            if scored[at]:
                of_block[classes[at], np.int64(repeat[at])] += 1


@numba.njit(nogil=True, cache=True)
def _sum(
    starts: np.ndarray,
    blocks: np.ndarray,
    scored: np.ndarray,
    repeat: np.ndarray,
    classes: np.ndarray,
    nll: np.ndarray,
    correct: np.ndarray,
    sums: np.ndarray,
    histogram: np.ndarray,
) -> None:
    bins = histogram.shape[1]
    scale = bins / _WIDEST_NLL
    for window in range(len(blocks)):
        of_block = sums[blocks[window]]
        for at in range(starts[window], starts[window + 1]):
            if scored[at]:
                code = classes[at]
                cell = of_block[code, np.int64(repeat[at])]
                cell[0] += nll[at]
                cell[1] += correct[at]
                histogram[code, min(int(nll[at] * scale), bins - 1)] += 1
