"""Generation: cached, batched, and the same for a prompt whatever its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workflow.striped_hyena.model import DecodingState, StripedHyena2
from workflow.striped_hyena.tokens import BASE_IDS, BEGIN, to_upper


@dataclass(frozen=True)
class Sampling:
    """How the next base is drawn.

    Attributes
    ----------
    temperature : float
        Divides the logits.
    top_k : int
        Only the k most probable bases; 0 keeps all, 1 is greedy.
    top_p : float
        Only the most probable bases that together reach this probability (Holtzman et al. 2020,
        arXiv:1904.09751).

    Raises
    ------
    ValueError
        A number outside its range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"sampling needs temperature > 0, top_k ≥ 0 and 0 < top_p ≤ 1: {self}")


@dataclass(frozen=True)
class Generated:
    """A generated sequence.

    Attributes
    ----------
    sequence : str
        The new bases, without the prompt.
    logprobs : ndarray
        (length,) natural log of the model's own probability of each base, before temperature and cuts.
    """

    sequence: str
    logprobs: np.ndarray


@torch.inference_mode()
def generate(
    model: StripedHyena2,
    prompts: Sequence[str],
    length: int,
    *,
    sampling: Sampling,
    seeds: Sequence[int],
    prefill_chunk: int = 8192,
) -> list[Generated]:
    """Continue prompts of equal length by `length` bases.

    Only A, C, G, T are drawn. Each sequence draws from its own generator, so that it does not depend on
    what else is in the batch.

    Parameters
    ----------
    model : StripedHyena2
        In the precision and on the device to be used.
    prompts : sequence of str
        All of the same length, which may be 0. The begin token is put before them.
    length : int
        Bases to generate.
    sampling : Sampling
        Temperature, top-k, top-p.
    seeds : sequence of int
        One a prompt.
    prefill_chunk : int
        Positions of the prompt that are read at a time; bounds the memory, changes nothing else.

    Raises
    ------
    ValueError
        Prompts of different lengths, or not one seed for each.
    """
    if len({len(prompt) for prompt in prompts}) != 1 or len(seeds) != len(prompts):
        raise ValueError("generate takes prompts of one length, and one seed for each")
    model.eval()
    device = model.norm.scale.device
    base_ids = BASE_IDS.to(device)
    generators = [np.random.default_rng(seed) for seed in seeds]
    read = torch.tensor([[BEGIN, *prompt.encode("ascii")] for prompt in prompts], device=device)
    logits, state = prefill(model, to_upper(read), prefill_chunk)
    bases, logprobs = [], []
    for _ in range(length):
        base_logprobs = logits.float().log_softmax(-1)[:, base_ids]
        draws = np.array([generator.random() for generator in generators])
        chosen = _draw(base_logprobs, sampling, torch.from_numpy(draws).to(device))
        bases.append(chosen)
        logprobs.append(base_logprobs.gather(1, chosen[:, None])[:, 0])
        logits = model(base_ids[chosen][:, None], state=state).logits[:, -1]
    letters = BASE_IDS.numpy().astype(np.uint8)[torch.stack(bases, dim=1).cpu().numpy()]
    values = torch.stack(logprobs, dim=1).cpu().numpy()
    return [Generated(row.tobytes().decode("ascii"), value) for row, value in zip(letters, values, strict=True)]


def prefill(model: StripedHyena2, ids: Tensor, chunk: int) -> tuple[Tensor, DecodingState]:
    """Read ids (B, L) in chunks. Returns the logits (B, vocabulary) after the last position, and the state."""
    state = DecodingState.empty(model.config)
    logits = None
    for piece in torch.split(ids, chunk, dim=1):
        logits = model(piece, state=state).logits[:, -1]
    assert logits is not None
    return logits, state


def _draw(base_logprobs: Tensor, sampling: Sampling, draws: Tensor) -> Tensor:
    """Column of the base drawn in each row of (B, 4), by inverting the cumulative distribution at `draws`."""
    scaled, order = (base_logprobs.double() / sampling.temperature).sort(descending=True, stable=True)
    probabilities = scaled.softmax(-1)
    keep = probabilities.cumsum(-1) - probabilities < sampling.top_p
    if sampling.top_k:
        keep[:, sampling.top_k :] = False
    kept = probabilities * keep
    cumulative = kept.cumsum(-1)
    place = (cumulative <= draws[:, None] * cumulative[:, -1:]).sum(-1)
    # A draw just below 1 may round up to the whole: take the last base that was kept.
    place = torch.minimum(place, keep.sum(-1) - 1)
    return order.gather(1, place[:, None])[:, 0]
