from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.dataset.conftest import write_token_file
from tests.stages.conftest import Configure
from workflow.artifacts import read_manifest
from workflow.backends.embedded.work import tell_codons
from workflow.config import Config
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
    with pytest.raises(
        GateError, match=r"^gate finite_loss: saw a training loss of nan at step \d, .*learning_rate"
    ) as caught:
        Run(config).execute()
    assert caught.value.gate == "finite_loss" and "\n" not in str(caught.value)


def fingerprint_of(config: Config) -> str:
    """Of its training, as the plan of the run has it."""
    (step,) = [step for step in Run(config).plan() if step.stage.name == "train"]
    return step.fingerprint


ALL = "stage=[prepare,preprocess,convert,train]"


@pytest.mark.parametrize(
    "same",
    [
        ("train.batch_size=4", "train.accumulate=4"),
        ("train.batch_size=2", "parallel.devices=4", "parallel.nodes=2"),
        ("train.batch_size=8", "parallel.devices=2", "parallel.strategy=fsdp", "train.activation_checkpointing=true"),
        ("train.batch_size=16", f"train.tokens={150 * 16 * 1024 + 9}"),
        ("train.batch_size=16", "train.batch_ramp_start=16"),
        ("train.batch_size=16", "train.codon.genetic_code=11"),
    ],
)
def test_how_a_step_is_cut_into_passes_and_processes_is_no_other_training(
    configure: Configure, same: tuple[str, ...]
) -> None:
    assert fingerprint_of(configure(ALL, *same)) == fingerprint_of(configure(ALL, "train.batch_size=16"))


@pytest.mark.parametrize(
    "other",
    [
        ("train.batch_size=8",),
        ("train.batch_size=16", "parallel.devices=2"),
        ("train.batch_size=16", "train.seed=7"),
        ("train.batch_size=16", "train.tokens=10_000_000"),
        ("train.batch_size=4", "train.accumulate=4", "train.batch_ramp=0.1"),
        ("train.batch_size=4", "train.accumulate=4", "train.batch_ramp=0.1", "train.batch_ramp_start=8"),
    ],
)
def test_what_makes_it_another_training(configure: Configure, other: tuple[str, ...]) -> None:
    ramp = configure(ALL, "train.batch_size=4", "train.accumulate=4", "train.batch_ramp=0.1")
    found = fingerprint_of(configure(ALL, *other))
    assert found != fingerprint_of(configure(ALL, "train.batch_size=16"))
    assert (found == fingerprint_of(ramp)) == (other[1:] == ("train.accumulate=4", "train.batch_ramp=0.1"))


def test_codon_objectives_are_other_trainings(configure: Configure) -> None:
    mixed = (ALL, "windows=genes", "mixture=codons")
    asked = ((), ("train.objective=codon_hxe",), ("train.objective=codon_hxe", "train.codon.alpha=0.4"))
    assert len({fingerprint_of(configure(*mixed, *more)) for more in asked}) == len(asked)


def test_coding_sequences_that_are_not_there_are_asked_for(configure: Configure, tmp_path: Path) -> None:
    """No gene lies in the train split: the mixture of that split is without its coding sequences."""
    write_token_file(tmp_path / "x_train", [b"ACGTACGT"])
    rows = pd.DataFrame([("x_train", "regions", "chr1", 0)], columns=["file", "set", "seqid", "tag"])
    rows.to_parquet(tmp_path / "documents.parquet")
    entry = {"dataset_prefix": "x_train", "dataset_split": "train", "dataset_weight": 1.0}
    (tmp_path / "training_data_config.yaml").write_text(yaml.safe_dump([entry]))
    (tmp_path / "genetic_codes.json").write_text("{}")
    config = configure(ALL, "windows=genes", "mixture=codons", "train.objective=codon_hxe")
    with pytest.raises(InputError, match="no document of cds in train has a whole codon"):
        tell_codons(config, tmp_path)


def test_a_run_with_another_seed_of_training_has_the_same_data(configure: Configure) -> None:
    first, second = (
        {step.stage.name: step.fingerprint for step in Run(configure(ALL, "seed=5", *more)).plan()}
        for more in ((), ("train.seed=6",))
    )
    assert [name for name in first if first[name] != second[name]] == ["train"]


def test_the_tools_train_as_they_are_told(configure: Configure) -> None:
    """For them, samples of a forward pass and GPUs are part of what they are asked for."""
    tools = (ALL, "backend=nemo2", "parallel.gpu=H100-80GB")
    first = fingerprint_of(configure(*tools, "train.batch_size=16"))
    assert fingerprint_of(configure(*tools, "train.batch_size=8", "train.accumulate=2")) != first
    assert fingerprint_of(configure(*tools, "train.batch_size=16", f"train.tokens={150 * 16 * 1024}")) == first
