from __future__ import annotations

import numpy as np

from evaluation.elements.families import families

GENERATOR = np.random.default_rng(1)
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def drawn(length: int) -> str:
    return "".join(GENERATOR.choice(list("ACGT"), length))


def mutated(sequence: str, every: int) -> str:
    letters = list(sequence)
    for place in range(every // 2, len(letters), every):
        letters[place] = "ACGT"[("ACGT".index(letters[place]) + 1) % 4]
    return "".join(letters)


def test_copies_on_either_strand_and_overlaps_are_of_one_family() -> None:
    one, other = drawn(400), drawn(400)
    copies = [one, mutated(one, 100), one.translate(COMPLEMENT)[::-1], one[150:] + drawn(150), one.lower()]
    found = families([*copies, other])
    assert len(set(found[:5])) == 1 and found[5] != found[0]


def test_a_chain_of_overlaps_is_one_family() -> None:
    long = drawn(1200)
    assert len(set(families([long[start : start + 400] for start in range(0, 801, 200)]))) == 1


def test_unlike_short_and_unknown_sequences_stand_alone() -> None:
    shared = drawn(60)
    sequences = [shared + drawn(340), shared + drawn(340), "ACGT", "ACGT", "N" * 200, "N" * 200]
    assert sorted(families(sequences).tolist()) == list(range(6))
    assert families(["A", "N"]).tolist() == [0, 1]
