"""The model with heads: from bases to what each level of labels says of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from workflow.genome.alphabet import reverse_complement
from workflow.striped_hyena.model import StripedHyena2
from workflow.striped_hyena.pooling import pool
from workflow.striped_hyena.tokens import BEGIN, pad

_HEAD_SPREAD = 0.02


class Classifier(nn.Module):
    """A StripedHyena 2, what is pooled of its hidden states, and one linear head a level on it.

    Pooled features are standardised, (x − centre) / spread, with numbers that are fixed before the training: hidden
    states differ by orders of magnitude between channels and between layers, and a linear head would learn at a
    different pace from each.

    Per base, the feature is the hidden state at the base of the sequence read forward, joined with that at the same
    base of its reverse complement: the model is causal, and from one direction it would know nothing of what follows.

    Parameters
    ----------
    backbone : StripedHyena2
        Its last block is the one that is pooled.
    outputs : sequence of int
        Numbers of each head: classes, or 1 for a column of a regression.
    final_norm : bool
        Whether that block's output goes through the model's last norm, as it does before the model's own predictions.
    pooling : str
        `mean`, `max`, `first` or `last`; not used per base.
    per_base : bool
    precision : str
        `fp32`, or `bf16` for the arithmetic of the backbone; heads compute in float32.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        backbone: StripedHyena2,
        outputs: Sequence[int],
        *,
        final_norm: bool = True,
        pooling: str = "mean",
        per_base: bool = False,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        self.backbone, self.final_norm, self.pooling = backbone, final_norm, pooling
        self.per_base, self.precision = per_base, precision
        width = backbone.config.width * (2 if per_base else 1)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.heads = nn.ModuleList(nn.Linear(width, size) for size in outputs)
        for head in self.linear_heads:
            nn.init.normal_(head.weight, std=_HEAD_SPREAD)
            nn.init.zeros_(head.bias)

    @property
    def width(self) -> int:
        """Features of a sequence or base."""
        return len(self.centre)

    @property
    def linear_heads(self) -> list[nn.Linear]:
        """The heads, one a level."""
        return [cast(nn.Linear, head) for head in self.heads]

    def forward(self, sequences: Sequence[np.ndarray]) -> list[Tensor]:
        """What each head says of sequences: (B, outputs) float32; per base, of all their bases one after another."""
        return self.judge(self.features(sequences))

    def judge(self, features: Tensor) -> list[Tensor]:
        """What each head says of features (B, width)."""
        with torch.autocast(features.device.type, enabled=False):
            standard = (features.float() - self.centre) / self.spread
            return [head(standard) for head in self.linear_heads]

    def features(self, sequences: Sequence[np.ndarray]) -> Tensor:
        """Features before they are standardised: (B, width) float32; per base, of all bases one after another.

        Parameters
        ----------
        sequences : sequence of ndarray
            Each (length,) uint8, upper-case ASCII, not empty.
        """
        if not self.per_base:
            hidden, mask = self._hidden(sequences)
            return pool(hidden, mask, self.pooling)
        forward, mask = self._hidden(sequences)
        turned, _ = self._hidden([np.ascontiguousarray(reverse_complement(bases)) for bases in sequences])
        parts = [
            torch.cat([forward[row, :length], turned[row, :length].flip(0)], dim=-1)
            for row, length in enumerate(mask.sum(1).tolist())
        ]
        return torch.cat(parts).float()

    def standardise(self, mean: np.ndarray, deviation: np.ndarray) -> None:
        """Fix centre and spread; a feature that does not vary is only centred."""
        self.centre.copy_(torch.from_numpy(mean))
        self.spread.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))

    def _hidden(self, sequences: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Hidden states at the bases (B, longest, D), and where these are (B, longest) bool."""
        begun = [torch.from_numpy(np.concatenate([[BEGIN], bases]).astype(np.int64)) for bases in sequences]
        ids, mask = pad(begun)
        ids, mask = ids.to(self.centre.device), mask.to(self.centre.device)
        with self._arithmetic():
            x = self.backbone.embedding_layer(ids)
            for block in self.backbone.blocks:
                if self.backbone.activation_checkpointing and torch.is_grad_enabled():
                    x = checkpoint(block, x, mask, None, use_reentrant=False)
                else:
                    x = block(x, mask, None)
            if self.final_norm:
                x = self.backbone.norm(x)
        return x[:, 1:], mask[:, 1:]

    def _arithmetic(self) -> AbstractContextManager[object]:
        return torch.autocast(self.centre.device.type, torch.bfloat16, enabled=self.precision == "bf16")
