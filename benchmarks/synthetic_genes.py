"""Genes of a made-up genome: where their exons lie, their reading frames, and their GFF3 lines.

Coordinates are 0-based half-open on the forward strand.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: A base is a number: 2 bits for A, C, G, T, so that `^ 3` is the complement; one bit for soft-masked and one for
#: coding, which no mutation touches; or a gap.
MASKED, CODING, GAP = 4, 8, 16
_STOPS = ((3, 0, 0), (3, 0, 2), (3, 2, 0))  # TAA, TAG, TGA
_SENSE = np.array([codon for codon in itertools.product(range(4), repeat=3) if codon not in _STOPS], np.uint8)
_START = (0, 3, 2)  # ATG

#: More than the longest gene that `lay_out_genes` makes.
BASES_PER_GENE = 15_000
_MOST_EXONS = 12


@dataclass(frozen=True)
class Genes:
    """Exons of the genes of a sequence, in the order of transcription within each; every one has a coding part.

    Attributes
    ----------
    gene : (n,) int64
        Number of the gene, from 0, ascending.
    minus : (n,) bool
        Whether it is on the minus strand.
    start, end, coding_start, coding_end : (n,) int64
        0-based half-open, on the forward strand.
    phase : (n,) int64
        Bases to pass over for the next codon, as in GFF3.
    """

    gene: np.ndarray
    minus: np.ndarray
    start: np.ndarray
    end: np.ndarray
    coding_start: np.ndarray
    coding_end: np.ndarray
    phase: np.ndarray


def lay_out_genes(length: int, count: int, rng: np.random.Generator) -> Genes:
    """Genes of 1 to 12 exons, one in each of `count` equal parts of a sequence, with UTRs and whole codons.

    Raises
    ------
    ValueError
        So many do not fit.
    """
    if count * BASES_PER_GENE > length:
        raise ValueError(f"{count} genes do not fit into {length} bases: at most one in {BASES_PER_GENE}")
    exons = np.minimum(rng.geometric(0.25, count), _MOST_EXONS)
    gene = np.repeat(np.arange(count), exons)
    last = np.cumsum(exons) - 1
    first = last - exons + 1
    coding = rng.integers(100, 400, len(gene))
    coding[last] += -np.add.reduceat(coding, first) % 3 if count else 0
    utr5, utr3, intron = np.zeros_like(coding), np.zeros_like(coding), rng.integers(80, 800, len(gene))
    utr5[first], utr3[last], intron[first] = rng.integers(50, 200, count), rng.integers(100, 300, count), 0
    transcribed = utr5 + coding + utr3
    # Places from the transcription start, then on the forward strand.
    end = _cumulative(intron + transcribed, first, exons)
    span, part = end[last], length // max(count, 1)
    gene_start = np.arange(count) * part + rng.integers(0, part - span + 1)
    minus = np.repeat(rng.random(count) < 0.5, exons)
    start = gene_start[gene] + np.where(minus, span[gene] - end, end - transcribed)
    coding_start = start + np.where(minus, utr3, utr5)
    phase = -(_cumulative(coding, first, exons) - coding) % 3
    return Genes(gene, minus, start, start + transcribed, coding_start, coding_start + coding, phase)


def _cumulative(values: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Cumulative sum within each gene."""
    sums = np.cumsum(values)
    before = sums[first] - values[first]
    within: np.ndarray = sums - np.repeat(before, counts)
    return within


def write_reading_frames(bases: np.ndarray, genes: Genes, rng: np.random.Generator) -> None:
    """Write an open reading frame, ATG … stop, into the coding parts of each gene; exons are not soft-masked."""
    lengths = genes.coding_end - genes.coding_start
    ends = np.cumsum(lengths)
    codons = _SENSE[rng.integers(0, len(_SENSE), ends[-1] // 3 if len(ends) else 0)]
    last = ends[np.flatnonzero(np.diff(genes.gene, append=-1))] // 3 - 1
    codons[last] = np.array(_STOPS, np.uint8)[rng.integers(0, 3, len(last))]
    codons[np.concatenate([[0], last[:-1] + 1])[: len(last)]] = _START
    text = codons.ravel() | CODING
    columns = (genes.start, genes.end, genes.coding_start, genes.coding_end, ends - lengths, ends, genes.minus)
    for start, end, coding_start, coding_end, begin, stop, minus in zip(*(c.tolist() for c in columns), strict=True):
        bases[start:end] &= 3
        bases[coding_start:coding_end] = text[begin:stop][::-1] ^ 3 if minus else text[begin:stop]


def gff3_lines(seqid: str, prefix: str, genes: Genes) -> Iterator[str]:
    """Gene, mRNA, exon and CDS lines, one transcript a gene; names are made like those of XTT22's genes."""
    if len(genes.gene) == 0:
        return
    first = np.flatnonzero(np.diff(genes.gene, prepend=-1))
    starts, ends = np.minimum.reduceat(genes.start, first).tolist(), np.maximum.reduceat(genes.end, first).tolist()
    columns = (genes.gene, genes.minus, genes.start, genes.end, genes.coding_start, genes.coding_end, genes.phase)
    before, number = -1, 0
    for gene, minus, start, end, coding_start, coding_end, phase in zip(*(c.tolist() for c in columns), strict=True):
        strand, name = "-" if minus else "+", f"{prefix}{gene + 1:07d}"
        if gene != before:
            span = f"{starts[gene] + 1}\t{ends[gene]}\t.\t{strand}\t."
            yield f"{seqid}\tsynthetic\tgene\t{span}\tID={name};Name={name}\n"
            yield f"{seqid}\tsynthetic\tmRNA\t{span}\tID={name}.t1;Parent={name};Name={name}.t1\n"
            before, number = gene, 0
        number += 1
        exon = f"{start + 1}\t{end}\t.\t{strand}\t."
        yield f"{seqid}\tsynthetic\texon\t{exon}\tID={name}.t1.exon{number};Parent={name}.t1\n"
        coding = f"{coding_start + 1}\t{coding_end}\t.\t{strand}\t{phase}"
        yield f"{seqid}\tsynthetic\tCDS\t{coding}\tID={name}.t1.cds;Parent={name}.t1\n"
