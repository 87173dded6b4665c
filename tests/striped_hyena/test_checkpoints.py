from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.striped_hyena.conftest import SMALL, Vortex
from workflow.errors import InputError
from workflow.striped_hyena import StripedHyena2, load_checkpoint, save_checkpoint
from workflow.striped_hyena.checkpoints import inspect_checkpoint
from workflow.striped_hyena.poles import make_filters_trainable


def published(vortex: Vortex, path: Path, **changes: object) -> Path:
    """A file as the authors publish it: the tied copy, FP8 scales and filter positions beside the weights."""
    content: dict[str, object] = dict(vortex.weights)
    content["unembed.weight"] = vortex.weights["embedding_layer.weight"].clone()
    content["blocks.0.projections._extra_state"] = io.BytesIO(b"scales")
    content["blocks.2.mixer.mixer.filter.t"] = torch.arange(8)
    content |= changes
    torch.save({name: value for name, value in content.items() if value is not None}, path)
    return path


def test_published_file_and_safetensors_round_trip_bit_for_bit(vortex: Vortex, tmp_path: Path) -> None:
    model = load_checkpoint(published(vortex, tmp_path / "evo2.pt"), vortex.config)
    save_checkpoint(model, tmp_path / "ours.safetensors")
    again = load_checkpoint(tmp_path / "ours.safetensors")
    assert again.config == vortex.config
    assert {path.name for path in tmp_path.iterdir()} == {"evo2.pt", "ours.safetensors"}
    for name, tensor in vortex.weights.items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_precision_of_the_file_is_kept(vortex: Vortex, tmp_path: Path) -> None:
    save_checkpoint(vortex.model().to_bfloat16(), tmp_path / "model.safetensors")
    held = inspect_checkpoint(load_checkpoint(tmp_path / "model.safetensors"))
    assert set(held["tensors_by_dtype"]) == {"bfloat16", "float32"}
    assert held["parameters"] == vortex.config.parameters
    assert held["layers_by_kind"] == {"S": 2, "D": 1, "H": 1, "*": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm.scale": None}, "does not fit the architecture: missing: norm.scale"),
        ({"norm.bias": torch.zeros(1)}, "unknown: norm.bias"),
        ({"norm.scale": torch.zeros(3)}, r"of another shape: norm.scale \(3,\) instead of \(32,\)"),
        ({"unembed.weight": torch.zeros(512, 32)}, "unembed.weight differs from embedding_layer.weight"),
    ],
)
def test_unfitting_weights_are_listed(vortex: Vortex, tmp_path: Path, changes: dict, message: str) -> None:
    path = published(vortex, tmp_path / "evo2.pt", **changes)
    with pytest.raises(InputError, match=message):
        load_checkpoint(path, vortex.config)


def test_unreadable_files_are_named(vortex: Vortex, tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    save_checkpoint(vortex.model(), good)
    cases = {
        "absent.pt": (None, "does not exist"),
        "text.pt": (b"hello", "damaged"),
        "short.safetensors": (good.read_bytes()[:5000], "damaged"),
        "weights.bin": (b"", "must end in .safetensors or .pt"),
    }
    for name, (content, message) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=re.escape(name) + ".*" + message):
            load_checkpoint(tmp_path / name, vortex.config)
    with pytest.raises(InputError, match="another architecture"):
        load_checkpoint(good, replace(vortex.config, heads=1))
    with pytest.raises(InputError, match=r"name it with model\.architecture"):
        load_checkpoint(published(vortex, tmp_path / "evo2.pt"))


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "run",)

    torch.save({"norm.scale": Harmful()}, tmp_path / "harm.pt")
    with pytest.raises(InputError, match="damaged or not a plain table of weights"):
        load_checkpoint(tmp_path / "harm.pt", SMALL)
    assert not (tmp_path / "run").exists()


def test_trainable_poles_are_saved_under_the_published_name(tmp_path: Path) -> None:
    model = StripedHyena2(SMALL)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    make_filters_trainable(model)
    save_checkpoint(model, tmp_path / "model.safetensors")
    after = load_checkpoint(tmp_path / "model.safetensors").state_dict()
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=1e-6)
