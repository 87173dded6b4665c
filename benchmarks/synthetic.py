"""A made-up polyploid plant genome: homologous copies, genes, soft-masked repeats, gaps, unplaced scaffolds.

python benchmarks/synthetic.py --bases 1e9 --haplotypes 8 --groups 4 --genes 40000 --out FOLDER [--gzip]

FOLDER gets `genome.fa` (or `genome.fa.gz`; chromosomes Chr1A … Chr4H, then scaffold_1 …, of each group) and
`genes.gff3`. Each homolog group has one ancestor, and every copy differs from it by half the divergence, so that any
two copies differ from one another by all of it. What lies in coding sequences is the same in all copies: their reading
frames stay open. Memory is that of a few chromosomes.
"""

from __future__ import annotations

import argparse
import gzip
import os
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from synthetic_genes import CODING, GAP, MASKED, Genes, gff3_lines, lay_out_genes, write_reading_frames

from workflow.console import Progress, say

#: By the numbers of `synthetic_genes`.
_LETTERS = np.frombuffer(b"ACGTacgtACGTacgtN", np.uint8)
#: 44 % GC by a table that a random byte is looked up in.
_BASE_OF_BYTE = np.repeat(np.arange(4, dtype=np.uint8), [72, 56, 56, 72])[:256]
UNPLACED_SHARE = 0.03
REPEAT_SHARE = 0.6
_FAMILIES = 200
_INDELS_PER_SUBSTITUTION = 0.1
_LONGEST_INDEL = 20
_BASES_PER_GAP = 1_000_000
_LINE = 80
_LINES_AT_A_TIME = 100_000


@dataclass(frozen=True)
class Lift:
    """Where the bases of an ancestor lie in a copy of it, as stretches that the copy kept.

    Attributes
    ----------
    source, target, length : (n,) int64
        First base of each stretch in the ancestor and in the copy, and its bases.
    """

    source: np.ndarray
    target: np.ndarray
    length: np.ndarray

    def starts(self, positions: np.ndarray) -> np.ndarray:
        """Place in the copy of each base, or of the next one that was kept; (n,) int64."""
        return self._place(positions, "right")

    def ends(self, positions: np.ndarray) -> np.ndarray:
        """The same for half-open ends: what was inserted before one is not part of the feature."""
        return self._place(positions, "left")

    def _place(self, positions: np.ndarray, side: str) -> np.ndarray:
        stretch = np.searchsorted(self.source, positions, side) - 1  # type: ignore[call-overload]
        places: np.ndarray = self.target[stretch] + np.minimum(positions - self.source[stretch], self.length[stretch])
        return places


def random_bases(rng: np.random.Generator, count: int) -> np.ndarray:
    """Unmasked bases without order, (count,) uint8."""
    bases: np.ndarray = _BASE_OF_BYTE[rng.integers(0, 256, count, np.uint8)]
    return bases


def substitute(bases: np.ndarray, share: float, rng: np.random.Generator) -> None:
    """Change a share of the bases in place, but none in coding sequences or gaps."""
    positions = rng.integers(0, len(bases), rng.binomial(len(bases), share))
    positions = positions[bases[positions] < CODING]
    bases[positions] ^= rng.integers(1, 4, len(positions), np.uint8)


def add_repeats(bases: np.ndarray, families: list[np.ndarray], rng: np.random.Generator) -> None:
    """Write soft-masked copies of repeat families over `REPEAT_SHARE` of the bases, each 2 to 20 % diverged."""
    spacer = np.mean([len(family) for family in families]) * (1 / REPEAT_SHARE - 1)
    start = int(rng.exponential(spacer))
    while start < len(bases):
        copy = families[rng.integers(len(families))].copy()
        substitute(copy, rng.uniform(0.02, 0.2), rng)
        if rng.random() < 0.5:
            copy = copy[::-1] ^ 3
        end = min(start + len(copy), len(bases))
        bases[start:end] = copy[: end - start] | MASKED
        start = end + int(rng.exponential(spacer))


def diverge(ancestor: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, Lift]:
    """A copy with substitutions in this share of the bases and a tenth as many indels of 1 to 20 bases.

    Returns
    -------
    (m,) uint8
        The copy.
    Lift
        Where the ancestor's bases lie in it.
    """
    # Apart by more than an indel, and at neither end of the sequence.
    wanted = rng.binomial(len(ancestor), share * _INDELS_PER_SUBSTITUTION)
    places = np.sort(rng.integers(1, len(ancestor) - _LONGEST_INDEL, wanted))
    places = places[np.diff(places, prepend=-_LONGEST_INDEL) > _LONGEST_INDEL]
    lengths = rng.integers(1, _LONGEST_INDEL + 1, len(places))
    # No coding part is short enough to lie between two bases that a deletion joins.
    free = (ancestor[places] < CODING) & (ancestor[places + lengths] < CODING)
    places, lengths = places[free], lengths[free]
    is_deletion = rng.random(len(places)) < 0.5
    removed, inserted = np.where(is_deletion, lengths, 0), np.where(is_deletion, 0, lengths)
    source = np.concatenate([[0], places + removed])
    length = np.concatenate([places, [len(ancestor)]]) - source
    new = random_bases(rng, int(inserted.sum())) | np.repeat(ancestor[places] & MASKED, inserted)
    kept = np.split(ancestor, np.ravel(np.column_stack([places, places + removed])))[::2]
    added = [new[:0], *np.split(new, np.cumsum(inserted)[:-1])] if len(places) else [new]
    copy = np.concatenate([piece for pair in zip(added, kept, strict=True) for piece in pair])
    substitute(copy, share, rng)
    target = np.cumsum(length + np.concatenate([[0], inserted])) - length
    return copy, Lift(source, target, length)


def add_gaps(bases: np.ndarray, rng: np.random.Generator) -> None:
    """Write N over stretches of 100 to 10,000 bases, about one in a million bases, but not over coding ones."""
    for _ in range(1 + len(bases) // _BASES_PER_GAP):
        length = int(rng.integers(100, min(10_000, len(bases) // 10) + 1))
        start = int(rng.integers(0, len(bases) - length))
        if not (bases[start : start + length] & CODING).any():
            bases[start : start + length] = GAP


def write_record(fasta: BinaryIO | gzip.GzipFile, seqid: str, bases: np.ndarray) -> None:
    """Write a sequence in lines of 80 letters."""
    fasta.write(f">{seqid}\n".encode())
    for start in range(0, len(bases), _LINE * _LINES_AT_A_TIME):
        letters = _LETTERS[bases[start : start + _LINE * _LINES_AT_A_TIME]]
        whole = len(letters) // _LINE * _LINE
        lines = np.full((whole // _LINE, _LINE + 1), ord("\n"), np.uint8)
        lines[:, :_LINE] = letters[:whole].reshape(-1, _LINE)
        fasta.write(lines.data)
        if whole < len(letters):
            fasta.write(letters[whole:].tobytes() + b"\n")


@dataclass(frozen=True)
class Plan:
    """What to make.

    Attributes
    ----------
    bases, genes : int
        In all copies together, nearly.
    groups, haplotypes : int
        Homolog groups, and copies of each.
    divergence : float
        Substitutions in a base between two copies.
    seed : int
    """

    bases: int
    genes: int
    groups: int = 4
    haplotypes: int = 8
    divergence: float = 0.01
    seed: int = 0

    def chromosomes(self) -> Iterator[tuple[int, int]]:
        """Bases and genes of a chromosome of each group; the longest is 1.5 times the shortest."""
        shares = np.linspace(1.2, 0.8, self.groups) / np.linspace(1.2, 0.8, self.groups).sum() / self.haplotypes
        for share in shares.tolist():
            yield round(share * self.bases * (1 - UNPLACED_SHARE)), round(share * self.genes)

    def names(self, group: int) -> list[tuple[str, str]]:
        """Sequence name and prefix of the gene names of each copy of a group, which is counted from 0."""
        letters = string.ascii_uppercase[: self.haplotypes]
        return [(f"Chr{group + 1}{letter}", f"Syn_So{group + 1}{letter}") for letter in letters]


def write_genome(plan: Plan, fasta: BinaryIO | gzip.GzipFile, gff3: BinaryIO) -> None:
    """Write all sequences and their genes, group by group.

    Raises
    ------
    ValueError
        There are more genes than fit.
    """
    shared = np.random.default_rng(plan.seed)
    families = [random_bases(shared, int(length)) for length in shared.integers(1000, 10_001, _FAMILIES)]
    gff3.write(b"##gff-version 3\n")
    scaffolds = 0
    with Progress("writing a synthetic genome", plan.bases, "bases") as progress:
        for group, (length, count) in enumerate(plan.chromosomes()):
            rng = np.random.default_rng([plan.seed, group])
            genes = lay_out_genes(length, count, rng)
            ancestor = random_bases(rng, length)
            add_repeats(ancestor, families, rng)
            write_reading_frames(ancestor, genes, rng)
            for seqid, prefix in plan.names(group):
                copy, lift = diverge(ancestor, plan.divergence / 2, rng)
                add_gaps(copy, rng)
                write_record(fasta, seqid, copy)
                gff3.write("".join(gff3_lines(seqid, prefix, lifted(genes, lift))).encode())
                progress.advance(len(copy))
            left = round(length * plan.haplotypes * UNPLACED_SHARE / (1 - UNPLACED_SHARE))
            for piece in pieces_of(ancestor, left, rng):
                scaffolds += 1
                write_record(fasta, f"scaffold_{scaffolds}", diverge(piece, plan.divergence / 2, rng)[0])


def lifted(genes: Genes, lift: Lift) -> Genes:
    """The genes of an ancestor at their places in a copy."""
    start, coding_start = lift.starts(genes.start), lift.starts(genes.coding_start)
    end, coding_end = lift.ends(genes.end), lift.ends(genes.coding_end)
    return Genes(genes.gene, genes.minus, start, end, coding_start, coding_end, genes.phase)


def pieces_of(ancestor: np.ndarray, total: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pieces of 10 to 100 kb from anywhere, on either strand, with `total` bases together, nearly."""
    while total > 0:
        length = min(int(rng.integers(10_000, 100_001)), len(ancestor), max(total, 1000))
        start = int(rng.integers(0, len(ancestor) - length + 1))
        piece = ancestor[start : start + length]
        yield piece if rng.random() < 0.5 else piece[::-1] ^ 3
        total -= length


def write_annotation(plan: Plan, gff3: BinaryIO) -> dict[str, int]:
    """Write the genes of such a genome without its bases; the length of each sequence by name."""
    lengths: dict[str, int] = {}
    for group, (length, count) in enumerate(plan.chromosomes()):
        genes = lay_out_genes(length, count, np.random.default_rng([plan.seed, group]))
        for seqid, prefix in plan.names(group):
            gff3.write("".join(gff3_lines(seqid, prefix, genes)).encode())
            lengths[seqid] = length
    return lengths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whole = lambda text: int(float(text))  # noqa: E731
    parser.add_argument("--bases", type=whole, default=10**9)
    parser.add_argument("--haplotypes", type=int, default=8)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--divergence", type=float, default=0.01)
    parser.add_argument("--genes", type=whole, default=40_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--gzip", action="store_true")
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"--out {options.out} is already there: remove it or give another folder")
    if not 1 <= options.haplotypes <= len(string.ascii_uppercase) or options.groups < 1:
        parser.error("--haplotypes must lie between 1 and 26, --groups must be positive")
    plan = Plan(options.bases, options.genes, options.groups, options.haplotypes, options.divergence, options.seed)
    building = options.out.with_name(options.out.name + ".part")
    building.mkdir(parents=True, exist_ok=True)
    path = building / "genome.fa"
    try:
        with (
            gzip.open(f"{path}.gz", "wb", compresslevel=1) if options.gzip else path.open("wb") as fasta,
            (building / "genes.gff3").open("wb") as gff3,
        ):
            write_genome(plan, fasta, gff3)
    except ValueError as error:
        parser.error(str(error))
    os.replace(building, options.out)
    say(f"{options.out}: done")


if __name__ == "__main__":
    main()
