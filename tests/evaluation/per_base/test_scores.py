from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.per_base import scores as module
from evaluation.per_base.scores import UNIFORM_NLL, entropy_bits, score_windows
from workflow.artifacts import InputError, PerBaseScores, PerBaseWriter


def store(folder: Path, logprobs: list[np.ndarray], bases: list[bytes]) -> PerBaseScores:
    folder.mkdir(parents=True, exist_ok=True)
    lengths = np.array([len(b) for b in bases])
    index = pd.DataFrame(
        {
            "sequence_id": [f"w{row}" for row in range(len(bases))],
            "seqid": "s",
            "start": np.cumsum(lengths) - lengths,
            "end": np.cumsum(lengths),
            "strand": "+",
            "length": lengths,
        }
    )
    writer = PerBaseWriter(folder, index)
    for row, (values, letters) in enumerate(zip(logprobs, bases, strict=True)):
        writer.write(row, values, np.frombuffer(letters, np.uint8))
    writer.close()
    return PerBaseScores(folder)


def log_rows(*rows: list[float]) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows))


def test_uniform_is_ln_4_with_a_quarter_right(tmp_path: Path) -> None:
    scores = score_windows({"base": store(tmp_path, [np.full((4, 4), np.log(0.25))], [b"ACgt"])})
    assert scores.per_base("base")[0] == pytest.approx(UNIFORM_NLL, abs=1e-3)
    assert scores.table["correct_base"][0] == pytest.approx(1.0)


def test_deterministic_predictions_score_zero(tmp_path: Path) -> None:
    certain = np.full((4, 4), -20.0)
    certain[np.arange(4), np.arange(4)] = 0
    scores = score_windows({"base": store(tmp_path, [certain], [b"ACGT"])})
    assert scores.per_base("base")[0] == 0
    assert scores.table["correct_base"][0] == 4


def test_raw_probabilities_are_not_renormalised(tmp_path: Path) -> None:
    half_elsewhere = np.full((3, 4), np.log(0.125))
    scores = score_windows({"base": store(tmp_path, [half_elsewhere], [b"AAA"])})
    assert scores.per_base("base")[0] == pytest.approx(np.log(8), abs=1e-3)


def test_what_cannot_be_scored_is_left_out_for_every_model_and_counted(tmp_path: Path) -> None:
    even = np.full((5, 4), np.log(0.25))
    first_missing, last_missing = even.copy(), even.copy()
    first_missing[0] = np.nan
    last_missing[4] = np.nan
    base = store(tmp_path / "base", [first_missing, even], [b"AANAA", b"NNNNN"])
    adapted = store(tmp_path / "adapted", [last_missing, even], [b"AANAA", b"NNNNN"])
    scores = score_windows({"base": base, "adapted": adapted})
    assert scores.table["bases"].tolist() == [2]
    assert (scores.undefined, scores.not_acgt, scores.empty_windows) == (2, 6, 1)
    assert scores.gain("adapted", "base")[0] == 0


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12), chunk=st.integers(1, 60), seed=st.integers(0, 99))
def test_any_chunking_gives_the_sums_of_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], chunk: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    logprobs = [np.log(generator.dirichlet(np.ones(4) * 2, n)).astype(np.float16) for n in lengths]
    bases = [generator.choice(np.frombuffer(b"ACGTacgtN", np.uint8), n).tobytes() for n in lengths]
    opened = store(tmp_path_factory.mktemp("scores"), logprobs, bases)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_POSITIONS", chunk)
        try:
            scores = score_windows({"base": opened})
        except InputError:
            assert all(set(letters) == {ord("N")} for letters in bases)
            return
    expected = []
    for values, letters in zip(logprobs, bases, strict=True):
        picked = [
            -float(row[b"ACGT".index(letter)])
            for row, letter in zip(values, letters.upper(), strict=True)
            if letter in b"ACGT"
        ]
        if picked:
            expected.append((len(picked), sum(picked)))
    assert scores.table["bases"].tolist() == [count for count, _ in expected]
    np.testing.assert_allclose(scores.table["nll_base"], [total for _, total in expected], rtol=1e-6)
    assert scores.bases + scores.not_acgt + scores.undefined == sum(lengths)


@pytest.mark.parametrize(
    ("distribution", "bits"),
    [([0.25] * 4, 2), ([1, 0, 0, 0], 0), ([0.5, 0.5, 0, 0], 1), ([0.1] * 4, 2), ([0.05, 0.05, 0, 0], 1)],
)
def test_entropy_closed_form(distribution: list[float], bits: float) -> None:
    assert entropy_bits(log_rows(distribution))[0] == pytest.approx(bits)


def test_entropy_agrees_with_scipy_and_keeps_nan() -> None:
    from scipy.stats import entropy

    shares = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    np.testing.assert_allclose(entropy_bits(np.log(shares)), entropy(shares, base=2, axis=1), atol=1e-12)
    assert np.isnan(entropy_bits(np.full((1, 4), np.nan))[0])


def test_different_windows_cannot_be_paired(tmp_path: Path) -> None:
    even = np.full((4, 4), np.log(0.25))
    base = store(tmp_path / "base", [even], [b"ACGT"])
    with pytest.raises(InputError, match=r"base and .*adapted hold different windows"):
        score_windows({"base": base, "adapted": store(tmp_path / "adapted", [even], [b"ACGA"])})
    with pytest.raises(InputError, match="hold different windows"):
        score_windows({"base": base, "adapted": store(tmp_path / "adapted", [even, even], [b"ACGT", b"ACGT"])})


def test_logits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="add up to more than 1"):
        score_windows({"base": store(tmp_path, [np.full((4, 4), 0.5)], [b"ACGT"])})


def test_probability_zero_of_what_is_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="window w0 has probability 0"):
        score_windows({"base": store(tmp_path, [log_rows([0, 1, 0, 0])], [b"A"])})


def test_nothing_to_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no base could be scored"):
        score_windows({"base": store(tmp_path, [np.full((2, 4), np.nan)], [b"AC"])})


def test_typical_length_is_weighted_by_bases(tmp_path: Path) -> None:
    lengths = [1, 1, 1, 1, 6, 4]
    even = [np.full((length, 4), np.log(0.25)) for length in lengths]
    scores = score_windows({"base": store(tmp_path, even, [b"A" * length for length in lengths])})
    # 6 of 14 bases lie in the longest window, 10 in the two longest; the plain median is 1.
    assert scores.typical_length == 4
