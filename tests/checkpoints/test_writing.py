from __future__ import annotations

import tracemalloc
import weakref
from pathlib import Path

import pytest
import torch

from tests.checkpoints.conftest import CONFIG, MBRIDGE, MBRIDGE_LORA, NEMO2, SAVANNA, SEQUENCES, VORTEX, logits
from workflow.checkpoints import load_model, read_weights, write_ours, write_savanna, write_vortex
from workflow.checkpoints.converting import target_format
from workflow.checkpoints.writing import Precision
from workflow.errors import InputError
from workflow.striped_hyena import PRESETS, ModelConfig, StripedHyena2, load_checkpoint, save_checkpoint
from workflow.striped_hyena.poles import make_filters_trainable


def same(a: StripedHyena2, b: StripedHyena2) -> None:
    assert a.config == b.config
    for (name, x), (other, y) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert name == other and x.dtype == y.dtype and torch.equal(x, y), name


def test_savanna_to_ours_to_vortex_to_ours_is_identical_bit_by_bit(tmp_path: Path) -> None:
    first, vortex, again = (tmp_path / name for name in ("first.safetensors", "vortex.pt", "again.safetensors"))
    write_ours(read_weights(SAVANNA, CONFIG), first)
    write_vortex(read_weights(first), vortex)
    write_ours(read_weights(vortex, CONFIG), again)
    assert first.read_bytes() == again.read_bytes()
    same(load_model(again), load_model(SAVANNA, CONFIG))
    assert {path.name for path in tmp_path.iterdir()} == {first.name, vortex.name, again.name}


@pytest.mark.parametrize("path", [SAVANNA, VORTEX, NEMO2, MBRIDGE])
def test_a_file_written_from_disk_is_that_of_the_loaded_model(path: Path, tmp_path: Path) -> None:
    write_ours(read_weights(path, CONFIG), tmp_path / "a.safetensors")
    save_checkpoint(load_model(path, CONFIG), tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    same(load_checkpoint(tmp_path / "a.safetensors"), load_model(path, CONFIG))


def test_vortex_files_have_what_the_export_of_the_tool_has(tmp_path: Path) -> None:
    write_vortex(read_weights(MBRIDGE), tmp_path / "ours.pt")
    ours, theirs = (torch.load(path, weights_only=True) for path in (tmp_path / "ours.pt", VORTEX))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (tensor.dtype, tensor.shape), name
        torch.testing.assert_close(ours[name], tensor, rtol=1e-6, atol=0)


def test_savanna_files_have_what_the_converters_read(tmp_path: Path) -> None:
    write_savanna(load_model(VORTEX, CONFIG), tmp_path / "savanna.pt")
    ours, theirs = (torch.load(path, weights_only=True)["module"] for path in (tmp_path / "savanna.pt", SAVANNA))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (tensor.dtype, tensor.shape), name
        if not name.endswith(("filter.h", "decay", "gamma", "filter.p")):
            assert torch.equal(ours[name], tensor), name
    again = load_model(tmp_path / "savanna.pt", CONFIG)
    expected = logits(load_model(VORTEX, CONFIG), SEQUENCES["alpha"], begin=True)
    torch.testing.assert_close(logits(again, SEQUENCES["alpha"], begin=True), expected, atol=1e-5, rtol=0)


def test_the_20b_model_has_its_final_norm_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "evo2_20b", CONFIG)
    write_savanna(load_model(SAVANNA, CONFIG), tmp_path / "savanna.pt")
    assert "module.sequential.6.norm.weight" in torch.load(tmp_path / "savanna.pt", weights_only=True)["module"]
    same_norm = load_model(tmp_path / "savanna.pt", CONFIG).norm.scale
    assert torch.equal(same_norm, load_model(SAVANNA, CONFIG).norm.scale)


@pytest.mark.parametrize(("precision", "dtypes"), [("kept", 2), ("bf16", 2), ("fp32", 1)])
@pytest.mark.parametrize("write", [write_ours, write_vortex, write_savanna])
def test_precision(write: object, precision: Precision, dtypes: int, tmp_path: Path) -> None:
    out = tmp_path / ("x.safetensors" if write is write_ours else "x.pt")
    write(read_weights(MBRIDGE), out, precision)  # type: ignore[operator]
    state = load_model(out, CONFIG).state_dict()
    kept = load_model(MBRIDGE).state_dict()
    assert len({tensor.dtype for tensor in state.values()}) == dtypes
    for name, tensor in state.items():
        if name.endswith(("log_poles", "residues", "inv_freq")):
            assert tensor.dtype == torch.float32
        elif precision == "bf16" and not (write is write_savanna and name.endswith("filter.h")):
            assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, kept[name].bfloat16()), name


def test_trainable_poles_are_written_as_poles(tmp_path: Path, small: StripedHyena2) -> None:
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    make_filters_trainable(small)
    write_vortex(small, tmp_path / "x.pt")
    for name, tensor in load_model(tmp_path / "x.pt", CONFIG).state_dict().items():
        torch.testing.assert_close(tensor, before[name], atol=1e-6, rtol=1e-6)


def test_a_growing_pole_stops_the_writing_and_leaves_the_old_file(tmp_path: Path, small: StripedHyena2) -> None:
    (tmp_path / "savanna.pt").write_bytes(b"old")
    with torch.no_grad():
        small.blocks[2].filter.log_poles[0] = 0.5  # type: ignore[index, union-attr]
    with pytest.raises(InputError, match=r"blocks\.2\.filter\.log_poles holds a growing pole"):
        write_savanna(small, tmp_path / "savanna.pt")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_one_tensor_is_in_memory_at_a_time(tmp_path: Path) -> None:
    config = ModelConfig("S" * 24, width=64, heads=2, mlp_width=512, filter_groups=8)
    write_ours(StripedHyena2(config), tmp_path / "a.safetensors")
    weights = read_weights(tmp_path / "a.safetensors")
    read = 0
    plain = type(weights.tensors).__getitem__

    class Counting(type(weights.tensors)):  # type: ignore[misc]
        alive = most = 0

        def __getitem__(self, name: str) -> torch.Tensor:
            nonlocal read
            read += 1
            tensor: torch.Tensor = plain(self, name).clone()
            Counting.alive += 1
            Counting.most = max(Counting.most, Counting.alive)
            weakref.finalize(tensor, lambda: setattr(Counting, "alive", Counting.alive - 1))
            return tensor

    weights.tensors.__class__ = Counting
    tracemalloc.start()
    write_ours(weights, tmp_path / "b.safetensors")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == len(weights.tensors) and Counting.most <= 2
    assert peak < (tmp_path / "a.safetensors").stat().st_size / 4
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_merged_weights_are_float32_where_the_adapter_is(tmp_path: Path) -> None:
    write_ours(read_weights(MBRIDGE, adapter=MBRIDGE_LORA), tmp_path / "x.safetensors")
    state = load_model(tmp_path / "x.safetensors").state_dict()
    merged = load_model(MBRIDGE, adapter=MBRIDGE_LORA).state_dict()
    assert state["blocks.0.mlp.l1.weight"].dtype == torch.float32
    assert state["blocks.0.pre_norm.scale"].dtype == torch.bfloat16
    assert all(torch.equal(tensor.float(), merged[name]) for name, tensor in state.items())


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("x.safetensors", None, "ours"),
        ("x.pt", None, "vortex"),
        ("savanna_x.pt", None, "savanna"),
        ("x.pt", "savanna", "savanna"),
        ("savanna.pt", "vortex", "vortex"),
    ],
)
def test_the_name_of_the_output_tells_its_format(name: str, asked: str | None, expected: str) -> None:
    assert target_format(Path(name), asked) == expected


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("x.bin", None, "must end in .safetensors"),
        ("x.pt", "ours", "ours is written as .safetensors"),
        ("x.safetensors", "vortex", "vortex is written as .pt"),
    ],
)
def test_names_that_do_not_fit(name: str, asked: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        target_format(Path(name), asked)
