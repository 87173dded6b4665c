from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.per_base import stream as streams
from evaluation.per_base.scores import UNIFORM_NLL, WindowScores, entropy_bits
from evaluation.per_base.stream import stream
from evaluation.per_base.windows import WindowTally
from tests.evaluation.per_base.conftest import write_store
from workflow.artifacts import InputError, PerBaseScores

Store = Callable[..., PerBaseScores]


def score(**models: PerBaseScores) -> WindowScores:
    index = next(iter(models.values())).index
    tally = WindowTally(index, tuple(models))
    for chunk in stream(models):
        tally.add(chunk, np.arange(chunk.rows.start, chunk.rows.stop))
    return tally.result()


def test_uniform_is_ln_4_with_a_quarter_right(tmp_path: Path, store: Store) -> None:
    scores = score(base=store(tmp_path, [np.full((4, 4), np.log(0.25))], [b"ACgt"]))
    assert scores.per_base("base")[0] == pytest.approx(UNIFORM_NLL, abs=1e-3)
    assert scores.table["correct_base"][0] == pytest.approx(1.0)


def test_deterministic_predictions_score_zero(tmp_path: Path, store: Store) -> None:
    certain = np.full((4, 4), -20.0)
    certain[np.arange(4), np.arange(4)] = 0
    scores = score(base=store(tmp_path, [certain], [b"ACGT"]))
    assert scores.per_base("base")[0] == 0
    assert scores.table["correct_base"][0] == 4


def test_periodic_predictions(tmp_path: Path, store: Store) -> None:
    """Certain of every third base, and knowing nothing of the others."""
    logprobs = np.full((9, 4), np.log(0.25))
    logprobs[::3] = [0, -20, -20, -20]
    scores = score(base=store(tmp_path, [logprobs], [b"A" * 9]))
    assert scores.per_base("base")[0] == pytest.approx(UNIFORM_NLL * 2 / 3, abs=1e-3)
    assert scores.table["correct_base"][0] == pytest.approx(3 + 6 / 4)


def test_raw_probabilities_are_not_renormalised(tmp_path: Path, store: Store) -> None:
    scores = score(base=store(tmp_path, [np.full((3, 4), np.log(0.125))], [b"AAA"]))
    assert scores.per_base("base")[0] == pytest.approx(np.log(8), abs=1e-3)


def test_repeats_are_counted_apart(tmp_path: Path, store: Store) -> None:
    logprobs = np.full((5, 4), -1.5)
    logprobs[3:] = [-0.25, -4, -4, -4]
    table = score(base=store(tmp_path, [logprobs], [b"CCCan"])).table
    assert (table["bases"][0], table["bases_repeat"][0]) == (4, 1)
    assert (table["nll_base"][0], table["nll_repeat_base"][0]) == (4.75, 0.25)
    assert (table["correct_base"][0], table["correct_repeat_base"][0]) == (1.75, 1)


def test_the_average_is_of_both_readings(tmp_path: Path, store: Store) -> None:
    forward, backward = np.full((4, 4), -2.0), np.full((4, 4), -3.0)
    forward[0], backward[0] = np.nan, np.nan
    scores = score(base=store(tmp_path, [forward], [b"ACGT"], reverse=[backward]))
    # The first base is known from the bases after it alone, and the last from those before: neither is paired.
    assert scores.table["bases"][0] == 2
    assert (scores.table["nll_base"][0], scores.table["nll_average_base"][0]) == (4, 5)
    assert scores.both_directions == ("base",)


def test_what_cannot_be_scored_is_left_out_for_every_model_and_counted(tmp_path: Path, store: Store) -> None:
    even = np.full((5, 4), np.log(0.25))
    first_missing, last_missing = even.copy(), even.copy()
    first_missing[0] = np.nan
    last_missing[4] = np.nan
    base = store(tmp_path / "base", [first_missing, even], [b"AANAA", b"NNNNN"])
    adapted = store(tmp_path / "adapted", [last_missing, even], [b"AANAA", b"NNNNN"])
    scores = score(base=base, adapted=adapted)
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
    opened = write_store(tmp_path_factory.mktemp("scores"), logprobs, bases)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_CHUNK_POSITIONS", chunk)
        try:
            scores = score(base=opened)
        except InputError:
            assert all(set(letters) == {ord("N")} for letters in bases)
            return
    expected = []
    for values, letters in zip(logprobs, bases, strict=True):
        picked = [
            (-float(row[b"ACGT".index(upper)]), upper != letter)
            for row, letter, upper in zip(values, letters, letters.upper(), strict=True)
            if upper in b"ACGT"
        ]
        if picked:
            inside = [nll for nll, is_repeat in picked if is_repeat]
            expected.append((len(picked), sum(nll for nll, _ in picked), len(inside), sum(inside)))
    columns = ["bases", "nll_base", "bases_repeat", "nll_repeat_base"]
    np.testing.assert_allclose(scores.table[columns], expected, rtol=1e-6)
    assert scores.bases + scores.not_acgt + scores.undefined == sum(lengths)


def test_nothing_to_score_is_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(InputError, match="no base could be scored"):
        score(base=store(tmp_path, [np.full((2, 4), np.nan)], [b"AC"]))


def test_typical_length_is_weighted_by_bases(tmp_path: Path, store: Store) -> None:
    lengths = [1, 1, 1, 1, 6, 4]
    even = [np.full((length, 4), np.log(0.25)) for length in lengths]
    # 6 of 14 bases lie in the longest window, 10 in the two longest; the plain median is 1.
    assert score(base=store(tmp_path, even, [b"A" * length for length in lengths])).typical_length == 4


def test_sums_by_block_and_stratum() -> None:
    table = pd.DataFrame(
        {
            "block": [0, 0, 2],
            "bases": [10, 20, 30],
            "bases_repeat": [1, 2, 3],
            "nll_base": [11.0, 22, 33],
            "nll_repeat_base": [1.0, 2, 3],
            "correct_base": [5.0, 6, 7],
            "correct_repeat_base": [0.5, 0.5, 1],
        }
    )
    bases, sums = WindowScores(table, ("base",), 0, 0, 0).by_block(np.array([1, 0, 1]), 2)
    assert bases[:, :, 0].tolist() == [[20, 10], [0, 0], [0, 30]]
    assert bases[0].tolist() == [[20, 18, 2], [10, 9, 1]]
    assert sums[0, 1].tolist() == [[11, 5], [10, 4.5], [1, 0.5]]


@pytest.mark.parametrize(
    ("distribution", "bits"),
    [([0.25] * 4, 2), ([1, 0, 0, 0], 0), ([0.5, 0.5, 0, 0], 1), ([0.1] * 4, 2), ([0.05, 0.05, 0, 0], 1)],
)
def test_entropy_closed_form(distribution: list[float], bits: float) -> None:
    with np.errstate(divide="ignore"):
        assert entropy_bits(np.log(np.array([distribution])))[0] == pytest.approx(bits)


def test_entropy_agrees_with_scipy_and_keeps_nan() -> None:
    from scipy.stats import entropy

    shares = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    np.testing.assert_allclose(entropy_bits(np.log(shares)), entropy(shares, base=2, axis=1), atol=1e-12)
    assert np.isnan(entropy_bits(np.full((1, 4), np.nan))[0])
