from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages.conftest import Configure
from workflow.artifacts import read_manifest
from workflow.errors import GateError, InputError
from workflow.pipeline import Run

FEW = ("train.steps=2", "train.validate_every=2", "train.batch_size=2", "train.validation_samples=2")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_tiny_model_passes_every_gate_of_training(configure: Configure, prepared: Path, method: str) -> None:
    config = configure("stage=[prepare,preprocess,convert,train]", f"train={method}", f"run_name={method}", *FEW)
    Run(config).execute()
    manifest = read_manifest(Path(config.runs_folder) / method / "train")
    fired = [gate["name"] for gate in manifest["gates"] if not gate["passed"]]
    assert fired == []
    names = {gate["name"] for gate in manifest["gates"]}
    assert {"context_length", "first_validation_loss"} <= names
    assert ("adapters_move" in names) == (method == "lora")
    assert manifest["counts"]["median_sample_length"] == 1024
    assert manifest["counts"]["steps"] == 2


def test_a_training_that_changes_nothing_is_stopped(configure: Configure) -> None:
    config = configure("stage=[prepare,preprocess,convert,train]", "train.learning_rate=0", "run_name=still", *FEW)
    with pytest.raises(GateError, match="gate adapters_move: saw 35 of 35 adapters unmoved after 2 steps"):
        Run(config).execute()
    assert not (Path(config.runs_folder) / "still" / "train" / "manifest.json").exists()


def test_a_diverging_training_is_one_line(configure: Configure) -> None:
    config = configure(
        "stage=[prepare,preprocess,convert,train]",
        "train.learning_rate=1e30",
        "run_name=wild",
        "train.warmup_steps=0",
        "train.steps=6",
        "train.validate_every=6",
        "train.batch_size=2",
        "train.validation_samples=2",
    )
    with pytest.raises(InputError, match=r"the training loss is nan at step \d: lower train.learning_rate"):
        Run(config).execute()
