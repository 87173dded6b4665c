"""Per-base log-probabilities of sequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workflow.striped_hyena.batching import batches
from workflow.striped_hyena.model import StripedHyena2
from workflow.striped_hyena.tokens import BASE_IDS, is_base, model_inputs, pad, to_upper


@dataclass(frozen=True)
class SequenceScore:
    """What the model says of one sequence.

    Attributes
    ----------
    logprobs : ndarray
        (length, 4) float32, natural log of the probability of A, C, G, T at each base given those before it.
    n : int
        Bases A, C, G, T in the sequence: those that are scored.
    total : float
        Sum of the log-probabilities of these bases, in nats.
    outside_acgt : float
        Mean probability given to tokens other than A, C, G, T.
    """

    logprobs: np.ndarray
    n: int
    total: float
    outside_acgt: float


@torch.inference_mode()
def score_sequences(
    model: StripedHyena2, sequences: Iterable[np.ndarray], *, batch_tokens: int
) -> Iterator[SequenceScore]:
    """Score sequences in order; each gets the same score alone and in any batch.

    The begin token is put before each sequence, so that its first base is scored as well.

    Parameters
    ----------
    model : StripedHyena2
        In the precision and on the device to be used.
    sequences : iterable of ndarray
        (length,) uint8, ASCII in either case; not empty.
    batch_tokens : int
        Most positions of one batch, padding included.
    """
    model.eval()
    for batch in batches(sequences, batch_tokens, len):
        yield from _score_batch(model, [torch.from_numpy(sequence.astype(np.int64)) for sequence in batch])


def _score_batch(model: StripedHyena2, sequences: list[Tensor]) -> Iterator[SequenceScore]:
    device = model.norm.scale.device
    targets, mask = pad(sequences)
    targets, mask = targets.to(device), mask.to(device)
    logprobs = model(model_inputs(targets), mask).logits.float().log_softmax(-1)
    bases = logprobs[..., BASE_IDS.to(device)]
    observed = logprobs.gather(-1, to_upper(targets)[..., None])[..., 0].double()
    scored = is_base(targets) & mask
    outside = 1 - bases.exp().sum(-1)
    for row, sequence in enumerate(sequences):
        length = len(sequence)
        yield SequenceScore(
            logprobs=bases[row, :length].cpu().numpy(),
            n=int(scored[row].sum()),
            total=float(observed[row][scored[row]].sum()),
            outside_acgt=float(outside[row, :length].mean()),
        )
