from __future__ import annotations

import re

import pytest

from tests.preflight.conftest import Configure
from workflow.config import Config
from workflow.errors import GateError, InputError
from workflow.gates import GateLog, GateResult
from workflow.preflight import preflight
from workflow.preflight.precision import check_precision
from workflow.preflight.stages import gpus_of

STAGES = ("convert", "train", "predict", "infer")


def judged(config: Config, stage: str, action: str = "stop") -> GateResult | None:
    """The gate alone; None where it does not look."""
    gates = GateLog({"checkpoint_precision": action})
    check_precision(config, stage, gpus_of(config), gates)
    (result,) = gates.results or [None]
    return result


@pytest.mark.parametrize(
    "overrides",
    [
        "model=evo2_7b backend=local",
        "model=evo2_7b backend=local backend.precision=bf16",
        "model=evo2_7b backend=nemo2",
        "model=evo2_7b backend=nemo2 parallel.gpu=A100-80GB",
        "model=evo2_7b backend=mbridge parallel.gpu=B200 backend.precision=fp8",
        "model=evo2_1b_bf16 backend=nemo2 parallel.gpu=A100-80GB",
        "model=evo2_40b_bf16 backend=mbridge parallel.gpu=B200",
        "model=evo2_1b_base backend=nemo2 parallel.gpu=H100-80GB backend.precision=fp8",
        "model=evo2_1b_base backend=nemo2 backend.precision=fp8",
        "model=evo2_40b backend=mbridge parallel.gpu=H200 backend.precision=fp8",
        "model=evo2_20b backend=mbridge parallel.gpu=H100-80GB backend.precision=fp8",
        "model=tiny backend=local",
    ],
)
def test_pairs_that_are_good(overrides: str, configure: Configure) -> None:
    for stage in STAGES:
        result = judged(configure(*overrides.split()), stage)
        assert result and result.passed, stage


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            "model=evo2_1b_base backend=local",
            "saw evo2_1b_base on backend local in fp32, while these weights need FP8, .*1.243 nats per base, in FP8 on "
            "Hopper 1.076. Use model=evo2_1b_bf16 (1.079 with FP8 and without), or predict.precision=fp8, which is "
            "emulated.",
        ),
        (
            "model=evo2_1b_base backend=nemo2 parallel.gpu=H100-80GB",
            "in bf16 on H100-80GB (compute capability 9.0), while these weights need FP8.*Use model=evo2_1b_bf16 "
            "(1.079 with FP8 and without), or predict.precision=fp8 on a Hopper GPU.",
        ),
        (
            "model=evo2_1b_base backend=nemo2 parallel.gpu=V100-32GB",
            "while these weights need FP8.*Use model=evo2_1b_bf16 (1.079 with FP8 and without), or predict.precision",
        ),
        ("model=evo2_40b backend=mbridge", "1.700 nats per base, in FP8 on Hopper 0.922. Use model=evo2_40b_bf16"),
        ("model=evo2_20b backend=mbridge", "Without FP8 such weights score near random. Use model=evo2_7b (0.995"),
        (
            "model=evo2_40b backend=mbridge parallel.gpu=B200 backend.precision=fp8",
            "need FP8 on Hopper.*In FP8 on Blackwell their loss is 1.789 nats per base, on Hopper 0.922. Use a Hopper "
            "GPU, or model=evo2_40b_bf16 (0.927 with FP8, 0.956 without) with predict.precision=bf16.",
        ),
        (
            "model=evo2_1b_base backend=nemo2 parallel.gpu=L40S backend.precision=fp8",
            "nobody found these weights good there. Use a Hopper GPU, or model=evo2_1b_bf16",
        ),
        (
            "model=evo2_1b_base backend=nemo2 parallel.gpu=A100-80GB backend.precision=fp8",
            "FP8 needs compute capability 8.9 (Ada, Hopper or later). Use model=evo2_1b_bf16 (1.079 with FP8 and "
            "without) with predict.precision=bf16, or a Hopper GPU.",
        ),
        (
            "model=evo2_7b backend=nemo2 parallel.gpu=A100-80GB backend.precision=fp8",
            "FP8 needs compute capability 8.9 (Ada, Hopper or later). Use predict.precision=bf16.",
        ),
        (
            "model=evo2_7b backend=nemo2 parallel.gpu=V100-32GB",
            "bfloat16, which needs compute capability 8.0 (Ampere or later). Use an Ampere GPU or a later one, or "
            "backend=local.",
        ),
        (
            "model=evo2_7b backend=nemo2 parallel.gpu=V100-32GB backend.precision=fp8",
            "FP8 needs compute capability 8.9 (Ada, Hopper or later). Use an Ampere GPU or a later one, or "
            "backend=local.",
        ),
        (
            "model=evo2_1b_base backend=nemo2 parallel.gpu=T4 backend.precision=fp8",
            "FP8 needs compute capability 8.9 (Ada, Hopper or later). Use an Ampere GPU or a later one, Hopper for "
            "these weights.",
        ),
        (
            "model=evo2_40b_base backend=nemo2 parallel.gpu=V100-32GB",
            "bfloat16, which needs compute capability 8.0 (Ampere or later).",
        ),
        (
            "model=evo2_7b model.needs_fp8=true model.name=mine backend=nemo2",
            "saw mine on backend nemo2 in bf16, while these weights need FP8.*Use model=evo2_7b",
        ),
    ],
)
def test_pairs_that_are_known_to_fail(
    overrides: str, told: str, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(*overrides.split())
    expected = ".*".join(re.escape(part) for part in told.split(".*"))
    for stage in ("convert", "predict", "infer"):
        with pytest.raises(GateError, match=expected) as caught:
            judged(config, stage)
        assert "\n" not in str(caught.value)
    with pytest.raises(GateError):
        judged(config, "train")
    result = judged(config, "predict", "warn")
    assert result and not result.passed
    assert "WARNING gate checkpoint_precision" in capsys.readouterr().out


def test_each_stage_is_judged_by_its_own_precision(configure: Configure) -> None:
    config = configure("model=evo2_1b_base", "backend=nemo2", "parallel.gpu=H200", "predict.precision=fp8")
    for stage in ("convert", "predict", "infer"):
        result = judged(config, stage)
        assert result and result.passed
    with pytest.raises(GateError, match=r"in bf16 on H200.*or train\.precision=fp8 on a Hopper GPU"):
        judged(config, "train")


def test_emulated_fp8_is_for_scoring_only(configure: Configure) -> None:
    config = configure("model=evo2_1b_base", "backend=local", "predict.precision=fp8")
    result = judged(config, "predict")
    assert result and result.passed and "emulated" in result.saw
    with pytest.raises(GateError, match=r"Use model=evo2_1b_bf16 \(1\.079 with FP8 and without\)\. Override"):
        judged(config, "train")
    for model in ("tiny", "evo2_1b_base"):
        config = configure(f"model={model}", "train.precision=fp8", "gates.checkpoint_precision=warn")
        with pytest.raises(InputError, match=r"^train\.precision=fp8 needs NVIDIA's tools.*use train\.precision=bf16$"):
            judged(config, "train", "warn")


def test_random_weights_need_nothing(configure: Configure) -> None:
    assert judged(configure("model=evo2_1b_base", "train=scratch"), "convert") is None
    result = judged(
        configure("model=evo2_1b_base", "train=scratch", "backend=nemo2", "parallel.gpu=A100-80GB"), "train"
    )
    assert result and result.passed
    config = configure(
        "model=tiny", "train=scratch", "backend=nemo2", "backend.precision=fp8", "parallel.gpu=A100-80GB"
    )
    with pytest.raises(GateError, match="FP8 needs compute capability"):
        judged(config, "train")


@pytest.mark.parametrize("overrides", ["backend=mbridge", "backend=mbridge parallel.gpu=B200 backend.precision=fp8"])
def test_untested_weights_are_warned_of(
    overrides: str, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    result = judged(configure("model=evo2_40b_base", *overrides.split()), "predict")
    assert result and result.passed and "untested" in result.saw
    assert "WARNING evo2_40b_base is not known to keep its quality" in capsys.readouterr().out
    on_hopper = configure("model=evo2_40b_base", "backend=mbridge", "parallel.gpu=H200", "backend.precision=fp8")
    assert judged(on_hopper, "predict")
    assert capsys.readouterr().out == ""


def test_the_weakest_gpu_counts(configure: Configure, nvidia_smi: object) -> None:
    assert callable(nvidia_smi)
    nvidia_smi(
        r"printf 'NVIDIA H100 80GB HBM3, 81559, 80000, 550, 9.0\nNVIDIA A100-SXM4-80GB, 81920, 80000, 550, 8.0\n'"
    )
    with pytest.raises(GateError, match="on NVIDIA A100-SXM4-80GB"):
        judged(configure("model=evo2_7b", "backend=nemo2", "backend.precision=fp8"), "predict")


def test_gate_stands_in_the_preflight_of_each_stage(configure: Configure) -> None:
    config = configure("model=evo2_1b_base", "backend=local")
    for stage in STAGES:
        with pytest.raises(GateError, match=r"gate checkpoint_precision: saw evo2_1b_base on backend local.*need FP8"):
            preflight(config, stage)
    for stage in STAGES:
        results = preflight(configure("model=evo2_1b_base", "gates.checkpoint_precision=warn"), stage).results
        assert [result.passed for result in results if result.name == "checkpoint_precision"] == [False]
