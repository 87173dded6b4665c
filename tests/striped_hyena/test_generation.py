from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.striped_hyena.conftest import SMALL
from workflow.striped_hyena import Sampling, StripedHyena2, generate, score_sequences
from workflow.striped_hyena.generation import _draw, prefill

GREEDY = Sampling(top_k=1)


@pytest.mark.parametrize("prompt", ["", "A", "AC", "ACGTA", "ACGTAC", "ACGTACG", "ACGT" * 40])
def test_log_probabilities_are_those_of_the_uncached_model(model: StripedHyena2, prompt: str) -> None:
    (made,) = generate(model, [prompt], 20, sampling=Sampling(), seeds=[7])
    whole = np.frombuffer((prompt + made.sequence).encode(), np.uint8)
    (score,) = score_sequences(model, [whole], batch_tokens=1000)
    observed = score.logprobs[np.arange(len(whole)), ["ACGT".index(chr(base)) for base in whole]]
    np.testing.assert_allclose(made.logprobs, observed[len(prompt) :], atol=2e-4)


def test_greedy_takes_the_most_probable_base(model: StripedHyena2) -> None:
    (made,) = generate(model, ["ACGT"], 30, sampling=GREEDY, seeds=[1])
    (score,) = score_sequences(model, [np.frombuffer(b"ACGT" + made.sequence.encode(), np.uint8)], batch_tokens=99)
    assert made.sequence == "".join("ACGT"[i] for i in score.logprobs[4:].argmax(-1))


def test_a_sequence_depends_on_its_seed_and_not_on_its_batch(model: StripedHyena2) -> None:
    prompts, seeds = ["ACGTAA", "TTTTTT", "ACGTAA"], [1, 2, 3]
    together = generate(model, prompts, 40, sampling=Sampling(), seeds=seeds)
    for prompt, seed, made in zip(prompts, seeds, together, strict=True):
        (alone,) = generate(model, [prompt], 40, sampling=Sampling(), seeds=[seed])
        assert alone.sequence == made.sequence
    assert together[0].sequence != together[2].sequence


def test_lower_case_prompts_are_read_as_upper_case(model: StripedHyena2) -> None:
    (upper,) = generate(model, ["ACGGT"], 20, sampling=GREEDY, seeds=[0])
    (lower,) = generate(model, ["acggt"], 20, sampling=GREEDY, seeds=[0])
    assert upper.sequence == lower.sequence


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_prefill_in_chunks_gives_the_same_logits(model: StripedHyena2, chunk: int) -> None:
    ids = torch.tensor([[0, *b"ACGT" * 50]])
    with torch.no_grad():
        whole, _ = prefill(model, ids, 1000)
        pieces, state = prefill(model, ids, chunk)
    torch.testing.assert_close(pieces, whole, atol=1e-4, rtol=1e-4)
    assert state.positions == 201


def test_draws_follow_temperature_top_k_and_top_p() -> None:
    probabilities = torch.tensor([0.5, 0.1, 0.1, 0.3])
    logprobs = probabilities.log().expand(20_000, 4)
    draws = torch.from_numpy(np.random.default_rng(0).random(20_000))

    def shares(sampling: Sampling) -> np.ndarray:
        return np.bincount(_draw(logprobs, sampling, draws).numpy(), minlength=4) / 20_000

    np.testing.assert_allclose(shares(Sampling()), [0.5, 0.1, 0.1, 0.3], atol=0.015)
    np.testing.assert_allclose(shares(Sampling(top_k=2)), [0.625, 0, 0, 0.375], atol=0.015)
    np.testing.assert_allclose(shares(Sampling(top_p=0.6)), [0.625, 0, 0, 0.375], atol=0.015)
    np.testing.assert_allclose(shares(Sampling(top_p=0.4)), [1, 0, 0, 0])
    np.testing.assert_allclose(shares(GREEDY), [1, 0, 0, 0])
    squared = probabilities.numpy() ** 2
    np.testing.assert_allclose(shares(Sampling(temperature=0.5)), squared / squared.sum(), atol=0.015)


def test_impossible_requests_are_refused(model: StripedHyena2) -> None:
    with pytest.raises(ValueError, match="one length"):
        generate(model, ["A", "AC"], 5, sampling=GREEDY, seeds=[1, 2])
    with pytest.raises(ValueError, match="one seed for each"):
        generate(model, ["A"], 5, sampling=GREEDY, seeds=[])
    for wrong in ({"temperature": 0}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.5}):
        with pytest.raises(ValueError, match="sampling needs"):
            Sampling(**wrong)


def test_training_goes_on_after_generation() -> None:
    torch.manual_seed(0)
    model = StripedHyena2(SMALL)
    generate(model, ["ACGT"], 5, sampling=GREEDY, seeds=[0])
    model.train()
    model(torch.tensor([list(b"ACGTACGT")])).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
