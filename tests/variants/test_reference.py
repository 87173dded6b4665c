from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.errors import InputError
from workflow.genome.sequences import Genome
from workflow.variants.reference import check_bases, place

TABLE = Path("table.csv")
GenomeOf = Callable[[dict[str, str]], Genome]


def variants(*rows: tuple[str, int, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["chromosome", "position", "ref"])
    names = table["chromosome"] + ":" + table["position"].astype(str) + ":" + table["ref"] + ":N"
    return table.assign(line=range(2, len(rows) + 2), variant_id=names, reason=None)


def random_bases(length: int) -> str:
    return "".join(np.random.default_rng(3).choice(list("ACGT"), length))


def test_first_and_last_base_and_one_beyond(genome_of: GenomeOf) -> None:
    genome = genome_of({"s": "ACGTac"})
    placed = place(
        variants(("s", 1, "A"), ("s", 5, "AC"), ("s", 6, "C"), ("s", 6, "CA"), ("s", 0, "T")), genome, TABLE, None, None
    )
    assert placed["start"].tolist() == [0, 4, 5, 5, -1]
    outside = "outside of the reference sequence"
    assert placed["reason"].fillna("").tolist() == ["", "", "", outside, outside]
    assert check_bases(placed, genome, TABLE, None) == 3


def test_names_may_lack_chr_and_an_exact_name_goes_first(genome_of: GenomeOf) -> None:
    genome = genome_of({"chr1": "AAAA", "2": "CCCC", "chr2": "GGGG", "CHR3": "TTTT"})
    rows = variants(("1", 1, "A"), ("2", 1, "C"), ("chr2", 1, "G"), ("Chr2", 1, "G"), ("3", 1, "T"), ("4", 1, "A"))
    placed = place(rows, genome, TABLE, None, None)
    assert placed["seqid"].fillna("-").tolist() == ["chr1", "2", "chr2", "-", "CHR3", "-"]
    assert placed["reason"].tolist()[3] == placed["reason"].tolist()[5] == "sequence is not in the reference"
    assert check_bases(placed, genome, TABLE, None) == 4


def test_a_part_of_a_chromosome(genome_of: GenomeOf) -> None:
    genome = genome_of({"part": "ACGTACGT"})
    placed = place(variants(("chr17", 1001, "A"), ("17", 1008, "T"), ("5", 1001, "A")), genome, TABLE, 1001, "17")
    assert placed["seqid"].tolist()[:2] == ["part", "part"]
    assert placed["start"].tolist()[:2] == [0, 7]
    assert placed["reason"].tolist()[2] == "sequence is not in the reference"


def test_sites_are_counted_once(genome_of: GenomeOf) -> None:
    genome = genome_of({"s": "ACGT"})
    placed = place(variants(("s", 1, "A"), ("s", 1, "A"), ("s", 1, "AC"), ("s", 4, "T")), genome, TABLE, None, None)
    assert check_bases(placed, genome, TABLE, None) == 3


@pytest.mark.parametrize("shift", [-5, -1, 1, 5])
def test_wrong_coordinates_are_told_with_the_right_ones(genome_of: GenomeOf, shift: int) -> None:
    bases = random_bases(200)
    genome = genome_of({"s": bases})
    # Coordinates such that the FASTA's first base is 1001, while the user says 1001 − shift.
    rows = variants(*(("s", 1001 + start, bases[start]) for start in range(10, 190, 3)))
    right = place(rows, genome, TABLE, 1001, None)
    assert check_bases(right, genome, TABLE, 1001) == 60
    wrong = place(rows, genome, TABLE, 1001 + shift, None)
    with pytest.raises(
        InputError, match=r"table.csv, row \d+: s:\d+:.*of 60 reference alleles agree.*first_position=1001"
    ):
        check_bases(wrong, genome, TABLE, 1001 + shift)


def test_positions_from_zero_are_told(genome_of: GenomeOf) -> None:
    bases = random_bases(60)
    genome = genome_of({"s": bases})
    placed = place(variants(*(("s", start, bases[start]) for start in range(1, 60))), genome, TABLE, None, None)
    with pytest.raises(InputError, match=r"set variants.first_position=0"):
        check_bases(placed, genome, TABLE, None)


def test_the_other_strand_is_told(genome_of: GenomeOf) -> None:
    bases = random_bases(60)
    genome = genome_of({"s": bases})
    complement = bases.translate(str.maketrans("ACGT", "TGCA"))
    placed = place(variants(*(("s", start + 1, complement[start]) for start in range(60))), genome, TABLE, None, None)
    with pytest.raises(InputError, match=r"0 of 60 reference alleles agree. All are bases of the other strand"):
        check_bases(placed, genome, TABLE, None)


def test_another_sequence_is_told_without_a_hint_that_chance_gives(genome_of: GenomeOf) -> None:
    genome = genome_of({"s": "ACGT" * 10})
    placed = place(variants(("s", 1, "C")), genome, TABLE, None, None)
    with pytest.raises(
        InputError, match=r"the reference has A there; 0 of 1 reference alleles agree. No shift by up to 5"
    ):
        check_bases(placed, genome, TABLE, None)


def test_no_variant_on_the_reference(genome_of: GenomeOf) -> None:
    genome = genome_of({"part": "ACGT"})
    with pytest.raises(InputError, match=r"row 2 is 17:9:A:N, and the reference has part \(4 bases\).*sequence_name"):
        place(variants(("17", 9, "A")), genome, TABLE, None, None)


def test_a_name_for_several_sequences_is_refused(genome_of: GenomeOf) -> None:
    genome = genome_of({"a": "ACGT", "b": "ACGT"})
    with pytest.raises(InputError, match=r"variants.sequence_name=17 is for a reference of one sequence, this has 2"):
        place(variants(("17", 1, "A")), genome, TABLE, None, "17")
