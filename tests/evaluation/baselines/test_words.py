from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.baselines import words
from workflow.artifacts import InputError

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def pieces(*texts: str) -> list[np.ndarray]:
    return [np.frombuffer(text.encode(), np.uint8) for text in texts]


def plain_counts(texts: list[str], length: int) -> np.ndarray:
    found = Counter(text[i : i + length] for text in texts for i in range(len(text) - length + 1))
    counts = np.zeros(4**length, np.int64)
    for word, number in found.items():
        if set(word) <= set("ACGT"):
            counts[int("".join(str("ACGT".index(letter)) for letter in word), 4)] += number
    return counts


dna = st.lists(st.text("ACGTacgtN", min_size=1, max_size=40), min_size=1, max_size=5)


@settings(max_examples=60)
@given(texts=dna, length=st.integers(1, 4))
def test_words_are_counted_as_by_a_plain_loop(texts: list[str], length: int) -> None:
    expected = plain_counts([text.upper() for text in texts], length)
    np.testing.assert_array_equal(words.count_words(pieces(*texts), length), expected)


@settings(max_examples=60)
@given(texts=dna, length=st.integers(1, 4))
def test_the_other_strand_is_that_of_the_reverse_complements(texts: list[str], length: int) -> None:
    upper = [text.upper() for text in texts]
    counts = words.count_words(pieces(*texts), length)
    words.add_other_strand(counts)
    np.testing.assert_array_equal(
        counts, plain_counts(upper + [text.translate(COMPLEMENT)[::-1] for text in upper], length)
    )


def test_shorter_words_are_those_that_end_the_longer_ones() -> None:
    text = "ACGTTGCAACGGTACC"
    tables = words.shorter_words(words.count_words(pieces(text), 3))
    assert [table.shape for table in tables] == [(1, 4), (4, 4), (16, 4)]
    for length, table in enumerate(tables, start=1):
        # The first words that are shorter have no longer one that they end.
        np.testing.assert_array_equal(table.ravel(), plain_counts([text[3 - length :]], length))


def test_long_words_take_32_bits_and_stop_before_they_overflow() -> None:
    counts = words.count_words(pieces("A" * 40), 12)
    assert counts.dtype == np.uint32 and counts[0] == 29
    counts[0] = 2**31 - 3
    words._count(pieces("A" * 40)[0], words.BASE_COLUMN, 12, counts)
    assert counts[0] == 2**31 - 1
    counts[-1] = 2**31 - 1
    words.add_other_strand(counts)
    assert counts[0] == counts[-1] == 2**32 - 2
    assert words.shorter_words(counts)[0].sum() == 2 * (2**32 - 2)


def test_short_words_of_a_large_genome_fit() -> None:
    counts = words.count_words(pieces("ACGT"), 1)
    counts[:] = 3 * 10**9
    words.add_other_strand(counts)
    assert counts.tolist() == [6 * 10**9] * 4


def test_nothing_to_count() -> None:
    counts = words.count_words(pieces("ACNGT", "A"), 3)
    assert not counts.any()
    with pytest.raises(InputError, match=r"no run of 3 bases for the Markov model: lower evaluation\.markov_max_order"):
        words.require_words(counts, 3)
