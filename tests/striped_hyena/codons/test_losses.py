"""The losses against what HELM's own code computed (`tests/data/helm.npz`, made from HELM at commit dac4fcb)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from workflow.striped_hyena.codons.genetic_code import CODONS, GENETIC_CODES, START, STOP, amino_acids, for_each_code
from workflow.striped_hyena.codons.losses import box_nll, hierarchical_cross_entropy, soft_cross_entropy, soft_labels
from workflow.striped_hyena.codons.tree import (
    LeafTree,
    box_tree,
    codon_tree,
    random_boxes,
    random_leaves,
    synonyms,
)
from workflow.striped_hyena.objectives import base_nll
from workflow.striped_hyena.tokens import BASE_IDS

ALPHAS = ("0.0", "0.1", "0.2", "0.4", "0.6", "1.0")
SPECIAL = ("<cls>", "<distill_token>", "<eos>", "<mask>", "<pad>", "<unk>")


@pytest.fixture(scope="module")
def helm() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parents[2] / "data" / "helm.npz") as file:
        return {name: file[name] for name in file.files}


def helm_paths() -> list[tuple[str, ...]]:
    """HELM's 70 leaves: special tokens, then codons."""
    paths: list[tuple[str, ...]] = [(token[1:-1], token) for token in SPECIAL]
    for codon, amino in zip(CODONS, amino_acids(1), strict=True):
        above = ("start",) if codon == START else ("stop",) if amino == STOP else ("amino acids", amino)
        paths.append(("codons", *above, codon))
    return paths


def normaliser(alpha: float) -> float:
    """HELM's Z: e^(−α·depth) of all nodes."""
    nodes = {path[:depth] for path in helm_paths() for depth in range(len(path) + 1)}
    return sum(math.exp(-alpha * len(node)) for node in nodes)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_exact_loss_is_that_of_helm(helm: dict[str, np.ndarray], alpha: str) -> None:
    tree, target = LeafTree.of(helm_paths()), torch.from_numpy(helm["helm/target"])
    loss = hierarchical_cross_entropy(torch.from_numpy(helm["helm/logits"]).double(), tree.under[target], float(alpha))
    np.testing.assert_allclose(loss, helm[f"helm/raw_{alpha}"], rtol=2e-6)
    np.testing.assert_allclose(loss / normaliser(float(alpha)), helm[f"helm/norm_{alpha}"], rtol=2e-6)
    if alpha == "0.0":
        np.testing.assert_allclose(loss, helm["helm/xe_per_item"], rtol=1e-6)


def test_the_normalisers_are_those_of_helm() -> None:
    found = [normaliser(alpha) for alpha in (0, 0.2, 0.4, 0.6)]
    assert found == pytest.approx([100, 52.3464, 28.7775, 16.7974], abs=1e-4)


def test_the_gradients_are_those_of_helm(helm: dict[str, np.ndarray]) -> None:
    logits = torch.from_numpy(helm["helm/logits"]).double().requires_grad_()
    under = LeafTree.of(helm_paths()).under[torch.from_numpy(helm["helm/target"])]
    (hierarchical_cross_entropy(logits, under, 0.2).mean() / normaliser(0.2)).backward()
    np.testing.assert_allclose(logits.grad, helm["helm/grad_0.2"], atol=1e-9)
    assert abs(helm["helm/grad_0.2"]).max() > 1e-4


def test_a_wrong_class_that_is_sure_costs_what_it_should() -> None:
    """A wrong leaf at logit 200, others at 0: HELM's own code underflows and gives 0."""
    tree, logits = LeafTree.of(helm_paths()), torch.zeros(1, 70, requires_grad=True)
    raised = logits + 200 * (torch.arange(70) == 69)
    target = len(SPECIAL) + CODONS.index("ACA")
    loss = hierarchical_cross_entropy(raised, tree.under[[target]], 0.2)
    assert loss.item() / normaliser(0.2) == pytest.approx(2.0942, abs=1e-4)
    assert hierarchical_cross_entropy(raised, tree.under[[target]], 0).item() == pytest.approx(200)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert torch.isfinite(gradient).all()
    assert gradient[0, 69] > 0.3


@pytest.mark.parametrize("alpha", ["0.0", "0.2", "0.6"])
def test_without_special_tokens_the_node_above_all_codons_is_not_needed(
    helm: dict[str, np.ndarray], alpha: str
) -> None:
    target = torch.from_numpy(helm["box/target"])
    loss = hierarchical_cross_entropy(
        torch.from_numpy(helm["box/joint"]).log(), codon_tree(1).under[target], float(alpha)
    )
    np.testing.assert_allclose(loss, helm[f"box/tree_{alpha}"], rtol=1e-6)


def box_case(helm: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (n, 3, 512) of a model that predicts the tables, target ids (n, 3), and the codons' numbers."""
    target = torch.from_numpy(helm["box/target"])
    a, b, c = target // 16, target // 4 % 4, target % 4
    rows = torch.arange(len(target))
    p1, p2, p3 = (torch.from_numpy(helm[f"box/p{k}"]).log() for k in (1, 2, 3))
    logits = torch.full((len(target), 3, 512), -1e4, dtype=torch.float64)
    logits[..., BASE_IDS] = torch.stack([p1, p2[rows, a], p3[rows, a, b]], 1)
    return logits, BASE_IDS[torch.stack([a, b, c], 1)], target


@pytest.mark.parametrize("alpha", ["0.0", "0.2", "0.6"])
def test_the_one_pass_loss_is_that_of_helm_on_the_box_tree(helm: dict[str, np.ndarray], alpha: str) -> None:
    logits, ids, target = box_case(helm)
    nll = base_nll(logits, ids).double()
    np.testing.assert_allclose(nll.sum(1), helm["box/nll"], rtol=1e-6)
    codons = torch.stack([torch.arange(len(target)), *(torch.full_like(target, k) for k in range(3))], 1)
    loss = box_nll(nll, logits, codons, synonyms(box_tree(1))[target], float(alpha))
    np.testing.assert_allclose(loss.sum(1), helm[f"box/box_{alpha}"], rtol=2e-6)
    if alpha == "0.0":
        assert torch.equal(loss, nll)


def test_gradients_by_differences() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 7, 128, dtype=torch.float64, requires_grad=True)
    ids = BASE_IDS[torch.randint(4, (2, 7))]
    codons = torch.tensor([[0, 0, 1, 2], [0, 3, 4, 5], [1, 2, 3, 6]])
    number = (ids[codons[:, :1], codons[:, 1:]][..., None] == BASE_IDS).int().argmax(-1) @ torch.tensor([16, 4, 1])
    of_codon = synonyms(box_tree(11))[number]

    def box(values: torch.Tensor) -> torch.Tensor:
        nll = -values.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
        return box_nll(nll, values, codons, of_codon, 0.4)

    assert torch.autograd.gradcheck(box, logits, fast_mode=True)
    head = torch.randn(5, 64, dtype=torch.float64, requires_grad=True)
    tree, target = codon_tree(3), torch.tensor([0, 14, 48, 50, 63])
    assert torch.autograd.gradcheck(lambda x: hierarchical_cross_entropy(x, tree.under[target], 0.4), head)
    labels = soft_labels(tree.distances, 5.0).double()[target]
    assert torch.autograd.gradcheck(lambda x: soft_cross_entropy(x, labels), head)


@pytest.mark.parametrize("beta", [1, 5, 15, 30])
def test_soft_labels(helm: dict[str, np.ndarray], beta: int) -> None:
    """The reference divides by the sums of columns, so that what it has as columns are labels."""
    labels = soft_labels(LeafTree.of(helm_paths()).distances, beta)
    np.testing.assert_allclose(labels, helm[f"helm/soft_{beta}"].T, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
    assert (labels.argmax(1) == torch.arange(70)).all()


def test_sharp_soft_labels_give_the_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(9, 64), torch.arange(9) * 7
    sharp = soft_cross_entropy(logits, soft_labels(codon_tree(1).distances, 200)[target])
    torch.testing.assert_close(sharp, torch.nn.functional.cross_entropy(logits, target, reduction="none"))


def test_genetic_codes() -> None:
    changed = {
        code: {c: a for c, a, s in zip(CODONS, amino_acids(code), amino_acids(1), strict=True) if a != s}
        for code in (2, 3, 11)
    }
    assert changed == {
        2: {"AGA": "*", "AGG": "*", "ATA": "M", "TGA": "W"},
        3: {"ATA": "M", "CTA": "T", "CTC": "T", "CTG": "T", "CTT": "T", "TGA": "W"},
        11: {},
    }
    stacked = for_each_code(lambda code: synonyms(box_tree(code)))
    assert stacked.shape == (GENETIC_CODES[-1] + 1, 64, 4)
    # TGA stops alone by the standard code, and means W as TGG does in yeast mitochondria.
    stop = CODONS.index("TGA")
    assert stacked[1, stop].tolist() == [True, False, False, False]
    assert stacked[3, stop].tolist() == [True, False, True, False]


@pytest.mark.parametrize("code", [1, 3])
def test_random_controls_have_the_same_topology(code: int) -> None:
    def sizes(tree: LeafTree) -> list[list[int]]:
        return sorted(tree.under.sum(2).tolist())

    true, shuffled = codon_tree(code), codon_tree(code).relabelled(random_leaves(5))
    assert sizes(shuffled) == sizes(true)
    assert not torch.equal(shuffled.under, true.under)
    assert torch.equal(shuffled.under, codon_tree(code).relabelled(random_leaves(5)).under)
    boxes, moved = synonyms(box_tree(code)), synonyms(box_tree(code).relabelled(random_boxes(5)))
    groups = [sorted(sorted(row.sum(1).tolist()) for row in table.view(16, 4, 4)) for table in (boxes, moved)]
    assert groups[0] == groups[1]
    assert not torch.equal(boxes, moved)
    # Each codon is among its own synonyms, and synonyms are so of each other.
    table = moved.view(16, 4, 4)
    assert table.diagonal(dim1=1, dim2=2).all()
    assert torch.equal(table, table.transpose(1, 2))
