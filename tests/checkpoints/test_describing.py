from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoints.conftest import (
    CONFIG,
    MBRIDGE,
    MBRIDGE_FULL,
    MBRIDGE_LORA,
    NEMO2,
    NEMO2_FULL,
    NEMO2_LORA,
    SAVANNA,
    VORTEX,
)
from workflow.checkpoints import Format, describe, load_model, write_ours
from workflow.checkpoints.stores import TensorInfo
from workflow.errors import InputError
from workflow.striped_hyena import PRESETS, StripedHyena2
from workflow.striped_hyena.adapters import add_lora


@pytest.mark.parametrize("path", [SAVANNA, VORTEX, NEMO2, NEMO2_FULL, MBRIDGE, MBRIDGE_FULL])
def test_the_same_model_in_every_format(path: Path) -> None:
    found = describe(path)
    assert found.parameters == CONFIG.parameters
    assert (found.layers, found.layers_by_kind) == (4, {"S": 1, "D": 1, "H": 1, "*": 1})
    assert found.config == (None if path.suffix == ".pt" else CONFIG)
    assert (found.missing, found.unknown, found.models, found.adapter) == ([], [], [], None)
    assert json.loads(json.dumps(found.to_dict()))["format"] == str(found.format)


@pytest.mark.parametrize(
    ("path", "step", "samples", "optimizer", "complete"),
    [
        (SAVANNA, None, None, False, True),
        (NEMO2, 0, None, False, True),
        (NEMO2_FULL, 6, 12, True, False),
        (NEMO2_LORA, 6, 12, False, True),
        (MBRIDGE, 1, 0, False, True),
        (MBRIDGE_FULL, 6, 12, False, True),
        (MBRIDGE_LORA, 6, 12, False, True),
    ],
)
def test_progress_and_state_of_a_training(
    path: Path, step: int | None, samples: int | None, optimizer: bool, complete: bool
) -> None:
    found = describe(path)
    assert (found.step, found.consumed_samples) == (step, samples)
    assert (found.optimizer, found.complete) == (optimizer, complete)


def test_without_state_files_the_name_of_the_folder_tells_the_step(tmp_path: Path) -> None:
    for path, file, step, samples in (
        (NEMO2_LORA, "weights/common.pt", 6, 12),
        (MBRIDGE_LORA, "train_state.pt", 6, None),
    ):
        folder = shutil.copytree(path, tmp_path / path.name)
        (folder / file).write_bytes(b"not a state")
        assert (describe(folder).step, describe(folder).consumed_samples) == (step, samples)


def test_adapters(tmp_path: Path, small: StripedHyena2) -> None:
    nemo2, mbridge = describe(NEMO2_LORA), describe(MBRIDGE_LORA)
    assert nemo2.adapter is not None and mbridge.adapter is not None
    assert (nemo2.adapter.rank, nemo2.adapter.layers, nemo2.adapter.alpha_is_stated) == (32, 14, False)
    assert (mbridge.adapter.rank, mbridge.adapter.alpha, mbridge.adapter.layers) == (4, 8.0, 20)
    # Rank times inputs and outputs of each matrix: 16 matrices, the two halves of the MLP as one.
    sizes = 3 * (64 + 192 + 64 + 64) + (64 + 192 + 64 + 64) + 4 * (64 + 192 + 96 + 64)
    assert mbridge.parameters == 4 * sizes
    add_lora(small, rank=2, alpha=5, dropout=0, targets=["l3"]).save_pretrained(str(tmp_path))
    found = describe(tmp_path)
    assert found.format is Format.PEFT and found.adapter is not None
    assert (found.adapter.rank, found.adapter.alpha, found.adapter.targets) == (2, 5.0, ["l3"])
    assert (found.parameters, found.layers) == (4 * 2 * (64 + 96), 0)


def test_published_models_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "twin", CONFIG)
    monkeypatch.setitem(PRESETS, "longer", replace(CONFIG, rope_scale=32))
    monkeypatch.setitem(PRESETS, "narrower", replace(CONFIG, heads=8))
    assert describe(NEMO2).models == ["twin"]
    # Shapes cannot tell them apart; the number of rotary frequencies tells the heads.
    assert describe(VORTEX).models == ["twin", "longer"]
    assert describe(SAVANNA).models == ["twin", "longer", "narrower"]


def test_missing_and_unknown_tensors(tmp_path: Path) -> None:
    table: dict[str, Any] = torch.load(VORTEX, weights_only=True)
    table.pop("blocks.1.mlp.l3.weight")
    table["blocks.1.mlp.bias"] = torch.ones(1)
    table["blocks.1.mlp._extra_state"] = torch.ones(1)
    torch.save(table, tmp_path / "x.pt")
    found = describe(tmp_path / "x.pt")
    assert (found.missing, found.unknown) == (["blocks.1.mlp.l3.weight"], ["blocks.1.mlp.bias"])
    assert not found.complete
    for name in [name for name in table if name.startswith("blocks.2.filter")]:
        table.pop(name)
    torch.save(table, tmp_path / "y.pt")
    with pytest.raises(InputError, match="is incomplete: the kind of a layer cannot be told"):
        describe(tmp_path / "y.pt")


def test_no_weights_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ours(load_model(NEMO2), tmp_path / "x.safetensors")

    def refuse(*_: object) -> None:
        raise AssertionError("weights are read")

    for store in ("stores.SafetensorsStore", "archives.ArchiveStore", "distributed.DistributedStore"):
        monkeypatch.setattr(f"workflow.checkpoints.{store}.read", refuse)
    for path in (SAVANNA, VORTEX, NEMO2, MBRIDGE_FULL, MBRIDGE_LORA, tmp_path / "x.safetensors"):
        assert describe(path).parameters > 0


def test_precision_and_bytes() -> None:
    found = describe(NEMO2)
    assert found.tensors_by_dtype == {"bfloat16": 41}
    assert describe(MBRIDGE).tensors_by_dtype == {"bfloat16": 36, "float32": 5}
    float32 = 8 * 128 + 2 * 64 * 16
    assert found.bytes == 2 * (CONFIG.parameters - float32) + 4 * float32
    assert TensorInfo((2, 3), torch.bfloat16).bytes == 12
