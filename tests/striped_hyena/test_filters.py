from __future__ import annotations

import pytest
import torch

from workflow.striped_hyena.filters import (
    causal_convolution,
    long_convolution,
    modal_impulse,
    modal_ringing,
    modal_state,
)


def direct(signal: torch.Tensor, impulse: torch.Tensor) -> torch.Tensor:
    """The definition, in float64: y[t] = Σ impulse[k] · signal[t − k]."""
    out = torch.zeros_like(signal, dtype=torch.float64)
    for lag in range(min(impulse.shape[-1], signal.shape[-1])):
        out[..., lag:] += impulse[:, lag, None].double() * signal[..., : signal.shape[-1] - lag].double()
    return out


def poles(channels: int = 3, count: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return -torch.rand(channels, count, generator=generator) * 0.3, torch.randn(channels, count, generator=generator)


@pytest.mark.parametrize("length", [1, 2, 6, 7, 127, 128, 129, 500])
@pytest.mark.parametrize("taps", [1, 7, 128])
def test_convolutions_follow_their_definition(length: int, taps: int) -> None:
    torch.manual_seed(0)
    signal, impulse = torch.randn(2, 3, length), torch.randn(3, taps)
    expected = direct(signal, impulse)
    assert float((causal_convolution(signal, impulse.flip(-1)) - expected).abs().max()) < 1e-4
    assert float((long_convolution(signal, impulse) - expected).abs().max()) < 1e-4


@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 128, 1000])
def test_modal_impulse_is_the_sum_of_exponentials(length: int) -> None:
    log_poles, residues = poles()
    time = torch.arange(length, dtype=torch.float64)
    expected = torch.einsum("ds,dst->dt", residues.double(), torch.exp(log_poles.double()[..., None] * time))
    torch.testing.assert_close(modal_impulse(log_poles, residues, length).double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 5, 64, 65, 200])
def test_modal_state_and_ringing_follow_the_recurrence(length: int) -> None:
    torch.manual_seed(1)
    log_poles, residues = poles()
    signal, state = torch.randn(2, 3, length), torch.randn(2, 3, 16)
    expected, outputs = state.clone(), []
    for t in range(length):
        expected = torch.exp(log_poles) * expected + signal[..., t, None]
        outputs.append((residues * expected).sum(-1))
    torch.testing.assert_close(modal_state(log_poles, signal, state), expected, atol=1e-4, rtol=1e-4)
    ours = long_convolution(signal, modal_impulse(log_poles, residues, length))
    ours = ours + modal_ringing(log_poles, residues, state, length)
    torch.testing.assert_close(ours, torch.stack(outputs, dim=-1), atol=1e-3, rtol=1e-4)
