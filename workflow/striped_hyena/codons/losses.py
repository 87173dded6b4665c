"""The losses themselves: in log space, in nats, without HELM's normaliser Z.

HELM divides its loss by Z, a sum over all nodes of the tree (100 at α = 0, 28.8 at α = 0.4), and so changes the
learning rate with α. Here the only factors are the e^(−α·depth) of the formula.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from workflow.striped_hyena.tokens import BASE_IDS


def box_nll(nll: Tensor, logits: Tensor, codons: Tensor, synonyms: Tensor, alpha: float) -> Tensor:
    """NLL of bases, with those in codons replaced by their share of the hierarchical loss; one pass, one model.

    With p1, p2, p3 the predictions of a codon's bases, each under the true bases before it, and S the third bases that
    mean the same after the first two, a codon costs

        e^(−α)·[−log p1 − log p2 − log P(S)] + e^(−2α)·[−log p3 / P(S)].

    That is HELM's loss (arXiv:2410.12459, eq. 2, without Z) over a tree of two levels, codons with the same first two
    bases and meaning under one node. The third base bears both terms of S. All of a codon is scaled by e^(−α), its
    last level twice: bases outside of codons are not, and nothing makes up for it. With α = 0 each base costs its NLL,
    to the last bit.

    Parameters
    ----------
    nll : Tensor
        (B, L) of each base, in nats.
    logits : Tensor
        (B, L, vocabulary), from which `nll` is.
    codons : Tensor
        (n, 4) int64: row, and the positions of the three bases. No position belongs to two codons.
    synonyms : Tensor
        (n, 4) bool: S of each codon, columns A, C, G, T; the true third base is one of them.
    alpha : float

    Returns
    -------
    Tensor
        (B, L)
    """
    row, first, second, third = codons.unbind(1)
    decay = math.exp(-alpha)
    scale = torch.ones_like(nll)
    scale[row, first] = scale[row, second] = decay
    scale[row, third] = decay**2
    of_third = logits[row, third].to(nll.dtype)
    of_bases = of_third[:, BASE_IDS.to(of_third.device)]
    synonymous = of_bases.masked_fill(~synonyms, -math.inf).logsumexp(-1) - of_third.logsumexp(-1)
    meaning = torch.zeros_like(nll).index_put((row, third), (decay**2 - decay) * synonymous)
    return nll * scale + meaning


def hierarchical_cross_entropy(logits: Tensor, under: Tensor, alpha: float) -> Tensor:
    """Σ over the levels d = 1, 2, … of e^(−αd)·[−log P(n_d) / P(n_(d−1))], from the root to the true leaf.

    P(n) is the sum of the softmax over the leaves under n (Bertinetto et al. 2020, arXiv:1912.09393, eq. 3 and 4;
    HELM's eq. 2 without Z). α = 0 gives the cross-entropy.

    Parameters
    ----------
    logits : Tensor
        (n, leaves)
    under : Tensor
        (n, height + 1, leaves) bool: `LeafTree.under` of each true leaf.
    alpha : float

    Returns
    -------
    Tensor
        (n,) nats.
    """
    log_mass = logits[:, None].masked_fill(~under, -math.inf).logsumexp(-1)
    depths = torch.arange(1, under.shape[1], device=logits.device)
    return (torch.exp(-alpha * depths) * -log_mass.diff(dim=1)).sum(1)


def soft_labels(distances: Tensor, beta: float) -> Tensor:
    """Rows ∝ exp(−β·d / d_max): what is near in the tree is nearly right (Bertinetto et al. 2020, eq. 5).

    The distance of a leaf to itself is 0, so that it gets most; in HELM's code it gets least.

    Parameters
    ----------
    distances : Tensor
        (leaves, leaves) of a `LeafTree`.
    beta : float
        The larger, the nearer to the plain label.

    Returns
    -------
    Tensor
        (leaves, leaves) float32; rows add up to 1.
    """
    return torch.softmax(-beta * distances / distances.max(), dim=1)


def soft_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−Σ label · log softmax, (n,) nats, of logits and labels (n, leaves)."""
    return -(labels * logits.log_softmax(-1)).sum(-1)
