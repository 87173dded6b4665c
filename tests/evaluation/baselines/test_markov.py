from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.baselines import markov
from workflow.artifacts import InputError

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def pieces(*texts: str) -> list[np.ndarray]:
    return [np.frombuffer(text.encode(), np.uint8) for text in texts]


def predict(model: markov.MarkovModel, *windows: str) -> np.ndarray:
    starts = np.cumsum([0, *(len(window) for window in windows[:-1])])
    return model.logprobs(np.frombuffer("".join(windows).encode(), np.uint8), starts)


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


def test_the_data_limit_the_order() -> None:
    assert [markov.highest_order(bases, 12) for bases in (0, 1, 3, 4, 15, 16, 4**11 - 1, 4**11, 10**10)] == [
        *(0, 1, 1, 2, 2, 3, 11, 12, 12)
    ]
    assert markov.highest_order(10**10, 5) == 5


def test_a_prepared_genome_is_fitted_on_its_regions(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    text = "".join(generator.choice(list("ACGT"), 3000, p=[0.4, 0.2, 0.1, 0.3]))
    (tmp_path / "genome.fa").write_text(f">c\n{text}\n")
    (tmp_path / "genome.fa.fai").write_text(f"c\t{len(text)}\t3\t{len(text)}\t{len(text) + 1}\n")
    regions = [("c", 0, 1000, "train"), ("c", 1200, 2000, "train"), ("c", 2000, 2500, "val"), ("c", 2500, 3000, "test")]
    pd.DataFrame(regions, columns=["seqid", "start", "end", "split"]).to_parquet(tmp_path / "split.parquet")
    model = markov.fit_prepared(tmp_path, 12)
    expected = markov.fit(pieces(text[:1000], text[1200:2000]), pieces(text[2000:2500]), 6)
    np.testing.assert_array_equal(model.table, expected.table)
    assert (model.strength, model.validation_nll) == (expected.strength, expected.validation_nll)


def test_no_prediction_knows_a_base_to_come() -> None:
    text = "ACGGTCATTGACCATG" * 20
    model = markov.fit(pieces(text), pieces(text), max_order=4)
    for place in (0, 3, 9):
        other = text[:place] + "ACGT"["TGCA".index(text[place])] + text[place + 1 :]
        np.testing.assert_array_equal(predict(model, text)[: place + 1], predict(model, other)[: place + 1])


def test_average_log_likelihoods() -> None:
    generator = np.random.default_rng(2)
    train = "".join(generator.choice(list("ACGT"), 2000, p=[0.5, 0.3, 0.1, 0.1]))
    model = markov.fit(pieces(train), pieces(train[:1000]), 3)
    sequence = "ACCGTNaacgtTACGN"
    logprobs = predict(model, sequence)
    known = [place for place, letter in enumerate(sequence) if letter.upper() in "ACGT"]
    expected = np.mean([logprobs[place, "ACGT".index(sequence[place].upper())] for place in known])
    assert model.average(sequence) == pytest.approx(expected)
    turned = sequence.upper().translate(COMPLEMENT)[::-1]
    assert model.strand_average(sequence) == pytest.approx((model.average(sequence) + model.average(turned)) / 2)
    assert np.isnan(model.average("NNN")) and np.isnan(model.strand_average(""))


def test_many_windows_at_once_are_predicted_as_one_by_one() -> None:
    generator = np.random.default_rng(3)
    text = "".join(generator.choice(list("ACGTN"), 5000, p=[0.3, 0.2, 0.2, 0.29, 0.01]))
    model = markov.fit(pieces(text), pieces(text), max_order=5)
    borders = [0, 1, 2, 700, 701, 5000]
    windows = [text[first:last] for first, last in pairwise(borders)]
    together = predict(model, *windows)
    np.testing.assert_array_equal(together, np.concatenate([predict(model, window) for window in windows]))
    np.testing.assert_allclose(np.exp(together).sum(axis=1), 1, rtol=1e-5)
