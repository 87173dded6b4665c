from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.preflight.conftest import ON_HOPPER, Configure
from workflow.errors import GateError, InputError
from workflow.preflight import check_context, forecast, preflight
from workflow.preflight.stages import gpus_of

GATES = {
    "download": [],
    "prepare": [],
    "preprocess": ["disk_space"],
    "convert": ["checkpoint_precision", "disk_space"],
    "train": ["context_length", "checkpoint_precision", "parallel_sizes", "disk_space"],
    "predict": ["context_length", "checkpoint_precision", "parallel_sizes", "disk_space"],
    "infer": ["checkpoint_precision", "parallel_sizes"],
    "evaluate": [],
}


@pytest.mark.parametrize("stage", GATES)
def test_defaults_pass_the_gates_of_each_stage(
    stage: str, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    results = preflight(configure(), stage).results
    assert [result.name for result in results] == GATES[stage]
    assert all(result.passed for result in results)
    assert capsys.readouterr().out == ""


def test_scores_of_variants_that_were_made_elsewhere_need_no_model(configure: Configure) -> None:
    config = configure("variants.table=a.vcf", "variants.window=100000")
    with pytest.raises(GateError, match=r"^gate context_length: "):
        preflight(config, "variants")
    assert len(forecast(config, "variants")) == 1
    config = configure("variants.table=a.vcf", "variants.window=100000", "variants.scores=scores.csv")
    assert preflight(config, "variants").results == forecast(config, "variants") == []


def test_tools_on_planned_gpus_have_a_memory_gate(configure: Configure) -> None:
    config = configure("model=evo2_1b_bf16", *ON_HOPPER, "train.batch_size=1")
    for stage in ("train", "predict", "infer"):
        results = preflight(config, stage).results
        assert all(result.passed for result in results)
        assert "gpu_memory" in [result.name for result in results]


def test_every_gate_can_be_overridden(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    """A run with everything wrong, and every gate told to warn."""
    overrides = (
        "model=evo2_1b_base",
        "backend=mbridge",
        "parallel.gpu=T4",
        "parallel.tensor=2",
        "train=full",
        "train.context_length=64",
        "train.batch_size=5000",
        "train.steps=1000000",
        "train.validate_every=1",
    )
    gates = ("context_length", "checkpoint_precision", "parallel_sizes", "gpu_memory", "disk_space")
    for stopping in gates:
        warned = [f"gates.{gate}={'stop' if gate == stopping else 'warn'}" for gate in gates]
        with pytest.raises(GateError, match=f"^gate {stopping}: "):
            preflight(configure(*overrides, *warned), "train")
    capsys.readouterr()
    config = configure(*overrides, *(f"gates.{gate}=warn" for gate in gates))
    results = preflight(config, "train").results
    assert [result.name for result in results if not result.passed] == list(gates)
    assert capsys.readouterr().out.count("WARNING gate ") == len(gates)


def test_unknown_names_are_one_line(configure: Configure) -> None:
    with pytest.raises(InputError, match=r"^model\.architecture=evo3 does not exist: use one of tiny, evo2_1b_base"):
        preflight(configure("model.architecture=evo3"), "convert")
    with pytest.raises(InputError, match=r"^model\.architecture=evo3 does not exist"):
        forecast(configure("model.architecture=evo3"), "train")
    with pytest.raises(InputError, match=r"^parallel\.gpu=H900 is not known"):
        preflight(configure("backend=nemo2", "parallel.gpu=H900"), "train")


def test_gpus_of_the_backends(configure: Configure, nvidia_smi: object) -> None:
    assert callable(nvidia_smi)
    nvidia_smi(r"printf 'NVIDIA H200, 143771, 143000, 550, 9.0\nNVIDIA H200, 143771, 143000, 550, 9.0\n'")
    assert len(gpus_of(configure("backend=nemo2"))) == 2
    assert len(gpus_of(configure())) == 1
    assert gpus_of(configure("backend.device=cpu")) == []


def test_local_backend_on_a_gpu_has_a_memory_gate(configure: Configure, nvidia_smi: object) -> None:
    assert callable(nvidia_smi)
    nvidia_smi("echo 'NVIDIA GeForce RTX 4090, 24564, 24000, 550, 8.9'")
    with pytest.raises(GateError, match=r"gate gpu_memory: .*90% of NVIDIA GeForce RTX 4090"):
        preflight(configure("model=evo2_7b"), "predict")
    config = configure("model=evo2_7b", "predict.precision=bf16")
    (result,) = [result for result in preflight(config, "predict").results if result.name == "gpu_memory"]
    assert result.passed


def test_forecast_of_a_training(configure: Configure, tmp_path: Path) -> None:
    config = configure("model=evo2_7b", *ON_HOPPER, "train=full", "train.activation_checkpointing=true")
    memory, largest, time, disk = forecast(config, "train")
    assert memory.startswith("memory: about ") and "optimizer 9.2" in memory
    assert largest == "memory: the largest micro-batch that fits 79.6 GiB is train.batch_size=2"
    assert time.startswith("time: about ") and time.endswith("on 8 × H100-80GB, if they reach 35% of 989 TFLOP/s")
    assert disk.startswith("disk: about 514.9 GiB for checkpoints; ")
    folder = tmp_path / "demo" / "preprocess"
    folder.mkdir(parents=True)
    table = pd.DataFrame({"split": ["train", "train", "val"], "start": [0, 10, 0], "end": [1_000_000, 10, 999]})
    table.to_parquet(folder / "documents.parquet")
    assert "78.6 passes over the 1 Mb to train on" in forecast(config, "train")[3]


def test_forecast_of_the_other_stages(configure: Configure) -> None:
    config = configure("model=evo2_7b", *ON_HOPPER)
    assert [line.partition(":")[0] for line in forecast(config, "predict")] == ["memory", "memory", "time", "disk"]
    assert [line.partition(":")[0] for line in forecast(config, "infer")] == ["memory"]
    assert [line.partition(":")[0] for line in forecast(config, "convert")] == ["disk"]
    assert [line.partition(":")[0] for line in forecast(config, "preprocess")] == ["disk"]
    assert forecast(config, "prepare") == forecast(config, "evaluate") == []


def test_without_torch_the_rest_is_still_checked(tmp_path: Path) -> None:
    """A laptop that only writes the commands of another machine."""
    script = f"""
import sys
sys.modules["torch"] = None
from tests.preflight.conftest import CONFIGS
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from workflow.config import register_schema
from workflow.preflight import forecast, preflight
register_schema()
with initialize_config_dir(str(CONFIGS), version_base="1.3"):
    config = OmegaConf.to_object(compose("config", ["backend=nemo2", "runs_folder={tmp_path}"]))
print([result.name for result in preflight(config, "train").results], forecast(config, "train"))
"""
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "  WARNING PyTorch is not installed here: sizes, memory and disk of train are not checked",
        "['context_length', 'checkpoint_precision'] []",
    ]


def test_context_of_samples_is_the_median_by_bases(configure: Configure) -> None:
    gates = preflight(configure(), "evaluate")
    assert check_context(configure(), gates, [1000, 500, 100, 100, 100], "samples") == 1000
    assert check_context(configure(), gates, [300, 200, 200, 200], "samples") == 200
    with pytest.raises(GateError, match="saw 100 bases of context in samples, limit 128 to 1024"):
        check_context(configure(), gates, [1000, *[100] * 20], "samples")
