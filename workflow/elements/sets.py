"""The three sets of sequences that are scored: elements, their background, their shuffled copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.elements.background import IS_BASE, Surroundings, composition, match_background
from workflow.elements.shuffling import shuffle
from workflow.errors import InputError
from workflow.genome.alphabet import BASE_CODE, reverse_complement
from workflow.genome.sequences import Genome

ELEMENT, BACKGROUND, SHUFFLED = "element", "background", "shuffled"
_UPPER = ~np.uint8(0x20)


@dataclass(frozen=True)
class Flanked:
    """A sequence with the bases around it that are read and not scored.

    Attributes
    ----------
    bases : ndarray, (before + length + after,) uint8
        ASCII, upper case, in the direction of the sequence.
    before, after : int
    """

    bases: np.ndarray
    before: int
    after: int

    @property
    def core(self) -> np.ndarray:
        """The sequence alone."""
        return self.bases[self.before : len(self.bases) - self.after]

    def with_core(self, core: np.ndarray) -> Flanked:
        """Another sequence of the same length in the same surroundings."""
        end = len(self.bases) - self.after
        return Flanked(np.concatenate([self.bases[: self.before], core, self.bases[end:]]), self.before, self.after)

    def log_likelihood(self, logprobs: np.ndarray, strand: str) -> float:
        """Sum over the A, C, G, T of the sequence alone, nats.

        Parameters
        ----------
        logprobs : ndarray, (before + length + after, 4)
            Natural log, in the direction of reading.
        strand : str
            `-` when the reverse complement was read.
        """
        bases, first = (self.bases, self.before) if strand == "+" else (reverse_complement(self.bases), self.after)
        rows = first + np.flatnonzero(IS_BASE[bases[first : first + len(self.core)]])
        return float(logprobs[rows, BASE_CODE[bases[rows]]].sum(dtype=np.float64))


@dataclass(frozen=True)
class ElementSets:
    """What is scored.

    Attributes
    ----------
    table : DataFrame
        element_id, set (`element`, `background`, `shuffled`), pair (row of its element), seqid, start, end (0-based
        half-open; of a shuffled copy those of its element), strand, length, gc, soft_masked (NaN for shuffled
        copies, which have no case), in_promoter (whether a background fragment holds bases of the promoter
        class), n (A, C, G, T), sequence (in the direction of the strand, upper case).
    sequences : list of Flanked
        One a row.
    without_bases, without_background : int
        Elements left out.
    """

    table: pd.DataFrame
    sequences: list[Flanked]
    without_bases: int
    without_background: int


def assemble(chosen: pd.DataFrame, where: Surroundings, flank: int, shuffles: int, seed: int) -> ElementSets:
    """Find the background of each element and shuffle it.

    Parameters
    ----------
    chosen : DataFrame
        seqid, start, end, strand.
    where : Surroundings
    flank : int
        Bases read on either side, fewer at the end of a sequence.
    shuffles : int
        Copies of each element.
    seed : int

    Raises
    ------
    InputError
        No element holds bases, or too few find a background.
    """
    described = _described(chosen, where.genome)
    elements = described.dropna(subset="gc").reset_index(drop=True)
    if elements.empty:
        raise InputError("no element of elements.source holds any of A, C, G, T")
    fragments = match_background(elements, where, seed)
    kept = elements.iloc[fragments["pair"]].reset_index(drop=True)
    fragments = _described(fragments.assign(pair=np.arange(len(fragments))), where.genome)
    own = [_flanked(kept, where.genome, flank), _flanked(fragments, where.genome, flank)]
    generator = np.random.default_rng(seed)
    copies = [one.with_core(shuffle(one.core, generator)) for _ in range(shuffles) for one in own[0]]
    shuffled = pd.concat([kept] * shuffles, ignore_index=True).assign(soft_masked=np.nan)
    rows = np.arange(len(kept))
    table = pd.concat(
        [
            kept.assign(set=ELEMENT, pair=rows, in_promoter=False),
            fragments.assign(set=BACKGROUND),
            shuffled.assign(set=SHUFFLED, pair=np.tile(rows, shuffles), in_promoter=False),
        ],
        ignore_index=True,
    )
    sequences = [*own[0], *own[1], *copies]
    table["sequence"] = [one.core.tobytes().decode("ascii") for one in sequences]
    table["n"] = [int(np.count_nonzero(IS_BASE[one.core])) for one in sequences]
    table["length"] = table["end"] - table["start"]
    table.insert(0, "element_id", _ids(table, len(kept)))
    return ElementSets(table, sequences, len(described) - len(elements), len(elements) - len(kept))


def _described(places: pd.DataFrame, genome: Genome) -> pd.DataFrame:
    """Places with their GC and soft-masked share."""
    shares = [
        composition(genome.fetch(seqid, start, end))
        for seqid, start, end in places[["seqid", "start", "end"]].itertuples(index=False)
    ]
    return places.assign(gc=[gc for gc, _ in shares], soft_masked=[masked for _, masked in shares])


def _flanked(places: pd.DataFrame, genome: Genome, flank: int) -> list[Flanked]:
    found = []
    for seqid, start, end, strand in places[["seqid", "start", "end", "strand"]].itertuples(index=False):
        first, last = max(start - flank, 0), min(end + flank, genome.lengths[seqid])
        sides = (start - first, last - end)
        found.append(Flanked(genome.fetch(seqid, first, last, strand) & _UPPER, *sides[:: -1 if strand == "-" else 1]))
    return found


def _ids(table: pd.DataFrame, elements: int) -> list[str]:
    """`seqid:start-end(strand)`, with the number of the copy after those of shuffled ones."""
    columns = ["seqid", "start", "end", "strand", "set"]
    return [
        f"{seqid}:{start}-{end}({strand})" + (f"|shuffled{row // elements - 1}" if of_set == SHUFFLED else "")
        for row, (seqid, start, end, strand, of_set) in enumerate(table[columns].itertuples(index=False))
    ]
