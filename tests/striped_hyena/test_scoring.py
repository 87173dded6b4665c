from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.striped_hyena.conftest import random_bases
from workflow.striped_hyena import StripedHyena2, score_sequences


def bases(length: int, seed: int = 0) -> np.ndarray:
    return random_bases(1, length, seed)[0].numpy().astype(np.uint8)


def test_scores_are_the_model_s_log_probabilities(model: StripedHyena2) -> None:
    sequence = bases(60)
    (score,) = score_sequences(model, [sequence], batch_tokens=1000)
    ids = torch.tensor([[0, *sequence.tolist()]])
    with torch.no_grad():
        logprobs = model(ids).logits.log_softmax(-1)[0, :-1]
    assert score.logprobs.shape == (60, 4)
    np.testing.assert_allclose(score.logprobs, logprobs[:, list(b"ACGT")].numpy(), atol=1e-5)
    assert score.total == pytest.approx(float(logprobs.gather(1, ids[0, 1:, None]).sum()), abs=1e-3)
    assert score.n == 60
    assert score.outside_acgt == pytest.approx(float((1 - logprobs[:, list(b"ACGT")].exp().sum(-1)).mean()), abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=6), batch_tokens=st.integers(1, 800))
def test_a_score_does_not_depend_on_the_batch(lengths: list[int], batch_tokens: int) -> None:
    torch.manual_seed(0)
    from tests.striped_hyena.conftest import SMALL

    model = StripedHyena2(SMALL)
    sequences = [bases(length, seed) for seed, length in enumerate(lengths)]
    together = list(score_sequences(model, sequences, batch_tokens=batch_tokens))
    assert [len(score.logprobs) for score in together] == lengths
    for sequence, score in zip(sequences, together, strict=True):
        (alone,) = score_sequences(model, [sequence], batch_tokens=10_000)
        np.testing.assert_allclose(score.logprobs, alone.logprobs, atol=1e-5)
        assert score.total == pytest.approx(alone.total, abs=1e-5 * len(sequence))


def test_case_is_ignored_and_ambiguous_bases_are_not_scored(model: StripedHyena2) -> None:
    sequence = bases(50)
    lower = sequence | 0x20
    ambiguous = sequence.copy()
    ambiguous[10] = ord("R")
    upper_score, lower_score, ambiguous_score = score_sequences(model, [sequence, lower, ambiguous], batch_tokens=1000)
    np.testing.assert_array_equal(upper_score.logprobs, lower_score.logprobs)
    assert upper_score.total == lower_score.total
    assert (upper_score.n, ambiguous_score.n) == (50, 49)


def test_a_uniform_model_scores_ln_512(model: StripedHyena2) -> None:
    with torch.no_grad():
        model.embedding_layer.weight.zero_()
    (score,) = score_sequences(model, [bases(30)], batch_tokens=100)
    assert -score.total / score.n == pytest.approx(math.log(512), abs=1e-5)
    assert score.outside_acgt == pytest.approx(508 / 512, abs=1e-5)
