from __future__ import annotations

import numpy as np
import pytest
from Bio import Align
from Bio.Align import substitution_matrices
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.generation.alignment import align
from tests.evaluation.generation.conftest import random_dna

#: One codon of each residue.
CODONS = {
    "A": "GCT", "R": "CGT", "N": "AAT", "D": "GAT", "C": "TGT", "Q": "CAA", "E": "GAA", "G": "GGA", "H": "CAT",
    "I": "ATT", "L": "CTT", "K": "AAA", "M": "ATG", "F": "TTT", "P": "CCT", "S": "TCT", "T": "ACT", "W": "TGG",
    "Y": "TAT", "V": "GTT",
}  # fmt: skip


def random_protein(length: int, seed: int) -> str:
    return "M" + "".join(np.random.default_rng(seed).choice(list(CODONS), length - 1))


def coding(protein: str) -> str:
    return "".join(CODONS[residue] for residue in protein)


def intron(length: int, seed: int) -> str:
    return "GTAAGT" + random_dna(length - 8, seed) + "AG"


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("second", [0, 1, 2])
def test_a_gene_with_two_introns_in_every_phase_is_recovered_exactly(first: int, second: int) -> None:
    protein = random_protein(90, seed=3)
    bases = coding(protein)
    places = [90 + first, 180 + second]
    parts = [bases[: places[0]], bases[places[0] : places[1]], bases[places[1] :]]
    introns = [intron(85, seed=7), intron(140, seed=8)]
    before, after = random_dna(211, seed=1), random_dna(97, seed=2)
    dna = before + parts[0] + introns[0] + parts[1] + introns[1] + parts[2] + after
    found = align(protein, dna, spliced=True)
    assert found.identical.all()
    assert (found.shifts, found.stops) == (0, 0)
    assert [end - start for start, end in found.introns] == [85, 140]
    spliced = dna[: found.introns[0][0]] + dna[found.introns[0][1] : found.introns[1][0]] + dna[found.introns[1][1] :]
    assert str(Seq(spliced[len(before) : len(before) + 270]).translate()) == protein
    assert found.ends[0] == len(before) + 3
    assert found.ends[-1] == len(dna) - len(after)
    assert (np.diff(found.ends) >= 3).all()


def test_introns_are_not_looked_for_where_there_are_none() -> None:
    protein = random_protein(60, seed=4)
    bases = coding(protein)
    dna = bases[:90] + intron(61, seed=9) + bases[90:]
    found = align(protein, dna, spliced=False)
    assert not found.introns and found.shifts == 1
    found = align(protein, dna, spliced=True)
    assert found.identical.all() and not found.shifts


@pytest.mark.parametrize(("cut", "extra"), [(1, ""), (2, ""), (0, "A"), (0, "AC")])
def test_a_frameshift_costs_at_most_a_residue(cut: int, extra: str) -> None:
    protein = random_protein(80, seed=5)
    bases = coding(protein)
    found = align(protein, bases[:120] + extra + bases[120 + cut :], spliced=False)
    assert found.shifts == 1
    assert found.identical.sum() >= 79
    assert found.ends[-1] == len(bases) + len(extra) - cut


def test_substitutions_stops_and_gaps() -> None:
    protein = random_protein(80, seed=6)
    bases = coding(protein)
    changed = "TGG" if protein[40] != "W" else "GGA"
    found = align(protein, bases[:120] + changed + bases[123:], spliced=False)
    assert np.flatnonzero(~found.identical).tolist() == [40]
    found = align(protein, bases[:120] + "TAA" + bases[123:], spliced=False)
    assert (found.stops, int(found.identical.sum())) == (1, 79)
    found = align(protein, bases[:120] + bases[135:], spliced=False)
    assert np.flatnonzero(found.ends < 0).tolist() == list(range(40, 45))
    assert found.identical.sum() == 75 and found.shifts == 0
    found = align(protein, bases[:120] + "GGAGGAGGA" + bases[120:], spliced=False)
    assert found.identical.all() and found.ends[-1] == len(bases) + 9
    found = align(protein, bases[:120] + "NNN" + bases[123:], spliced=False)
    assert np.flatnonzero(~found.identical).tolist() == [40]


def test_an_insertion_with_a_stop_in_it_counts_the_stop() -> None:
    protein = random_protein(80, seed=6)
    bases = coding(protein)
    found = align(protein, bases[:120] + "GGATAAGGA" + bases[120:], spliced=False)
    assert found.stops == 1 and found.identical.sum() == 80


def test_nothing_similar_and_nothing_at_all() -> None:
    assert align("WWWWHHHHCCCC", "A" * 200, spliced=True).score == 0
    for protein, dna in (("", "ACGT"), ("M", ""), ("M", "AT")):
        found = align(protein, dna, spliced=True)
        assert len(found.ends) == len(protein) and not found.identical.any()
    # Unknown residues are never recovered.
    assert align("MXM", "ATGNNNATG", spliced=False).identical.tolist() == [True, False, True]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), errors=st.integers(0, 12))
def test_without_introns_and_shifts_the_score_is_that_of_biopython(seed: int, errors: int) -> None:
    generator = np.random.default_rng(seed)
    protein = random_protein(50, seed)
    letters = list(coding(protein))
    for place in generator.choice(50, errors, replace=False):
        letters[3 * place : 3 * place + 3] = CODONS[generator.choice(list(CODONS))]
    dna = "".join(letters)
    aligner = Align.PairwiseAligner(mode="local", substitution_matrix=substitution_matrices.load("BLOSUM62"))
    aligner.open_gap_score, aligner.extend_gap_score = -12, -1
    frames = [str(Seq(dna[frame : frame + (len(dna) - frame) // 3 * 3]).translate()) for frame in range(3)]
    expected = max(aligner.score(protein, frame.replace("*", "X")) for frame in frames)
    found = align(protein, dna, spliced=False).score
    # A frameshift can only add.
    assert found >= expected
    if errors <= 3:
        assert found == expected
