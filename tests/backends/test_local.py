"""The embedded engine as a backend: what becomes of the FP8 scales of a published checkpoint, and which model stays."""

from __future__ import annotations

import io
import json
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from workflow.backends.base import ModelFiles, SequenceSet, Workplace
from workflow.backends.embedded.places import WEIGHTS
from workflow.backends.local import FP8_SCALES, LocalBackend, _keep_fp8_scales
from workflow.config import BackendConfig, Config, PredictConfig
from workflow.striped_hyena import ModelConfig, StripedHyena2, save_checkpoint
from workflow.striped_hyena.fp8 import Fp8Linear

SMALL = ModelConfig("S*", width=16, heads=2, mlp_width=32, filter_groups=4)
LAYER = "blocks.0.projections"


def state(**more: Any) -> io.BytesIO:
    file = io.BytesIO()
    torch.save({"scale_fwd": torch.tensor([2.0, 4.0, 1.0])} | more, file)
    return file


def published(folder: Path, content: io.BytesIO) -> Path:
    path = folder / "x.pt"
    torch.save(StripedHyena2(SMALL).state_dict() | {f"{LAYER}._extra_state": content}, path)
    return path


def scales_used(base: Path, trained: Path | None) -> tuple[float | None, float]:
    files = ModelFiles("model", base, trained)
    model = LocalBackend(BackendConfig(name="local", device="cpu"), Workplace(base))._load(files, "fp8")
    layer = model.get_submodule(LAYER)
    assert isinstance(layer, Fp8Linear)
    return layer.input_scale, layer.weight_scale


def test_published_scales_are_those_of_the_published_weights_alone(tmp_path: Path) -> None:
    base, trained = tmp_path / "convert", tmp_path / "train"
    (trained / "best").mkdir(parents=True)
    base.mkdir()
    torch.manual_seed(0)
    for folder in (base, trained / "best"):
        save_checkpoint(StripedHyena2(SMALL), folder / WEIGHTS)
    _keep_fp8_scales(published(tmp_path, state()), base)
    assert json.loads((base / FP8_SCALES).read_text()) == {LAYER: [2.0, 4.0]}
    assert scales_used(base, None) == (2.0, 4.0)
    input_scale, weight_scale = scales_used(base, trained)
    assert input_scale is None and weight_scale != 4.0


def test_scales_that_cannot_be_read_do_not_keep_the_weights_from_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _keep_fp8_scales(published(tmp_path, io.BytesIO(b"of another version")), tmp_path)
    assert not (tmp_path / FP8_SCALES).exists()
    assert "WARNING the FP8 scales cannot be read and are left out" in capsys.readouterr().out


def test_the_last_model_is_kept_and_never_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of a prediction are scored one after another; two large models do not fit on a GPU."""
    folders = [tmp_path / name for name in ("a", "b")]
    for seed, folder in enumerate(folders):
        torch.manual_seed(seed)
        folder.mkdir()
        save_checkpoint(StripedHyena2(SMALL), folder / WEIGHTS)
    alive: list[weakref.ref[StripedHyena2]] = []
    loads: list[str] = []
    load = LocalBackend._load

    def watched(self: LocalBackend, files: ModelFiles, precision: str) -> StripedHyena2:
        assert not any(ref() for ref in alive), "the model before it is still in memory"
        loads.append(f"{files.base.name} {precision}")
        alive.append(weakref.ref(model := load(self, files, precision)))
        return model

    monkeypatch.setattr(LocalBackend, "_load", watched)
    backend = LocalBackend(BackendConfig(name="local", device="cpu"), Workplace(tmp_path))
    bases = np.frombuffer(b"ACGTTGCA", np.uint8)
    sequences = SequenceSet(["x"], np.array([8]), lambda i: bases)

    def total(folder: Path, precision: str) -> float:
        config = SimpleNamespace(predict=PredictConfig(precision=precision))
        (score,) = backend.score(cast(Config, config), ModelFiles("base", folder), sequences)
        return score.total

    a, b = folders
    totals = [total(a, "fp32"), total(a, "fp32"), total(b, "fp32"), total(b, "bf16"), total(a, "fp32")]
    assert loads == ["a fp32", "b fp32", "b bf16", "a fp32"]
    assert totals[0] == totals[1] == totals[4] and len({*totals}) == 3
