"""What a training with a codon objective minimises, and the codon head that some of them train beside the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workflow.config import TrainConfig
from workflow.striped_hyena.codons.genetic_code import CODONS, for_each_code
from workflow.striped_hyena.codons.losses import box_nll, hierarchical_cross_entropy, soft_cross_entropy, soft_labels
from workflow.striped_hyena.codons.tree import LeafTree, box_tree, codon_tree, random_boxes, random_leaves, synonyms
from workflow.striped_hyena.model import Output

_POSITIONS = slice(1, 4)


class CodonObjective(nn.Module):
    """Loss of bases, some of which are codons in frame.

    Attributes
    ----------
    hidden_layers : tuple of int
        Layers whose hidden states it needs of the model.
    """

    hidden_layers: tuple[int, ...] = ()

    def forward(self, output: Output, nll: Tensor, weights: Tensor, codons: Tensor) -> tuple[Tensor, Tensor]:
        """What is minimised, and the loss of each codon by itself.

        Parameters
        ----------
        output : Output
            Of the model.
        nll, weights : Tensor
            (B, L) NLL of each base in nats, and its weight.
        codons : Tensor
            (n, 6) int64: row, positions of the three bases, number of the codon, NCBI's number of its genetic code.

        Returns
        -------
        total : Tensor
            Weighted sum over all bases, in nats.
        of_codons : Tensor
            (n,) nats, not weighted.
        """
        raise NotImplementedError


class BoxObjective(CodonObjective):
    """`box_nll` in place of the NLL; there is no head."""

    def __init__(self, alpha: float, order: Tensor) -> None:
        super().__init__()
        self.alpha = alpha
        self._synonyms = for_each_code(lambda code: synonyms(box_tree(code).relabelled(order)))

    def forward(self, output: Output, nll: Tensor, weights: Tensor, codons: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the weighted losses of bases."""
        of_codon = self._synonyms.to(nll.device)[codons[:, 5], codons[:, 4]]
        loss = box_nll(nll, output.logits, codons[:, :4], of_codon, self.alpha)
        return (loss * weights).sum(), loss[codons[:, :1], codons[:, _POSITIONS]].sum(1)


class HeadObjective(CodonObjective):
    """NLL of bases, and beside it the loss of a head that predicts each codon as a whole.

    The head is linear on the last hidden state before the codon's first base, divided by its root mean square. It
    starts at zero, so that it says nothing before it is trained. The weight of a codon is the mean of its bases'.

    Parameters
    ----------
    width : int
        Of the hidden states.
    weight : float
        Of the codons' loss beside the NLL.
    """

    hidden_layers = (-1,)

    def __init__(self, width: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.head = nn.Linear(width, len(CODONS))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, output: Output, nll: Tensor, weights: Tensor, codons: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the weighted NLL of bases and of the weighted losses of codons."""
        before = output.hidden[-1][codons[:, 0], codons[:, 1]].float()
        with torch.autocast(before.device.type, enabled=False):
            logits = self.head(nn.functional.rms_norm(before, before.shape[-1:], eps=1e-6))
        of_codons = self.of_codons(logits, codons[:, 4], codons[:, 5])
        of_bases = weights[codons[:, :1], codons[:, _POSITIONS]].mean(1)
        # Without a codon the sum is 0, and the head's gradient too: all processes have one.
        return (nll * weights).sum() + self.weight * (of_codons * of_bases).sum(), of_codons

    def of_codons(self, logits: Tensor, codon: Tensor, genetic_code: Tensor) -> Tensor:
        """Loss of the head's logits (n, 64), given the codons' numbers and their genetic codes (n,)."""
        raise NotImplementedError


class ExactObjective(HeadObjective):
    """`hierarchical_cross_entropy` of the head over `codon_tree`."""

    def __init__(self, width: int, weight: float, alpha: float, order: Tensor) -> None:
        super().__init__(width, weight)
        self.alpha = alpha
        self._under = for_each_code(lambda code: codon_tree(code).relabelled(order).under)

    def of_codons(self, logits: Tensor, codon: Tensor, genetic_code: Tensor) -> Tensor:
        """The tree is the one of the codon's genetic code."""
        under = self._under.to(logits.device)[genetic_code, codon]
        return hierarchical_cross_entropy(logits, under, self.alpha)


class SoftObjective(HeadObjective):
    """Cross-entropy of the head with `soft_labels` from `codon_tree`."""

    def __init__(self, width: int, weight: float, beta: float, order: Tensor) -> None:
        super().__init__(width, weight)

        def labels(tree: LeafTree) -> Tensor:
            return soft_labels(tree.relabelled(order).distances, beta)

        self._labels = for_each_code(lambda code: labels(codon_tree(code)))

    def of_codons(self, logits: Tensor, codon: Tensor, genetic_code: Tensor) -> Tensor:
        """The labels are those of the codon's genetic code."""
        return soft_cross_entropy(logits, self._labels.to(logits.device)[genetic_code, codon])


def codon_objective(config: TrainConfig, width: int) -> CodonObjective:
    """The objective that the settings ask for, where it is not the plain NLL.

    Parameters
    ----------
    config : TrainConfig
        The random control is drawn with its seed.
    width : int
        Of the model.
    """
    codon = config.codon
    is_box = config.objective == "codon_hxe" and codon.head == "box"
    order = torch.arange(len(CODONS))
    if codon.hierarchy == "random":
        order = (random_boxes if is_box else random_leaves)(config.seed)
    if is_box:
        return BoxObjective(codon.alpha, order)
    if config.objective == "codon_hxe":
        return ExactObjective(width, codon.weight, codon.alpha, order)
    return SoftObjective(width, codon.weight, codon.beta, order)
