"""Pooling counts a sequence's own positions, alone and in any batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from workflow.striped_hyena.pooling import POOLINGS, pool

DATA = Path(__file__).parent.parent / "data"


@pytest.mark.parametrize("method", POOLINGS)
def test_equal_alone_and_with_any_padding(method: str) -> None:
    hidden = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(9) < torch.tensor([9, 4, 1])[:, None]
    hidden[~mask] = torch.nan
    together = pool(hidden, mask, method)
    for row, length in enumerate((9, 4, 1)):
        alone = pool(hidden[row : row + 1, :length], mask[row : row + 1, :length], method)
        torch.testing.assert_close(together[row], alone[0])


def test_values_and_positions_that_are_context_alone() -> None:
    hidden = torch.tensor([[[1.0], [5.0], [3.0], [9.0]]])
    mask = torch.tensor([[False, True, True, False]])
    assert [pool(hidden, mask, method).item() for method in POOLINGS] == [4, 5, 5, 3]


def test_where_omnibiote_counts_its_padding() -> None:
    """Its pooled vectors of rows of 20, 13, 7 and 1 tokens in a batch of 20 (OmniBioTE @54aface)."""
    with np.load(DATA / "omnibiote_pooling.npz") as file:
        hidden, lengths = torch.from_numpy(file["hidden"]), file["lengths"]
        theirs = {method: file[f"theirs_{method}"] for method in POOLINGS}
    mask = torch.arange(20) < torch.from_numpy(lengths)[:, None]
    for method in POOLINGS:
        ours = pool(hidden, mask, method).numpy()
        same = np.isclose(ours, theirs[method], atol=1e-6).all(axis=1)
        # The full row has no padding, and the first token is never padding; elsewhere theirs is another vector.
        assert same.tolist() == ([True] * 4 if method == "first" else [True, False, False, False])
        expected = {
            "mean": lambda x: x.mean(0),
            "max": lambda x: x.max(0),
            "first": lambda x: x[0],
            "last": lambda x: x[-1],
        }
        for row, length in enumerate(lengths.tolist()):
            np.testing.assert_allclose(ours[row], expected[method](hidden[row, :length].numpy()), atol=1e-6)


def test_a_mean_of_bfloat16_is_summed_in_float32() -> None:
    hidden = torch.ones(1, 4096, 1, dtype=torch.bfloat16)
    assert pool(hidden, torch.ones(1, 4096, dtype=torch.bool), "mean").item() == 1.0
    hidden[0, :2048] = 1.0078125
    assert pool(hidden, torch.ones(1, 4096, dtype=torch.bool), "mean").item() == 1.00390625


@pytest.mark.parametrize("method", POOLINGS)
def test_gradients_reach_no_padding(method: str) -> None:
    hidden = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    mask = torch.arange(5) < torch.tensor([5, 2])[:, None]
    pool(hidden, mask, method).sum().backward()
    assert hidden.grad is not None
    assert torch.equal(hidden.grad[~mask], torch.zeros(3, 3))
    torch.testing.assert_close(hidden.grad.sum((1, 2)), torch.full((2,), 3.0))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="pooling cls does not exist: use one of mean, max, first, last"):
        pool(torch.zeros(1, 2, 1), torch.ones(1, 2, dtype=torch.bool), "cls")
    with pytest.raises(ValueError, match="no position that counts"):
        pool(torch.zeros(1, 2, 1), torch.zeros(1, 2, dtype=torch.bool), "mean")
