"""Background: genomic fragments that are like the elements in length, GC and repeats, but are none.

An element is set against a fragment of the same length from the same regions. Candidates are drawn at random
places, so that the size of the genome does not matter. They hold A, C, G and T alone, meet no element and no
other fragment, and lie outside of CDS and of the promoter class (1,000 bases before each gene). In a genome as
dense as a plastid's little else is left: for elements that find no match, fragments in the promoter class that
meet no element are then allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.annotation.classes import BaseClass, ClassTrack
from workflow.elements.intervals import Stretches
from workflow.errors import InputError
from workflow.genome.alphabet import BASE_CODE
from workflow.genome.layout import Layout
from workflow.genome.sequences import Genome

#: Differences in GC share and in soft-masked share that a match may have, and the steps by which they are widened.
GC_TOLERANCE, SOFT_MASKED_TOLERANCE = 0.02, 0.05
_WIDENING = (1, 2, 4)
_CODING = (BaseClass.CDS_0, BaseClass.CDS_1, BaseClass.CDS_2)
#: Classes that fragments may not hold, the strict rule first.
_FORBIDDEN = ((BaseClass.PROMOTER, *_CODING), _CODING)
_CANDIDATES_PER_ELEMENT, _FEWEST_CANDIDATES = 32, 256
_LEAST_MATCHED = 0.5

_IS_LOWER = np.zeros(256, bool)
_IS_LOWER[ord("a") : ord("z") + 1] = True
_IS_STRONG = np.zeros(256, bool)
_IS_STRONG[np.frombuffer(b"CGcg", np.uint8)] = True
#: Which bytes are A, C, G or T in either case.
IS_BASE = BASE_CODE < 4


@dataclass(frozen=True)
class Surroundings:
    """Where fragments come from.

    Attributes
    ----------
    genome : Genome
    classes : ClassTrack
    layout : Layout
    regions : Stretches
        They lie within these.
    elements : Stretches
        They share no base with these.
    """

    genome: Genome
    classes: ClassTrack
    layout: Layout
    regions: Stretches
    elements: Stretches


def composition(bases: np.ndarray) -> tuple[float, float]:
    """Share of G and C among the A, C, G, T of a sequence (NaN without any), and its share of lower case.

    Parameters
    ----------
    bases : ndarray, (length,) uint8
        ASCII; not empty.
    """
    number = np.count_nonzero(IS_BASE[bases])
    gc = np.count_nonzero(_IS_STRONG[bases]) / number if number else float("nan")
    return gc, np.count_nonzero(_IS_LOWER[bases]) / len(bases)


def match_background(elements: pd.DataFrame, where: Surroundings, seed: int) -> pd.DataFrame:
    """A fragment for each element: the nearest of the candidates in GC and soft-masked share.

    A difference in GC of 0.02 counts as one in soft-masked share of 0.05. New candidates are drawn for elements
    whose nearest is further away than these; after that, two and four times as much is allowed.

    Parameters
    ----------
    elements : DataFrame
        start, end, strand, gc, soft_masked.
    where : Surroundings
    seed : int

    Returns
    -------
    DataFrame
        pair (row of the element), seqid, start, end, strand (that of the element), in_promoter (whether the
        fragment holds bases of the promoter class). Elements without a match have no row.

    Raises
    ------
    InputError
        More than half of the elements find no match.
    """
    generator = np.random.default_rng(seed)
    length = (elements["end"] - elements["start"]).to_numpy(np.int64)
    wanted = np.column_stack([elements["gc"], elements["soft_masked"]])
    found = np.full(len(elements), -1, np.int64)
    for forbidden, widening in ((classes, step) for classes in _FORBIDDEN for step in _WIDENING):
        for size in np.unique(length[found < 0]).tolist():
            rows = generator.permutation(np.flatnonzero((found < 0) & (length == size)))
            taken = Stretches.of(found[found >= 0], (found + length)[found >= 0])
            candidates = _draw(size, len(rows), forbidden, taken, where, generator)
            for element, place in _nearest(rows, wanted, candidates, size, widening):
                found[element] = place
    matched = np.flatnonzero(found >= 0)
    if len(matched) < _LEAST_MATCHED * len(elements):
        raise InputError(
            f"only {len(matched):,} of {len(elements):,} elements have a fragment like them in length, GC and repeats "
            "outside of elements and CDS: set elements.split=any, lower elements.maximum, or shorten the elements"
        )
    sequence, start = where.layout.local(found[matched])
    fragments = pd.DataFrame(
        {
            "pair": matched,
            "seqid": where.layout.seqids[sequence].to_numpy(),
            "start": start,
            "end": start + length[matched],
            "strand": elements["strand"].to_numpy()[matched],
        }
    )
    places = fragments[["seqid", "start", "end"]].itertuples(index=False, name=None)
    in_promoter = [bool((where.classes.of(*place) == BaseClass.PROMOTER).any()) for place in places]
    return fragments.assign(in_promoter=in_promoter)


def _draw(
    length: int,
    elements: int,
    forbidden: tuple[BaseClass, ...],
    taken: Stretches,
    where: Surroundings,
    generator: np.random.Generator,
) -> np.ndarray:
    """Random fragments that may stand beside elements: start in the layout, GC and soft-masked share, (n, 3)."""
    number = max(_CANDIDATES_PER_ELEMENT * elements, _FEWEST_CANDIDATES)
    starts = np.unique(where.regions.draw(length, number, generator))
    starts = starts[~(where.elements.meet(starts, starts + length) | taken.meet(starts, starts + length))]
    is_forbidden = np.zeros(256, bool)
    is_forbidden[list(forbidden)] = True
    sequences, places = where.layout.local(starts)
    candidates = []
    for start, sequence, place in zip(starts.tolist(), sequences.tolist(), places.tolist(), strict=True):
        seqid = where.layout.seqids[sequence]
        if is_forbidden[where.classes.of(seqid, place, place + length)].any():
            continue
        bases = where.genome.fetch(seqid, place, place + length)
        if IS_BASE[bases].all():
            candidates.append((start, *composition(bases)))
    return np.array(candidates, float).reshape(-1, 3)


def _nearest(
    rows: np.ndarray, wanted: np.ndarray, candidates: np.ndarray, length: int, widening: int
) -> Iterator[tuple[int, int]]:
    """Rows that find a match, in their order, and where it starts; matches do not overlap."""
    free = np.arange(len(candidates))
    for row in rows.tolist():
        differences = np.abs(candidates[free, 1:] - wanted[row]) / (GC_TOLERANCE, SOFT_MASKED_TOLERANCE)
        distance = differences.max(axis=1)
        # Shares are fractions of small numbers: a difference that equals the tolerance may look larger by rounding.
        if len(free) and distance.min() <= widening * (1 + 1e-9):
            start = candidates[free[distance.argmin()], 0]
            free = free[np.abs(candidates[free, 0] - start) >= length]
            yield row, int(start)
