"""Trees whose leaves are codons, and the controls with the same topology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workflow.striped_hyena.codons.genetic_code import CODONS, START, STOP, amino_acids

_BOXES, _BASES = 16, 4


@dataclass(frozen=True)
class LeafTree:
    """A tree, as it is seen from its leaves.

    Attributes
    ----------
    under : Tensor, (leaves, height + 1, leaves) bool
        `under[leaf, depth]` are the leaves below the leaf's ancestor at that depth: all of them at the root, the leaf
        alone at the end. A leaf that hangs nearer to the root is its own ancestor from there on.
    """

    under: Tensor

    @classmethod
    def of(cls, paths: Sequence[tuple[str, ...]]) -> LeafTree:
        """The tree of some paths from below the root down to a leaf, each leaf's once."""
        height = max(map(len, paths))
        shared = [[[one[:depth] == other[:depth] for other in paths] for depth in range(height + 1)] for one in paths]
        return cls(torch.tensor(shared))

    def relabelled(self, order: Tensor) -> LeafTree:
        """The same tree with leaf i where leaf `order[i]` is."""
        return LeafTree(self.under[order][:, :, order])

    @property
    def distances(self) -> Tensor:
        """(leaves, leaves) int64: height of the tree minus the depth of the lowest common ancestor; 0 to itself."""
        return self.under.shape[1] - self.under.sum(1)


def codon_tree(genetic_code: int) -> LeafTree:
    """HELM's tree: root → start, amino acids, stop; amino acids → each of them; and these → codons.

    ATG stands alone under start. HELM's node `codons` between the root and these is left out: without special tokens
    beside the codons its probability is 1, and it would scale the whole loss by e^−α.
    """
    paths: list[tuple[str, ...]] = []
    for codon, amino in zip(CODONS, amino_acids(genetic_code), strict=True):
        above = ("start",) if codon == START else ("stop",) if amino == STOP else ("amino acids", amino)
        paths.append((*above, codon))
    return LeafTree.of(paths)


def box_tree(genetic_code: int) -> LeafTree:
    """Root → the codons that share their first two bases and their amino acid → codons.

    It is the tree that a model of single bases can follow: of Leu, Ser, Arg and stop it has two nodes each.
    """
    return LeafTree.of(
        [(codon[:2] + amino, codon) for codon, amino in zip(CODONS, amino_acids(genetic_code), strict=True)]
    )


def synonyms(tree: LeafTree) -> Tensor:
    """Which third bases keep a codon under its node of a box tree, (64, 4) bool, columns A, C, G, T."""
    of_box = tree.under[:, 1].view(_BOXES, _BASES, _BOXES, _BASES)
    return of_box[torch.arange(_BOXES), :, torch.arange(_BOXES)].reshape(len(CODONS), _BASES)


def random_leaves(seed: int) -> Tensor:
    """An order of the 64 codons for `relabelled`: any, all alike."""
    return torch.from_numpy(np.random.default_rng(seed).permutation(len(CODONS)))


def random_boxes(seed: int) -> Tensor:
    """An order for `relabelled` that keeps a box tree one: boxes change places, and third bases inside each box.

    A box is the four codons of the same first two bases. So as many boxes as before are divided into groups of the
    same sizes, and the one-pass form stays exact.
    """
    rng = np.random.default_rng(seed)
    boxes = rng.permutation(_BOXES)
    thirds = np.stack([rng.permutation(_BASES) for _ in range(_BOXES)])
    return torch.from_numpy((_BASES * boxes[:, None] + thirds).ravel())
