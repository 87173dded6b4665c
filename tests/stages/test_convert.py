from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.stages.conftest import Configure
from workflow.errors import InputError
from workflow.pipeline import Run
from workflow.striped_hyena import PRESETS, load_checkpoint


def test_the_model_is_kept_bit_for_bit(configure: Configure, prepared: Path) -> None:
    shipped = load_checkpoint(Path(__file__).parent.parent.parent / "data" / "tiny" / "model.safetensors")
    converted = load_checkpoint(prepared / "convert" / "model.safetensors")
    assert converted.config == PRESETS["tiny"]
    for name, tensor in shipped.state_dict().items():
        assert torch.equal(converted.state_dict()[name], tensor), name


def test_from_scratch_starts_from_seeded_random_weights(configure: Configure) -> None:
    weights = {}
    for seed, run in ((1, "a"), (1, "b"), (2, "c")):
        config = configure("stage=convert", "train=scratch", f"seed={seed}", f"run_name={run}")
        Run(config).execute()
        model = load_checkpoint(Path(config.runs_folder) / run / "convert" / "model.safetensors")
        weights[run] = model.embedding_layer.weight
    assert torch.equal(weights["a"], weights["b"])
    assert not torch.equal(weights["a"], weights["c"])


def test_unusable_checkpoints_are_one_line(configure: Configure) -> None:
    with pytest.raises(InputError, match=r"data/checkpoints/evo2_7b\.pt does not exist.*Hugging Face"):
        Run(configure("stage=convert", "model=evo2_7b", "run_name=x")).execute()
    with pytest.raises(InputError, match="names no checkpoint"):
        Run(configure("stage=convert", "model.checkpoint=null", "run_name=x")).execute()
    with pytest.raises(InputError, match="another architecture"):
        Run(configure("stage=convert", "model.architecture=evo2_1b_base", "run_name=x")).execute()
    with pytest.raises(InputError, match=r"model\.architecture=evo3 does not exist: use one of tiny, evo2_1b_base"):
        Run(configure("stage=convert", "model.architecture=evo3", "run_name=x")).execute()
