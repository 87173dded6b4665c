from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.genome.sequences import Genome
from workflow.variants.windows import FLANK, WindowPairs, flanks, window_bounds

GenomeOf = Callable[[dict[str, str]], Genome]


def text(bases: np.ndarray) -> str:
    return bases.tobytes().decode()


@pytest.mark.parametrize(
    ("start", "ref_length", "length", "window", "expected"),
    [
        (50, 1, 100, 10, (45, 55)),
        (50, 1, 100, 11, (45, 56)),
        (50, 3, 100, 10, (46, 56)),
        (0, 1, 100, 10, (0, 10)),
        (5, 1, 100, 10, (0, 10)),
        (6, 1, 100, 10, (1, 11)),
        (99, 1, 100, 10, (90, 100)),
        (94, 1, 100, 10, (89, 99)),
        (3, 1, 8, 10, (0, 8)),
    ],
)
def test_bounds(start: int, ref_length: int, length: int, window: int, expected: tuple[int, int]) -> None:
    found = window_bounds(np.array([start]), np.array([ref_length]), np.array([length]), window)
    assert tuple(found[0]) == expected


@given(st.data())
def test_the_allele_lies_in_its_window(data: st.DataObject) -> None:
    length, window = data.draw(st.integers(4, 60)), data.draw(st.integers(4, 40))
    start = data.draw(st.integers(0, length - 1))
    ref_length = data.draw(st.integers(1, min(window // 2, length - start)))
    ((low, high),) = window_bounds(np.array([start]), np.array([ref_length]), np.array([length]), window)
    assert 0 <= low <= start and start + ref_length <= high <= length
    assert high - low == min(window, length)


def table(*rows: tuple[str, int, str, str, int, int]) -> pd.DataFrame:
    columns = ["seqid", "start", "ref", "alt", "window_start", "window_end"]
    made = pd.DataFrame(rows, columns=columns)
    return made.assign(variant_id=[f"v{number}" for number in range(len(made))])


def test_flanks_are_the_same_whatever_the_allele(genome_of: GenomeOf) -> None:
    genome = genome_of({"s": "aaccGTTGGA"})
    pairs = WindowPairs(
        table(
            ("s", 4, "G", "A", 2, 8),
            ("s", 4, "G", "GCC", 2, 8),
            ("s", 4, "GTT", "G", 2, 8),
            ("s", 4, "GT", "CA", 2, 8),
            ("s", 0, "A", "T", 0, 6),
        ),
        genome,
    )
    assert list(pairs) == ["s:2-8", "v0", "v1", "v2", "v3", "s:0-6", "v4"]
    assert len(pairs) == 7
    assert pairs.reference == ["s:2-8"] * 4 + ["s:0-6"]
    assert [text(pairs[name]) for name in pairs] == [
        "CCGTTG",
        "CCATTG",
        "CCGCCTTG",
        "CCGG",
        "CCCATG",
        "AACCGT",
        "TACCGT",
    ]


def test_flanks_end_with_the_sequence(genome_of: GenomeOf) -> None:
    bases = "".join(np.random.default_rng(0).choice(list("acgt"), 60))
    genome = genome_of({"s": bases})
    rows = table(
        ("s", 0, bases[0].upper(), "A", 0, 9),
        ("s", 30, bases[30:33].upper(), "A", 0, 9),
        ("s", 58, bases[58], "A", 0, 9),
    )
    left, right = flanks(rows, genome)
    upper = bases.upper()
    assert left == ["", upper[30 - FLANK : 30], upper[58 - FLANK : 58]]
    assert right == [upper[1 : 1 + FLANK], upper[33 : 33 + FLANK], upper[59:]]
