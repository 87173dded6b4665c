"""Causal convolutions of the hyena layers, over a whole sequence or over a chunk that continues one.

All functions take signals of shape (batch, channels, length). `previous` holds the samples before the
chunk; with it, the chunks of a sequence give what the whole sequence gives.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Positions for which the exponentials of the long filter are tabled one by one; coarser steps multiply.
_TABLE = 64
#: Chunks up to this length are convolved directly.
_DIRECT = 8


def causal_convolution(signal: Tensor, taps: Tensor, previous: Tensor | None = None) -> Tensor:
    """Depthwise causal convolution with a few taps.

    Parameters
    ----------
    signal : Tensor
        (batch, channels, length).
    taps : Tensor
        (channels, taps), in cross-correlation order: the last tap meets the sample itself.
    previous : Tensor, optional
        (batch, channels, taps − 1) samples before the chunk; zeros by default.

    Returns
    -------
    Tensor
        (batch, channels, length), in the dtype of `signal`.
    """
    channels, count = taps.shape
    padded = F.pad(signal, (count - 1, 0)) if previous is None else torch.cat([previous, signal], dim=-1)
    return F.conv1d(padded, taps.to(signal.dtype)[:, None], groups=channels)


def long_convolution(signal: Tensor, impulse: Tensor, previous: Tensor | None = None) -> Tensor:
    """Depthwise causal convolution with many taps, in float32: by Fourier transform, or directly when the
    chunk is short.

    Parameters
    ----------
    signal : Tensor
        (batch, channels, length).
    impulse : Tensor
        (channels, taps), in time order: the first tap meets the sample itself.
    previous : Tensor, optional
        (batch, channels, any) samples before the chunk.

    Returns
    -------
    Tensor
        (batch, channels, length) float32.
    """
    if signal.shape[-1] <= _DIRECT and previous is not None:
        return causal_convolution(signal.float(), impulse.float().flip(-1), previous.float())
    if previous is not None:
        signal = torch.cat([previous, signal], dim=-1)
    skip = 0 if previous is None else previous.shape[-1]
    length = signal.shape[-1]
    size = _fast_fft_size(length + impulse.shape[-1] - 1)
    spectrum = torch.fft.rfft(signal.float(), n=size) * torch.fft.rfft(impulse.float(), n=size)
    convolved: Tensor = torch.fft.irfft(spectrum, n=size)
    return convolved[..., skip:length]


def _fast_fft_size(least: int) -> int:
    """Smallest even number of the form 2^a, 3·2^a or 5·2^a that is at least `least`."""
    candidates = (factor << max(1, math.ceil(math.log2(max(least / factor, 1)))) for factor in (1, 3, 5))
    return min(size for size in candidates if size >= least)


def modal_impulse(log_poles: Tensor, residues: Tensor, length: int) -> Tensor:
    """Impulse response h[t] = Σₛ residues[s] · exp(log_poles[s] · t) of the long filter.

    With t = a·K + b the exponential is the product of two small tables, so the (channels, poles, length)
    tensor is never built: at 1,920 channels and 8,192 positions that saves nine tenths of the memory and
    more of the time.

    Parameters
    ----------
    log_poles, residues : Tensor
        (…, channels, poles), real; float32.
    length : int
        Positions.

    Returns
    -------
    Tensor
        (…, channels, length).
    """
    step = min(_TABLE, length)
    coarse = _powers(log_poles, math.ceil(length / step), step)
    fine = _powers(log_poles, step, 1)
    impulse = torch.einsum("...ds,dsa,dsb->...dab", residues, coarse, fine)
    return impulse.flatten(-2)[..., :length]


def modal_state(log_poles: Tensor, signal: Tensor, state: Tensor | None) -> Tensor:
    """State of the long filter after a chunk: state ← exp(log_poles) · state + sample, for every sample.

    Parameters
    ----------
    log_poles : Tensor
        (channels, poles).
    signal : Tensor
        (batch, channels, length) samples of the chunk.
    state : Tensor, optional
        (batch, channels, poles) before the chunk; zeros by default.

    Returns
    -------
    Tensor
        (batch, channels, poles) float32.
    """
    length = signal.shape[-1]
    step = min(_TABLE, length)
    rows = math.ceil(length / step)
    # Right-aligned, so that the newest sample is the last of the last row.
    blocks = F.pad(signal.float(), (rows * step - length, 0)).view(*signal.shape[:2], rows, step)
    fine = _powers(log_poles, step, 1).flip(-1)
    coarse = _powers(log_poles, rows, step).flip(-1)
    added = torch.einsum("bdak,dsk,dsa->bds", blocks, fine, coarse)
    if state is None:
        return added
    return added + torch.exp(log_poles * length) * state


def modal_ringing(log_poles: Tensor, residues: Tensor, state: Tensor, length: int) -> Tensor:
    """What the state before a chunk adds to the chunk's outputs: Σₛ residues · exp(log_poles·(t+1)) · state.

    Parameters
    ----------
    log_poles, residues : Tensor
        (channels, poles).
    state : Tensor
        (batch, channels, poles).
    length : int
        Positions of the chunk.

    Returns
    -------
    Tensor
        (batch, channels, length).
    """
    return modal_impulse(log_poles, residues * torch.exp(log_poles) * state, length)


def _powers(log_poles: Tensor, count: int, stride: int) -> Tensor:
    """exp(log_poles · stride · i) for i < count, shape (channels, poles, count)."""
    exponents = torch.arange(count, device=log_poles.device, dtype=log_poles.dtype) * stride
    return torch.exp(log_poles[..., None] * exponents)
