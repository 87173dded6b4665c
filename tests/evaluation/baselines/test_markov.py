from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.baselines import markov
from workflow.artifacts import InputError

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def pieces(*texts: str) -> list[np.ndarray]:
    return [np.frombuffer(text.encode(), np.uint8) for text in texts]


def predict(model: markov.MarkovModel, *windows: str) -> np.ndarray:
    starts = np.cumsum([0, *(len(window) for window in windows[:-1])])
    return model.logprobs(np.frombuffer("".join(windows).encode(), np.uint8), starts)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text("ACGTacgtN", min_size=1, max_size=40), min_size=1, max_size=5), length=st.integers(1, 4))
def test_words_are_counted_as_by_a_plain_loop(texts: list[str], length: int) -> None:
    words = Counter(text.upper()[i : i + length] for text in texts for i in range(len(text) - length + 1))
    expected = np.zeros(4**length, int)
    for word, number in words.items():
        if set(word) <= set("ACGT"):
            expected[int("".join(str("ACGT".index(letter)) for letter in word), 4)] += number
    if expected.any():
        np.testing.assert_array_equal(markov.count_words(pieces(*texts), length), expected)
    else:
        with pytest.raises(InputError, match=f"no run of {length} bases"):
            markov.count_words(pieces(*texts), length)


def test_probabilities_follow_the_recursion() -> None:
    text = "ACGTTGCAACGGTACCATGCATTTACG"
    model = markov.fit(pieces(text), pieces(text), max_order=2)
    assert model.order == 2
    strands = (text, text.translate(COMPLEMENT)[::-1])
    words = [strand[i : i + 3] for strand in strands for i in range(len(strand) - 2)]

    def expected(context: str) -> np.ndarray:
        shorter = expected(context[1:]) if context else np.full(4, 0.25)
        seen = np.array([sum(word.endswith(context + base) for word in words) for base in "ACGT"])
        return (seen + model.strength * shorter) / (seen.sum() + model.strength)

    for context in ("", "A", "T", "CG", "TT"):
        np.testing.assert_allclose(np.exp(predict(model, context + "A")[-1]), expected(context), rtol=1e-5)


def test_context_stays_in_the_window_and_behind_gaps() -> None:
    text = "ACGGTCATTGACCATG" * 20
    model = markov.fit(pieces(text), pieces(text), max_order=4)
    assert model.order == 4
    together = predict(model, "ACGGTCA", "TTGAC")
    np.testing.assert_array_equal(together[7:], predict(model, "TTGAC"))
    np.testing.assert_array_equal(together[0], model.tables[0][0])
    np.testing.assert_array_equal(predict(model, "ACGNTTGAC")[4:], predict(model, "TTGAC"))
    np.testing.assert_array_equal(predict(model, "acggtca"), predict(model, "ACGGTCA"))


def test_order_is_chosen_on_val() -> None:
    generator = np.random.default_rng(0)
    unordered = ["".join(generator.choice(list("ACGT"), 4000, p=[0.4, 0.1, 0.1, 0.4])) for _ in range(2)]
    assert markov.fit(pieces(unordered[0]), pieces(unordered[1]), 6).order <= 1
    periodic = "ACGGTCATTGACCATG" * 100
    model = markov.fit(pieces(periodic), pieces(periodic), 6)
    assert model.order >= 3
    assert model.validation_nll < 0.1


def test_both_strands_count() -> None:
    text = "AAAAC" * 50
    model = markov.fit(pieces(text), pieces(text), max_order=2)
    shares = np.exp(model.tables[0][0])
    assert shares[0] == pytest.approx(shares[3], rel=0.03)
    assert shares[1] == pytest.approx(shares[2], rel=0.03)


def test_order_0() -> None:
    model = markov.fit(pieces("ACGT"), pieces("A"), max_order=0)
    np.testing.assert_allclose(predict(model, "AC", "G"), np.log(0.25), rtol=1e-6)


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(InputError, match=r"no run of 3 bases for the Markov model"):
        markov.fit(pieces("ACGTACGT"), [], 2)
