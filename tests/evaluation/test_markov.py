from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import markov
from workflow.artifacts import InputError

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def tokens(path: Path, *documents: str) -> Path:
    path.write_bytes(b"".join(document.encode() + b"\0" for document in documents))
    return path


def predict(model: markov.MarkovModel, *windows: str) -> np.ndarray:
    starts = np.cumsum([0, *(len(window) for window in windows[:-1])])
    return model.logprobs(np.frombuffer("".join(windows).encode(), np.uint8), starts)


@settings(max_examples=40, deadline=None)
@given(
    documents=st.lists(st.text("ACGTacgtN", min_size=1, max_size=40), min_size=1, max_size=5),
    length=st.integers(1, 4),
    chunk=st.integers(1, 20),
)
def test_words_are_counted_as_by_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, documents: list[str], length: int, chunk: int
) -> None:
    path = tokens(tmp_path_factory.mktemp("tokens") / "t.bin", *documents)
    words = Counter(d.upper()[i : i + length] for d in documents for i in range(len(d) - length + 1))
    expected = np.zeros(4**length, int)
    for word, number in words.items():
        if set(word) <= set("ACGT"):
            expected[int("".join(str("ACGT".index(letter)) for letter in word), 4)] += number
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markov, "_CHUNK_TOKENS", chunk)
        if expected.any():
            np.testing.assert_array_equal(markov.count_words(path, length), expected)
        else:
            with pytest.raises(InputError, match=f"no run of {length} bases"):
                markov.count_words(path, length)


def test_probabilities_follow_the_recursion(tmp_path: Path) -> None:
    text = "ACGTTGCAACGGTACCATGCATTTACG"
    model = markov.fit(tokens(tmp_path / "train.bin", text), tokens(tmp_path / "val.bin", text), max_order=2)
    assert model.order == 2
    strands = (text, text.translate(COMPLEMENT)[::-1])
    words = [strand[i : i + 3] for strand in strands for i in range(len(strand) - 2)]

    def expected(context: str) -> np.ndarray:
        shorter = expected(context[1:]) if context else np.full(4, 0.25)
        seen = np.array([sum(word.endswith(context + base) for word in words) for base in "ACGT"])
        return (seen + model.strength * shorter) / (seen.sum() + model.strength)

    for context in ("", "A", "T", "CG", "TT"):
        np.testing.assert_allclose(np.exp(predict(model, context + "A")[-1]), expected(context), rtol=1e-5)


def test_context_stays_in_the_window_and_behind_gaps(tmp_path: Path) -> None:
    text = "ACGGTCATTGACCATG" * 20
    model = markov.fit(tokens(tmp_path / "train.bin", text), tokens(tmp_path / "val.bin", text), max_order=4)
    assert model.order == 4
    together = predict(model, "ACGGTCA", "TTGAC")
    np.testing.assert_array_equal(together[7:], predict(model, "TTGAC"))
    np.testing.assert_array_equal(together[0], model.tables[0][0])
    np.testing.assert_array_equal(predict(model, "ACGNTTGAC")[4:], predict(model, "TTGAC"))
    np.testing.assert_array_equal(predict(model, "acggtca"), predict(model, "ACGGTCA"))


def test_order_is_chosen_on_val(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    unordered = ["".join(generator.choice(list("ACGT"), 4000, p=[0.4, 0.1, 0.1, 0.4])) for _ in range(2)]
    assert markov.fit(tokens(tmp_path / "a.bin", unordered[0]), tokens(tmp_path / "b.bin", unordered[1]), 6).order <= 1
    periodic = "ACGGTCATTGACCATG" * 100
    model = markov.fit(tokens(tmp_path / "a.bin", periodic), tokens(tmp_path / "b.bin", periodic), 6)
    assert model.order >= 3
    assert model.validation_nll < 0.1


def test_both_strands_count(tmp_path: Path) -> None:
    text = "AAAAC" * 50
    model = markov.fit(tokens(tmp_path / "train.bin", text), tokens(tmp_path / "val.bin", text), max_order=2)
    shares = np.exp(model.tables[0][0])
    assert shares[0] == pytest.approx(shares[3], rel=0.03)
    assert shares[1] == pytest.approx(shares[2], rel=0.03)


def test_order_0(tmp_path: Path) -> None:
    model = markov.fit(tokens(tmp_path / "train.bin", "ACGT"), tokens(tmp_path / "val.bin", "A"), max_order=0)
    np.testing.assert_allclose(predict(model, "AC", "G"), np.log(0.25), rtol=1e-6)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "val.bin").touch()
    with pytest.raises(InputError, match=r"val\.bin is empty"):
        markov.fit(tokens(tmp_path / "train.bin", "ACGTACGT"), tmp_path / "val.bin", 2)
