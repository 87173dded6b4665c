from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from evaluation.per_base.decoding import CONFIDENCE, CORRECT, ENTROPY, NLL, blank, decode

DTYPES = [np.float16, np.float32]


def decoded(rows: object, codes: list[int], dtype: type = np.float16) -> tuple[np.ndarray, np.ndarray, float]:
    with np.errstate(divide="ignore"):
        logprobs = np.log(np.array(rows, float)).astype(dtype)
    scored = np.ones(len(codes), bool)
    found, largest = decode(logprobs, np.array(codes, np.uint8), scored)
    return found, scored, largest


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_knows_nothing(dtype: type) -> None:
    found, scored, largest = decoded([[0.25] * 4] * 4, [0, 1, 2, 3], dtype)
    assert scored.all()
    assert found[NLL] == pytest.approx(np.log(4), abs=1e-3)
    assert found[ENTROPY] == pytest.approx(2, abs=1e-3)
    assert found[CONFIDENCE] == pytest.approx(0.25)
    assert found[CORRECT].tolist() == [0.25] * 4
    assert largest == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_certain_is_certain_also_when_wrong(dtype: type) -> None:
    found, _, _ = decoded([[0, 1, 0, 0], [0, 1, 0, 0]], [1, 2], dtype)
    assert found[NLL].tolist() == [0, np.inf]
    assert found[ENTROPY].tolist() == [0, 0]
    assert found[CONFIDENCE].tolist() == [1, 1]
    assert found[CORRECT].tolist() == [1, 0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_ties_share_the_point(dtype: type) -> None:
    found, _, _ = decoded([[0.4, 0.4, 0.1, 0.1], [0.4, 0.4, 0.1, 0.1], [0.3, 0.3, 0.3, 0.1]], [0, 2, 1], dtype)
    assert found[CORRECT] == pytest.approx([0.5, 0, 1 / 3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_likelihood_is_raw_and_the_rest_renormalised(dtype: type) -> None:
    found, _, largest = decoded([[0.2, 0.1, 0.1, 0.0]], [0], dtype)
    assert found[NLL, 0] == pytest.approx(np.log(5), abs=1e-3)
    assert found[ENTROPY, 0] == pytest.approx(1.5, abs=2e-3)
    assert found[CONFIDENCE, 0] == pytest.approx(0.5, abs=1e-3)
    assert largest == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_has_no_prediction_or_no_base_is_not_scored(dtype: type) -> None:
    rows = [[0.25] * 4, [np.nan, 0.2, 0.2, 0.2], [0.25] * 4]
    found, scored, _ = decoded(rows, [4, 0, 0], dtype)
    assert scored.tolist() == [False, False, True]
    blank(found, scored)
    assert np.isnan(found[:, :2]).all()
    assert not np.isnan(found[:, 2]).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiny_probabilities_keep_their_distribution(dtype: type) -> None:
    scored = np.ones(1, bool)
    logprobs = np.array([[-200, -200, -300, -np.inf]], dtype)
    found, largest = decode(logprobs, np.array([1], np.uint8), scored)
    assert found[:, 0] == pytest.approx([200, 1, 0.5, 0.5])
    assert largest < 1e-30


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.floats(0.01, 8), half=st.booleans())
def test_agrees_with_scipy(seed: int, spread: float, half: bool) -> None:
    generator = np.random.default_rng(seed)
    outside = generator.choice([0.0, 1e-3, 0.5])
    logprobs = (log_softmax(generator.normal(0, spread, (30, 4)), axis=1) + np.log1p(-outside)).astype(
        np.float16 if half else np.float32
    )
    codes = generator.integers(0, 4, 30).astype(np.uint8)
    found, _ = decode(logprobs, codes, np.ones(30, bool))
    exact = logprobs.astype(np.float64)
    share = softmax(exact, axis=1)
    np.testing.assert_array_equal(found[NLL], -exact[np.arange(30), codes].astype(np.float32))
    np.testing.assert_allclose(found[ENTROPY], entropy(share, base=2, axis=1), atol=3e-6)
    np.testing.assert_allclose(found[CONFIDENCE], share.max(axis=1), rtol=2e-6)
    np.testing.assert_array_equal(found[CORRECT] > 0, exact[np.arange(30), codes] == exact.max(axis=1))
