from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed import checkpoint as dcp

from tests.checkpoints.conftest import (
    CHECKPOINTS,
    CONFIG,
    MBRIDGE,
    MBRIDGE_LORA,
    NEMO2,
    NEMO2_LORA,
    SAVANNA,
    SEQUENCES,
    VORTEX,
    Answers,
    logits,
    mean_logprob,
)
from workflow.checkpoints import adapter_shifts, load_model, read_weights, write_ours
from workflow.checkpoints.adapters import Adapter, open_adapter
from workflow.checkpoints.formats import open_checkpoint
from workflow.errors import InputError
from workflow.striped_hyena import ModelConfig, StripedHyena2
from workflow.striped_hyena.adapters import add_lora, load_adapter

#: Layers that Transformer Engine fuses with the norm before them.
FUSED = ("l1", "l2", "Wqkv", "projections")


class Beside(nn.Module):
    """A linear layer with an adapter that is not merged, fed with the layer's input or with something else."""

    def __init__(self, layer: nn.Module, a: Tensor, b: Tensor, seen: list[Tensor] | None) -> None:
        super().__init__()
        self.layer, self.a, self.b, self.seen = layer, a.float(), b.float(), seen

    def forward(self, x: Tensor) -> Tensor:
        fed = x if self.seen is None else self.seen[-1]
        out: Tensor = self.layer(x) + (fed @ self.a.T) @ self.b.T
        return out


def unmerged(base: Path, adapter: Adapter, *, before_norm: bool) -> StripedHyena2:
    """The base with the adapter beside its weights; adapters of fused layers read the norm's input or output."""
    model = load_model(base).float()
    if adapter.replaced is not None:
        model.norm.scale.data = adapter.replaced["norm.scale"].float()
    for name, pair in adapter.layers.items():
        owner, _, kind = name.rpartition(".")
        a, b = adapter.opened.store.read(pair.a), adapter.opened.store.read(pair.b).chunk(pair.parts)[pair.part]
        seen: list[Tensor] | None = None
        if before_norm and kind in FUSED:
            block = model.blocks[int(name.split(".")[1])]
            norm, seen = block.post_norm if kind in ("l1", "l2") else block.pre_norm, []
            norm.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        layer = Beside(model.get_submodule(name), adapter.alpha / adapter.rank * a.float(), b, seen)
        setattr(model.get_submodule(owner), kind, layer)
    return model


TRAINED = pytest.mark.parametrize(
    ("base", "path", "predictions"),
    [(NEMO2, NEMO2_LORA, "nemo2_lora_mean.pt"), (MBRIDGE, MBRIDGE_LORA, "mbridge_lora_mean.pt")],
)


@TRAINED
def test_adapters_give_the_predictions_of_the_tools(base: Path, path: Path, predictions: str) -> None:
    """Rank, alpha, names, row order and the trained norm are all in these numbers.

    These predictions come from a run without Transformer Engine, whose stand-in gave adapters of fused layers the
    input of the norm. The real one gives them its output (NeMo and Megatron Bridge ask it to), as `merge` assumes.
    """
    model = unmerged(base, open_adapter(path), before_norm=True)
    theirs = Answers(CHECKPOINTS / "predictions" / predictions)
    for name, bases in SEQUENCES.items():
        assert mean_logprob(model, bases) == pytest.approx(float(theirs.of(name, "log_probs_seqs")), abs=3e-3)
        assert abs(mean_logprob(load_model(base), bases) - mean_logprob(model, bases)) > 0.2


@TRAINED
def test_merged_is_the_adapter_beside_the_weights(base: Path, path: Path, predictions: str) -> None:
    merged, beside = load_model(base, adapter=path), unmerged(base, open_adapter(path), before_norm=False)
    for bases in SEQUENCES.values():
        torch.testing.assert_close(
            logits(merged, bases, begin=True), logits(beside, bases, begin=True), atol=2e-5, rtol=0
        )
    assert {parameter.dtype for parameter in merged.parameters()} == {torch.float32}


def test_any_base_takes_any_adapter() -> None:
    bases = SEQUENCES["alpha"]
    expected = logits(load_model(MBRIDGE, adapter=MBRIDGE_LORA), bases, begin=True)
    for base in (SAVANNA, VORTEX, NEMO2):
        found = logits(load_model(base, CONFIG, adapter=MBRIDGE_LORA), bases, begin=True)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_peft_adapters_merge_as_peft_merges_them(tmp_path: Path) -> None:
    torch.manual_seed(3)
    adapted = add_lora(
        load_model(MBRIDGE).float(), rank=4, alpha=6, dropout=0, targets=["l1", "l3", "Wqkv", "projections", "out_proj"]
    )
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.05)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    theirs = load_adapter(load_model(MBRIDGE).float(), tmp_path / "adapter", merge=True).state_dict()
    ours = load_model(MBRIDGE, adapter=tmp_path / "adapter").state_dict()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-6, rtol=0)
    opened = open_adapter(tmp_path / "adapter")
    assert (opened.rank, opened.alpha, opened.targets) == (4, 6.0, ["Wqkv", "l1", "l3", "out_proj", "projections"])


def test_what_the_files_say_of_an_adapter() -> None:
    nemo2, mbridge = open_adapter(NEMO2_LORA), open_adapter(MBRIDGE_LORA)
    assert (nemo2.rank, nemo2.alpha, nemo2.alpha_is_stated) == (32, 32.0, False)
    assert nemo2.targets == ["Wqkv", "l1", "l2", "l3", "out_proj"]
    assert (mbridge.rank, mbridge.alpha, mbridge.alpha_is_stated) == (4, 8.0, True)
    assert mbridge.targets == ["Wqkv", "l1", "l2", "l3", "out_filter_dense", "out_proj", "projections"]
    assert (nemo2.base, mbridge.base) == ("/workspace/run/work_g1/nemo2_safe", "/workspace/run/work_g2/mb")
    assert nemo2.replaced is not None and mbridge.replaced is None


def test_shifts_are_those_of_the_tensors_that_start_at_zero(tmp_path: Path, small: StripedHyena2) -> None:
    shifts = adapter_shifts(MBRIDGE_LORA)
    assert len(shifts) == 16 and all(name.endswith("linear_out.weight") for name in shifts)
    assert min(shifts.values()) > 0.05
    # 5 kinds of adapted layers, two of them once.
    assert len(adapter_shifts(NEMO2_LORA)) == 10 and min(adapter_shifts(NEMO2_LORA).values()) > 0.2
    add_lora(small, rank=2, alpha=4, dropout=0, targets=["l1"]).save_pretrained(str(tmp_path))
    assert set(adapter_shifts(tmp_path).values()) == {0.0}
    with pytest.raises(InputError, match=r"holds no adapter, but weights \(NeMo2\)"):
        adapter_shifts(NEMO2)


def test_an_adapter_alone_looks_for_the_base_that_it_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is an adapter of /workspace/run/work_g2/mb, which is not there"):
        load_model(MBRIDGE_LORA)
    folder = shutil.copytree(MBRIDGE_LORA, tmp_path / "iter_0000006")
    file = folder / "run_config.yaml"
    file.write_text(file.read_text().replace("/workspace/run/work_g2/mb", str(MBRIDGE)))
    bases = SEQUENCES["mid"]
    expected = logits(load_model(MBRIDGE, adapter=MBRIDGE_LORA), bases, begin=True)
    assert torch.equal(logits(load_model(folder), bases, begin=True), expected)
    with pytest.raises(InputError, match="is an adapter itself"):
        load_model(folder, adapter=MBRIDGE_LORA)


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    for pattern, mlp_width, message in (
        ("SDH", 96, r"adapts blocks\.3\.\S+, which the base model has not"),
        ("SDH*", 80, r"the adapter of blocks\.0\.mlp\.l1 is for a matrix \(96, 64\), the base model has \(80, 64\)"),
    ):
        config = ModelConfig(pattern, width=64, heads=4, mlp_width=mlp_width, filter_groups=8)
        write_ours(StripedHyena2(config), tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=message):
            load_model(tmp_path, adapter=MBRIDGE_LORA)


@pytest.fixture
def peft_folder(tmp_path: Path, small: StripedHyena2) -> Path:
    add_lora(small, rank=2, alpha=4, dropout=0, targets=["l1"]).save_pretrained(str(tmp_path))
    return tmp_path


def change_settings(folder: Path, **changes: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_dora": True}, r"adapter_config\.json: use_dora is not supported"),
        ({"use_rslora": True}, "use_rslora is not supported"),
        ({"modules_to_save": ["norm"]}, "modules_to_save is not supported"),
        ({"r": None}, "does not say r and lora_alpha"),
        ({"r": 3}, r"the adapter of blocks\.0\.mlp\.l1 is not of rank 3"),
    ],
)
def test_adapters_that_are_no_plain_lora(peft_folder: Path, changes: dict[str, Any], message: str) -> None:
    change_settings(peft_folder, **changes)
    with pytest.raises(InputError, match=message) as caught:
        open_adapter(peft_folder)
    assert "\n" not in str(caught.value)


def test_damaged_adapters(peft_folder: Path) -> None:
    file = peft_folder / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if "lora_B" in name)
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, file)
    with pytest.raises(InputError, match=r"the adapter of blocks\.0\.mlp\.l1 lacks B"):
        open_adapter(peft_folder)
    save_file(tensors | {"base_model.model.norm.scale": torch.ones(64)}, file)
    with pytest.raises(InputError, match=r"holds base_model\.model\.norm\.scale, which is no part of a LoRA"):
        open_adapter(peft_folder)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="is damaged"):
        open_adapter(peft_folder)
    file.unlink()
    with pytest.raises(InputError, match=r"holds no adapter \(adapter_model\.safetensors\)"):
        open_adapter(peft_folder)


def test_the_rank_of_the_settings_must_be_that_of_the_tensors(tmp_path: Path) -> None:
    folder = shutil.copytree(MBRIDGE_LORA, tmp_path / "iter_0000006")
    file = folder / "run_config.yaml"
    file.write_text(file.read_text().replace("  dim: 4\n", "  dim: 16\n"))
    with pytest.raises(InputError, match=r"run_config\.yaml says rank 16, the tensors have 4"):
        read_weights(MBRIDGE, adapter=folder)


def test_a_norm_that_was_trained_alone_beside_the_adapters(tmp_path: Path) -> None:
    """No whole layer tells the pattern: the settings of the model do."""
    opened = open_checkpoint(NEMO2_LORA)
    norm = "module.decoder.final_norm.weight"
    state = {name: opened.store.read(name) for name in opened.store.infos if ".adapter." in name or name == norm}
    folder = tmp_path / NEMO2_LORA.name
    shutil.copytree(NEMO2_LORA / "context", folder / "context")
    with pytest.warns(UserWarning, match=r"torch\.distributed is disabled"):
        dcp.save(state, checkpoint_id=folder / "weights", no_dist=True)
    merged, expected = load_model(NEMO2, adapter=folder), load_model(NEMO2, adapter=NEMO2_LORA)
    assert not torch.equal(expected.norm.scale, load_model(NEMO2).norm.scale.float())
    for name, tensor in expected.state_dict().items():
        assert torch.equal(merged.state_dict()[name], tensor), name
    (folder / "context" / "model.yaml").unlink()
    with pytest.raises(InputError, match=r"decoder\.final_norm\.weight beside its adapters, but no settings"):
        open_adapter(folder)
