from __future__ import annotations

import torch

from workflow.striped_hyena.objectives import base_nll, base_weights
from workflow.striped_hyena.tokens import is_base, model_inputs, pad, to_upper


def ids(text: str) -> torch.Tensor:
    return torch.tensor([list(text.encode())])


def test_inputs_begin_with_the_begin_token_and_are_upper_case() -> None:
    assert model_inputs(ids("acGTN")).tolist() == [[0, *b"ACGT"]]
    assert to_upper(torch.tensor([[0, 1, 64, 91, 96, 123]])).tolist() == [[0, 1, 64, 91, 96, 123]]
    assert is_base(ids("ACGTacgtNRn")).tolist() == [[True] * 8 + [False] * 3]


def test_weights_leave_out_other_letters_and_padding_and_lower_repeats() -> None:
    targets, mask = pad([ids("ACgtNn")[0], ids("AC")[0]])
    weights = base_weights(targets, mask, repeat_weight=0.1)
    torch.testing.assert_close(weights, torch.tensor([[1, 1, 0.1, 0.1, 0, 0], [1, 1, 0, 0, 0, 0]]))


def test_nll_is_asked_for_the_upper_case_letter() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 512)
    nll = base_nll(logits, ids("AcNt"))
    expected = -logits.log_softmax(-1)[0, [0, 1, 3], list(b"ACT")]
    torch.testing.assert_close(nll[0, [0, 1, 3]], expected)
    assert nll[0, 2] == 0
