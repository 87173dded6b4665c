from __future__ import annotations

import numpy as np
import pytest

from workflow.elements.mutagenesis import (
    REFERENCE,
    Region,
    differences,
    mutants,
    mutated_part,
    mutations,
    parse_region,
)
from workflow.errors import InputError

LENGTHS = {"chr1": 5000, "HLA:B*07": 100}


def test_regions_are_read() -> None:
    assert parse_region("chr1:1,000-2000", LENGTHS) == Region("chr1", 1000, 2000)
    assert parse_region("HLA:B*07:0-100", LENGTHS) == Region("HLA:B*07", 0, 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1", "must be seqid:start-end"),
        ("chr1:5..9", "must be seqid:start-end"),
        ("chr1:-5-9", "must be seqid:start-end"),
        ("Chr1:0-9", "the genome has no sequence Chr1; did you mean chr1"),
        ("chr1:9-9", "is not within the sequence's 5000 bases, or has none"),
        ("chr1:0-5001", "is not within the sequence's 5000 bases"),
        ("chr1:,-9", "is not within the sequence's 5000 bases"),
    ],
)
def test_unusable_regions_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_region(text, LENGTHS)


@pytest.mark.parametrize(
    ("length", "mutated", "part"), [(10, 4, (3, 7)), (10, 3, (3, 6)), (5, 5, (0, 5)), (5, 9, (0, 5)), (1, 1, (0, 1))]
)
def test_the_middle_is_mutated(length: int, mutated: int, part: tuple[int, int]) -> None:
    assert mutated_part(length, mutated) == slice(*part)


def test_each_base_is_put_in_place_of_each_other_one() -> None:
    bases = np.frombuffer(b"AcNgT", np.uint8)
    wanted = mutations(bases, slice(1, 4))
    assert wanted[["offset", "ref", "alt"]].to_numpy().tolist() == [
        [1, "C", "A"],
        [1, "C", "G"],
        [1, "C", "T"],
        [3, "G", "A"],
        [3, "G", "C"],
        [3, "G", "T"],
    ]
    made = {name: sequence.tobytes().decode() for name, sequence in mutants(bases, wanted).items()}
    assert list(made.values()) == ["ACNGT", "AANGT", "AGNGT", "ATNGT", "ACNAT", "ACNCT", "ACNTT"]
    assert next(iter(made)) == REFERENCE


def test_differences_are_positive_where_the_mutant_is_more_likely() -> None:
    wanted = mutations(np.frombuffer(b"A", np.uint8), slice(0, 1))
    totals = dict(zip([REFERENCE, *wanted["name"]], [-10.0, -9.0, -10.0, -12.5], strict=True))
    assert differences(totals, wanted).tolist() == [1.0, 0.0, -2.5]
