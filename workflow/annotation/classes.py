"""The class of every base: coding by codon position, untranslated, intronic, promoter, repeat and so on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numba
import numpy as np

from workflow.artifacts import BASE_CLASSES
from workflow.console import Progress
from workflow.errors import InputError
from workflow.genome.layout import Layout, Parts, parts_of
from workflow.genome.parallel import in_order
from workflow.genome.sequences import CHUNK_BASES, Genome

if TYPE_CHECKING:
    from workflow.annotation.models import GeneModels


class BaseClass(IntEnum):
    """Codes of the class track. Where features overlap, the higher code holds."""

    INTERGENIC = 0
    REPEAT = 1  # soft-masked
    PROMOTER = 2
    INTRON = 3
    NCRNA = 4
    UTR3 = 5
    UTR5 = 6
    ACCEPTOR = 7
    DONOR = 8
    CDS_0 = 9
    CDS_1 = 10
    CDS_2 = 11
    GAP = 12  # N


#: Names in the order of the codes, as every reader of the track has them.
CLASS_NAMES = tuple(code.name.lower() for code in BaseClass)
assert CLASS_NAMES == BASE_CLASSES
#: Bases before the transcription start that count as promoter.
PROMOTER_BASES = 1000
#: Intronic bases at either end that count as splice site.
SPLICE_SITE_BASES = 10
#: The shortest introns known have 15 bases (Slabodnick et al. 2017, Curr. Biol. 27:569); what is shorter is a
#: frameshift that the annotation writes as two parts.
SHORTEST_INTRON = 15
_CDS = int(BaseClass.CDS_0)

_CLASS_OF_LETTER = np.full(256, BaseClass.INTERGENIC, np.uint8)
_CLASS_OF_LETTER[ord("a") : ord("z") + 1] = BaseClass.REPEAT
_CLASS_OF_LETTER[[ord("N"), ord("n")]] = BaseClass.GAP


def write_classes(genome: Genome, models: GeneModels, path: Path, chunk_bases: int = CHUNK_BASES) -> dict[str, int]:
    """Write the class of every base as a `.npy` array, (total bases,) uint8, in the order of `genome.lengths`.

    Where features overlap the stronger class holds: gap, CDS, splice sites, UTR, ncRNA, intron, promoter,
    repeat, intergenic. Where coding parts overlap, the first in the order of the gene models gives the codon
    position.

    Parameters
    ----------
    genome : Genome
    models : GeneModels
    path : Path
        File to write.
    chunk_bases : int
        Bases painted at a time.

    Returns
    -------
    dict
        Bases by class.
    """
    layout = Layout(genome.lengths)
    painter = _Painter(models, layout)

    def painted(chunk: tuple[str, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        seqid, offset, start, end = chunk
        classes = _class_of_letters(genome.fetch(seqid, start, end), _CLASS_OF_LETTER)
        painter.paint(classes, offset + start)
        counts = np.zeros(len(BaseClass), np.int64)
        count_codes(classes, counts)
        return classes, counts

    counts = np.zeros(len(BaseClass), np.int64)
    with path.open("wb") as file, Progress("classes of bases", layout.total, "bases") as progress:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (layout.total,)})
        for classes, of_chunk in in_order(painted, _chunks(genome, layout, chunk_bases)):
            file.write(classes.data)
            counts += of_chunk
            progress.advance(len(classes))
    return dict(zip(CLASS_NAMES, counts.tolist(), strict=True))


class ClassTrack:
    """Reads what `write_classes` wrote, slice by slice: memory stays flat, and several threads may read at once.

    Use as a context manager.

    Parameters
    ----------
    path : Path
        The `.npy` file.
    lengths : dict
        Bases by seqid, in the order of the genome's file.

    Raises
    ------
    InputError
        The file does not exist, or does not hold one byte a base.
    """

    def __init__(self, path: Path, lengths: dict[str, int]) -> None:
        layout = Layout(lengths)
        header, shape = _read_header(path)
        if shape != (layout.total,) or path.stat().st_size != header + layout.total:
            raise InputError(f"{path} does not hold {layout.total} bases as the genome does: run stage=prepare again")
        self._first = {
            seqid: header + int(offset) for seqid, offset in zip(layout.seqids, layout.offsets[:-1], strict=True)
        }
        self._file = os.open(path, os.O_RDONLY)

    def __enter__(self) -> ClassTrack:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._file)

    def of(self, seqid: str, start: int, end: int) -> np.ndarray:
        """Codes of [start, end) of a sequence, (end - start,) uint8; 0-based half-open, forward strand."""
        return np.frombuffer(os.pread(self._file, end - start, self._first[seqid] + start), np.uint8)


def _read_header(path: Path) -> tuple[int, tuple[int, ...]]:
    """Bytes of the header of a `.npy` file, and the shape of its array of uint8; no shape for another type."""
    if not path.exists():
        raise InputError(f"{path} does not exist: run stage=prepare first")
    with path.open("rb") as file:
        try:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}): run stage=prepare again") from None
        return file.tell(), tuple(shape) if dtype == np.uint8 else ()


def _chunks(genome: Genome, layout: Layout, chunk_bases: int) -> Iterator[tuple[str, int, int, int]]:
    """Seqid, offset of the sequence, start and end of each chunk."""
    for (seqid, length), offset in zip(genome.lengths.items(), layout.offsets.tolist(), strict=False):
        for start in range(0, length, chunk_bases):
            yield seqid, offset, start, min(start + chunk_bases, length)


# ---------------------------------------------------------------- features


@dataclass(frozen=True)
class _Intervals:
    """Intervals sorted by start, each with a value; `reach` is the largest end so far."""

    start: np.ndarray
    end: np.ndarray
    value: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, start: np.ndarray, end: np.ndarray, value: np.ndarray) -> _Intervals:
        order = np.argsort(start, kind="stable")
        return cls(start[order], end[order], value[order], np.maximum.accumulate(end[order]))

    def overlapping(self, start: int, end: int) -> slice:
        """Rows among which are all that overlap [start, end)."""
        return slice(int(np.searchsorted(self.reach, start, side="right")), int(np.searchsorted(self.start, end)))


class _Painter:
    """All features of a genome, ready to be painted over any stretch of it."""

    def __init__(self, models: GeneModels, layout: Layout) -> None:
        exons, cds = parts_of(models.exons, layout), parts_of(models.cds, layout)
        found = [
            _promoters(models, layout),
            *_introns(exons),
            *_untranslated(exons, cds),
            _noncoding(models, exons),
        ]
        holds = [one < other for one, other, _ in found]
        start = np.concatenate([one[some] for (one, _, _), some in zip(found, holds, strict=True)])
        end = np.concatenate([other[some] for (_, other, _), some in zip(found, holds, strict=True)])
        codes = np.array([code for _, _, code in found], np.uint8)
        self._features = _Intervals.of(start, end, np.repeat(codes, [np.count_nonzero(some) for some in holds]))
        self._frame = _codon_position(models, cds)
        self._coding = _Intervals.of(cds.start, cds.end, np.arange(len(cds.start)))
        self._reverse = cds.reverse

    def paint(self, classes: np.ndarray, first: int) -> None:
        """Paint a stretch of bases, (n,) uint8, that begins at position `first` of the layout."""
        features, coding = self._features, self._coding
        rows = features.overlapping(first, first + len(classes))
        _paint(classes, first, features.start[rows], features.end[rows], features.value[rows])
        rows = coding.overlapping(first, first + len(classes))
        in_order_of_models = np.argsort(coding.value[rows])
        part = coding.value[rows][in_order_of_models]
        _paint_coding(
            classes,
            first,
            coding.start[rows][in_order_of_models],
            coding.end[rows][in_order_of_models],
            self._reverse[part],
            self._frame[part],
        )


_Feature = tuple[np.ndarray, np.ndarray, BaseClass]


def _promoters(models: GeneModels, layout: Layout) -> _Feature:
    """Before each gene's start, as far as the sequence goes."""
    genes = models.genes
    sequence = layout.numbers(genes["seqid"])
    first, after = layout.offsets[sequence], layout.offsets[sequence + 1]
    reverse = (genes["strand"] == "-").to_numpy(bool)
    begin = first + np.where(reverse, genes["end"].to_numpy(np.int64), genes["start"].to_numpy(np.int64))
    begin = np.where(begin > after, begin - (after - first), begin)  # a gene across the origin, read backwards
    start = np.where(reverse, begin, np.maximum(begin - PROMOTER_BASES, first))
    end = np.where(reverse, np.minimum(begin + PROMOTER_BASES, after), begin)
    return start, end, BaseClass.PROMOTER


def _introns(exons: Parts) -> list[_Feature]:
    row, start, end = exons.gaps()
    is_intron = end - start >= SHORTEST_INTRON
    row, start, end = row[is_intron], start[is_intron], end[is_intron]
    left_end, right_start = np.minimum(start + SPLICE_SITE_BASES, end), np.maximum(end - SPLICE_SITE_BASES, start)
    reverse = exons.reverse[row]
    return [
        (start, end, BaseClass.INTRON),
        (np.where(reverse, right_start, start), np.where(reverse, end, left_end), BaseClass.DONOR),
        (np.where(reverse, start, right_start), np.where(reverse, left_end, end), BaseClass.ACCEPTOR),
    ]


def _untranslated(exons: Parts, cds: Parts) -> list[_Feature]:
    """What exons of coding transcripts have on either side of the coding parts."""
    first = cds.first_rows()
    coding = cds.transcript[first]
    if not len(coding):
        return []
    at = np.minimum(np.searchsorted(coding, exons.transcript), len(coding) - 1)
    row = np.flatnonzero(coding[at] == exons.transcript)
    coding_start = np.minimum.reduceat(cds.start, first)[at[row]]
    coding_end = np.maximum.reduceat(cds.end, first)[at[row]]
    start, end, reverse = exons.start[row], exons.end[row], exons.reverse[row]
    left = start, np.minimum(end, coding_start)
    right = np.maximum(start, coding_end), end
    return [
        (np.where(reverse, right[0], left[0]), np.where(reverse, right[1], left[1]), BaseClass.UTR5),
        (np.where(reverse, left[0], right[0]), np.where(reverse, left[1], right[1]), BaseClass.UTR3),
    ]


def _noncoding(models: GeneModels, exons: Parts) -> _Feature:
    """Exons of transcripts that do not code; pseudogenes, and mRNAs of which no CDS is known, are no ncRNA."""
    transcripts = models.transcripts
    is_other = transcripts["type"].str.contains("mRNA|pseudo").to_numpy(bool)
    is_ncrna = ~transcripts["coding"].to_numpy(bool) & ~is_other
    row = np.flatnonzero(is_ncrna[exons.transcript])
    return exons.start[row], exons.end[row], BaseClass.NCRNA


def _codon_position(models: GeneModels, cds: Parts) -> np.ndarray:
    """Codon position of the first base that is read of each part, (n,) int64; the part's phase says it.

    A part that is the second piece of one across the origin has the phase that the first piece leaves.
    """
    phase = models.cds["phase"].to_numpy(np.int64)[cds.row]
    before = np.where(cds.is_second, np.append(0, cds.length[:-1]), 0)
    position: np.ndarray = (before - phase) % 3
    return position


# ---------------------------------------------------------------- kernels


@numba.njit(nogil=True, cache=True)
def _class_of_letters(bases: np.ndarray, class_of_letter: np.ndarray) -> np.ndarray:
    """Repeat, gap or intergenic."""
    classes = np.empty(len(bases), np.uint8)
    for at in range(len(bases)):
        classes[at] = class_of_letter[bases[at]]
    return classes


@numba.njit(nogil=True, cache=True)
def _paint(classes: np.ndarray, first: int, start: np.ndarray, end: np.ndarray, code: np.ndarray) -> None:
    """Raise the classes of each interval to its code."""
    for row in range(len(start)):
        of_row = code[row]
        for at in range(max(start[row] - first, 0), min(end[row] - first, len(classes))):
            classes[at] = max(classes[at], of_row)


@numba.njit(nogil=True, cache=True)
def _paint_coding(
    classes: np.ndarray, first: int, start: np.ndarray, end: np.ndarray, reverse: np.ndarray, frame: np.ndarray
) -> None:
    """Give each base its codon position, unless an earlier row has given it one or it is a gap."""
    for row in range(len(start)):
        begin, after = max(start[row] - first, 0), min(end[row] - first, len(classes))
        step = 2 if reverse[row] else 1  # backwards is two forwards, modulo 3
        read = end[row] - 1 - first - begin if reverse[row] else begin + first - start[row]
        position = (frame[row] + read) % 3
        for at in range(begin, after):
            if classes[at] < _CDS:
                classes[at] = _CDS + position
            position += step
            if position > 2:
                position -= 3


@numba.njit(nogil=True, cache=True)
def count_codes(codes: np.ndarray, counts: np.ndarray) -> None:
    """Add the number of each code, (n,) uint8, to `counts`; codes come in long runs."""
    run = 0
    for at in range(1, len(codes) + 1):
        if at == len(codes) or codes[at] != codes[run]:
            counts[codes[run]] += at - run
            run = at
