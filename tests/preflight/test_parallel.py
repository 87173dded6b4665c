from __future__ import annotations

import pytest

from tests.preflight.conftest import Configure
from workflow.config import Config
from workflow.errors import GateError, InputError
from workflow.gates import GateLog, GateResult
from workflow.preflight.parallel import check_parallel, tensor_faults
from workflow.preflight.stages import gpus_of
from workflow.striped_hyena.config import PRESETS


def judged(config: Config, stage: str = "train", action: str = "stop") -> GateResult:
    gates = GateLog({"parallel_sizes": action})
    check_parallel(config, stage, PRESETS[config.model.architecture], gpus_of(config), gates)
    return gates.results[0]


@pytest.mark.parametrize(
    "overrides",
    [
        "backend=local",
        "backend=local parallel.devices=6 parallel.nodes=3 parallel.strategy=fsdp",
        "backend=nemo2",
        "backend=nemo2 parallel.devices=8 parallel.tensor=8",
        "backend=mbridge parallel.devices=8 parallel.nodes=2 parallel.tensor=4 parallel.context=2",
        "backend=nemo2 model=evo2_1b_base parallel.devices=8",
        "backend=mbridge model=evo2_40b parallel.devices=8 parallel.tensor=8",
        "backend=mbridge model=evo2_20b parallel.devices=8 parallel.nodes=2 parallel.tensor=16",
    ],
)
def test_sizes_that_divide(overrides: str, configure: Configure) -> None:
    assert judged(configure("model=evo2_7b", *overrides.split())).passed


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            "backend=nemo2 parallel.devices=6 parallel.tensor=4",
            r"6 devices do not divide by tensor · pipeline · context = 4",
        ),
        ("backend=nemo2 parallel.tensor=2", r"1 devices do not divide by tensor · pipeline · context = 2"),
        (
            "backend=nemo2 model=evo2_1b_base parallel.devices=2 parallel.tensor=2",
            r"15 attention heads do not divide by parallel\.tensor=2 \(upstream issue 814: .*parallel\.tensor=1 only\)",
        ),
        (
            "backend=nemo2 model=evo2_1b_base parallel.devices=3 parallel.tensor=3",
            r"5,120 MLP channels and 128 filter groups do not divide by parallel\.tensor=3 \(upstream issue 814",
        ),
        ("backend=nemo2 model=evo2_1b_base parallel.devices=5 parallel.tensor=5", r"128 filter groups do not divide"),
        (
            "backend=nemo2 parallel.devices=6 parallel.tensor=6",
            r"32 attention heads and 4,096 channels and 11,264 MLP channels and 256 filter groups do not divide",
        ),
        ("backend=mbridge parallel.devices=2 parallel.pipeline=2", r"parallel\.pipeline=2 fails .*issue 815"),
        (
            "backend=mbridge parallel.devices=4 parallel.context=4 train.context_length=8196",
            r"train\.context_length=8196 does not divide by 2 · parallel\.context = 8 \(upstream issue 1268\)",
        ),
    ],
)
def test_sizes_that_do_not(overrides: str, told: str, configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    config = configure("model=evo2_7b", *overrides.split())
    with pytest.raises(GateError, match=told) as caught:
        judged(config)
    assert "\n" not in str(caught.value) and str(caught.value).endswith("Override with gates.parallel_sizes=warn.")
    assert not judged(config, action="warn").passed
    assert "WARNING gate parallel_sizes" in capsys.readouterr().out


def test_length_of_samples_does_not_concern_scoring(configure: Configure) -> None:
    overrides = ("backend=mbridge", "model=evo2_7b", "parallel.devices=4", "parallel.context=4")
    config = configure(*overrides, "train.context_length=8196")
    assert judged(config, "predict").passed


def test_more_devices_than_are_seen(configure: Configure, nvidia_smi: object) -> None:
    assert callable(nvidia_smi)
    nvidia_smi(r"printf 'NVIDIA H200, 143771, 143000, 550, 9.0\nNVIDIA H200, 143771, 143000, 550, 9.0\n'")
    assert judged(configure("model=evo2_7b", "backend=nemo2", "parallel.devices=2")).passed
    with pytest.raises(GateError, match=r"parallel\.devices=4, but 2 GPUs are seen here"):
        judged(configure("model=evo2_7b", "backend=nemo2", "parallel.devices=4"))
    assert judged(configure("model=evo2_7b", "backend=nemo2", "parallel.devices=4", "parallel.gpu=H200")).passed


def test_more_processes_than_gpus_are_seen(configure: Configure, nvidia_smi: object) -> None:
    assert callable(nvidia_smi)
    nvidia_smi(r"printf 'NVIDIA H200, 143771, 143000, 550, 9.0\nNVIDIA H200, 143771, 143000, 550, 9.0\n'")
    assert judged(configure("backend=local", "parallel.devices=2")).passed
    assert judged(configure("backend=local", "parallel.devices=4", "backend.device=cpu")).passed
    with pytest.raises(GateError, match=r"parallel\.devices=4, but 2 GPUs are seen here"):
        judged(configure("backend=local", "parallel.devices=4"))


def test_stages_that_use_one_gpu_of_several(configure: Configure, nvidia_smi: object) -> None:
    """As the jobs of a cluster see it: a task of an array, and what generates, has been given one."""
    assert callable(nvidia_smi)
    nvidia_smi(r"printf 'NVIDIA H200, 143771, 143000, 550, 9.0\n'")
    asked = ("backend=local", "parallel.devices=4", "predict.shards=8")
    assert judged(configure(*asked), "infer").passed
    assert judged(configure(*asked, "predict.shard=3"), "predict").passed
    with pytest.raises(GateError, match=r"parallel\.devices=4, but 1 GPUs are seen here"):
        judged(configure(*asked), "predict")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("backend=local parallel.tensor=2", r"^parallel\.tensor=2: backend=local spreads a model by parallel\.devices"),
        ("backend=local parallel.context=4 parallel.devices=4", r"^parallel\.context=4: backend=local"),
        ("backend=mbridge parallel.strategy=fsdp", r"^parallel\.strategy=fsdp is of backend=local"),
        ("backend=local parallel.strategy=zero", r"^parallel\.strategy=zero is not a choice: use one of ddp, fsdp"),
    ],
)
def test_ways_of_being_parallel_that_a_backend_does_not_have(overrides: str, told: str, configure: Configure) -> None:
    with pytest.raises(InputError, match=told):
        configure(*overrides.split())


def test_every_size_of_one_billion_is_refused() -> None:
    assert tensor_faults(PRESETS["evo2_1b_base"], 1) == []
    assert all(tensor_faults(PRESETS["evo2_1b_base"], size) for size in range(2, 65))
