from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workflow.classification.objective import Objective
from workflow.striped_hyena.pooling import pool

VECTORS = Path(__file__).parent.parent / "data" / "microbert_heads.npz"


def test_pooled_states_logits_and_losses_are_those_of_microbert() -> None:
    with np.load(VECTORS) as file:
        known = {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}
    pooled = pool(known["hidden"], known["mask"].bool(), "mean")
    torch.testing.assert_close(pooled, known["pooled_mean_masked"])
    logits = [F.linear(pooled, known[f"W{level}"], known[f"b{level}"]) for level in range(3)]
    for level, output in enumerate(logits):
        torch.testing.assert_close(output, known[f"logits_nt_{level}"])
    assert float(Objective([1, 1, 1])(logits, known["labels"])) == pytest.approx(float(known["loss_nt"]), rel=1e-6)
    weighted = Objective([1, 1, 1], [known[f"class_weight{level}"] for level in range(3)])
    assert float(weighted(logits, known["labels"])) == pytest.approx(float(known["loss_nt_weighted"]), rel=1e-6)


def test_unknown_labels_have_no_part_and_levels_have_their_weights() -> None:
    torch.manual_seed(0)
    outputs = [torch.randn(5, 3), torch.randn(5, 2)]
    targets = torch.tensor([[0, 1], [-1, 0], [2, -1], [1, 1], [-1, 0]])
    expected = 2 * F.cross_entropy(outputs[0], targets[:, 0], ignore_index=-1) + 0.5 * F.cross_entropy(
        outputs[1], targets[:, 1], ignore_index=-1
    )
    torch.testing.assert_close(Objective([2, 0.5])(outputs, targets), expected)
    # A batch in which a level has no label at all is no reason for NaN.
    assert float(Objective([1, 1])(outputs, torch.full((5, 2), -1))) == 0


def test_sums_over_batches_make_the_loss_of_all() -> None:
    torch.manual_seed(0)
    outputs, targets = [torch.randn(7, 3)], torch.tensor([[0], [1], [2], [-1], [1], [1], [0]])
    objective = Objective([1], [torch.tensor([0.5, 2.0, 1.0])])
    parts = objective.terms([outputs[0][:2]], targets[:2]) + objective.terms([outputs[0][2:]], targets[2:])
    torch.testing.assert_close(objective.combine(parts), objective(outputs, targets))


def test_numbers_that_are_missing_have_no_part_in_the_squared_error() -> None:
    outputs = [torch.tensor([[1.0], [2.0], [9.0]], requires_grad=True)]
    loss = Objective([1], regression=True)(outputs, torch.tensor([[0.0], [4.0], [float("nan")]], dtype=torch.float64))
    assert float(loss.detach()) == pytest.approx((1 + 4) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert outputs[0].grad is not None and outputs[0].grad[:, 0].tolist() == [1.0, -2.0, 0.0]
