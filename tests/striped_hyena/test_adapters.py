from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.striped_hyena.conftest import random_bases
from workflow.backends.embedded.keeping import save_trained
from workflow.errors import InputError
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.adapters import adapter_shifts, add_lora, load_adapter

TARGETS = ["projections", "out_filter_dense", "Wqkv", "out_proj", "l1", "l2", "l3"]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_adapter_and_nothing_else_gets_a_gradient(model: StripedHyena2, checkpointing: bool) -> None:
    model.activation_checkpointing = checkpointing
    adapted = add_lora(model, rank=4, alpha=8, dropout=0.0, targets=TARGETS)
    adapted(random_bases(2, 40)).logits.square().mean().backward()
    trained = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    # 4 hyena layers × 2, 1 attention × 2, 5 MLPs × 3, each with A and B.
    assert len(trained) == 2 * (4 * 2 + 2 + 5 * 3)
    for name, parameter in adapted.named_parameters():
        assert ("lora_" in name) == parameter.requires_grad
        # At the start B is zero, and so is A's gradient.
        if "lora_B" in name:
            assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name


def test_a_saved_adapter_gives_the_same_logits_merged(model: StripedHyena2, tmp_path: Path) -> None:
    ids = random_bases(1, 50)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    adapted = add_lora(model, rank=4, alpha=8, dropout=0.1, targets=TARGETS).eval()
    assert set(adapter_shifts(adapted).values()) == {0.0}
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
        expected = adapted(ids).logits
    assert min(adapter_shifts(adapted).values()) > 0
    save_trained(adapted, tmp_path / "best")
    assert {path.name for path in (tmp_path / "best").iterdir()} == {"adapter_model.safetensors", "adapter_config.json"}
    base = StripedHyena2(model.config).eval()
    base.load_state_dict(before)
    with torch.no_grad():
        merged = load_adapter(base, tmp_path / "best", merge=True)(ids).logits
    torch.testing.assert_close(merged, expected, atol=2e-4, rtol=1e-4)


def test_small_shifts_survive_bfloat16_weights(model: StripedHyena2, tmp_path: Path) -> None:
    ids = random_bases(1, 50)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    adapted = add_lora(model, rank=4, alpha=8, dropout=0.0, targets=["l3"])
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=1e-5)
    save_trained(adapted, tmp_path / "best")

    def rounded() -> StripedHyena2:
        base = StripedHyena2(model.config)
        base.load_state_dict(before)
        return base.to_bfloat16().eval()

    weights = load_adapter(rounded(), tmp_path / "best", merge=True).state_dict()
    unchanged = rounded().state_dict()
    moved = [
        float((weights[name] != unchanged[name]).float().mean()) for name in unchanged if name.endswith("l3.weight")
    ]
    assert max(moved) < 0.02
    kept = load_adapter(rounded(), tmp_path / "best", merge=False)
    shifts = adapter_shifts(kept)
    assert len(shifts) == 5 and min(shifts.values()) > 0
    with torch.no_grad():
        assert kept(ids).logits.shape == (1, 50, 512)


def test_names_that_match_no_layer_are_refused(model: StripedHyena2, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="linear_qkv; use Wqkv, l1, l2, l3, out_filter_dense, out_proj, projections"):
        add_lora(model, rank=4, alpha=8, dropout=0.0, targets=["Wqkv", "linear_qkv"])
    with pytest.raises(InputError, match=r"^classify\.lora\.targets names no layer"):
        add_lora(model, rank=4, alpha=8, dropout=0.0, targets=["none"], key="classify.lora")
    with pytest.raises(InputError, match="holds no adapter"):
        load_adapter(model, tmp_path, merge=True)
