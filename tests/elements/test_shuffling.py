from __future__ import annotations

from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workflow.elements.shuffling import shuffle


def shuffled(text: str, seed: int = 0) -> str:
    return shuffle(np.frombuffer(text.encode(), np.uint8), np.random.default_rng(seed)).tobytes().decode()


@given(st.text("ACGTacgtNR", max_size=80), st.integers(0, 5))
def test_dinucleotides_ends_and_other_letters_are_kept(text: str, seed: int) -> None:
    copy, upper = shuffled(text, seed), text.upper()
    assert Counter(pairwise(copy)) == Counter(pairwise(upper))
    assert len(copy) == len(text) and copy[:1] == upper[:1] and copy[-1:] == upper[-1:]
    assert [letter if letter in "NR" else "." for letter in copy] == [
        letter if letter in "NR" else "." for letter in upper
    ]


@pytest.mark.parametrize("text", ["ACAGATAGA", "AACCAGACA", "CAGTTGACG"])
def test_all_sequences_with_the_same_dinucleotides_are_equally_frequent(text: str) -> None:
    wanted = Counter(pairwise(text))
    possible = {
        text[0] + "".join(middle) + text[-1]
        for middle in permutations(text[1:-1])
        if Counter(pairwise((text[0], *middle, text[-1]))) == wanted
    }
    draws = 150 * len(possible)
    generator = np.random.default_rng(5)
    bases = np.frombuffer(text.encode(), np.uint8)
    counts = Counter(shuffle(bases, generator).tobytes().decode() for _ in range(draws))
    assert len(possible) > 3 and set(counts) == possible
    assert stats.chisquare([counts[one] for one in possible]).pvalue > 1e-3


def test_long_runs_of_one_letter_are_shuffled_at_once() -> None:
    # Each letter is left for another one once in 2,000 times: trees drawn at random would fit in one of 10^9 trials.
    text = "A" * 2000 + "C" * 2000 + "G" * 2000 + "T" * 2000
    assert shuffled(text) == text


def test_the_same_seed_gives_the_same_copy() -> None:
    text = "ACGGTCATTTGACCATGACTAGCATCGACTAC" * 3
    assert shuffled(text, 1) == shuffled(text, 1) != shuffled(text, 2)
