from __future__ import annotations

import pytest

from tests.preflight.conftest import ON_HOPPER, Configure
from workflow.preflight.stages import gpus_of
from workflow.preflight.time import scoring_seconds, time_line, training_seconds
from workflow.striped_hyena.config import PRESETS

SHAPE = PRESETS["evo2_7b"]
#: A position forward: two operations a parameter, and attention over half of 8,192 positions on average.
FORWARD = 2 * SHAPE.parameters + 2 * 8192 * 4096 * 5
SPEED = 8 * 989e12 * 0.35


def test_training_time_is_that_of_its_operations(configure: Configure) -> None:
    full = configure("model=evo2_7b", *ON_HOPPER, "train=full", "train.steps=100", "train.validation_samples=1")
    bases = 100 * 8 * 8 * 8192
    validated = 5 * 8192
    seconds = training_seconds(full, SHAPE, gpus_of(full))
    assert seconds == pytest.approx((3 * bases + validated) * FORWARD / SPEED)
    lora = configure("model=evo2_7b", *ON_HOPPER, "train.steps=100", "train.validation_samples=1")
    assert training_seconds(lora, SHAPE, gpus_of(lora)) == pytest.approx((2 * bases + validated) * FORWARD / SPEED)
    again = configure(
        "model=evo2_7b",
        *ON_HOPPER,
        "train=full",
        "train.steps=100",
        "train.validation_samples=1",
        "train.activation_checkpointing=true",
    )
    assert training_seconds(again, SHAPE, gpus_of(again)) == pytest.approx((4 * bases + validated) * FORWARD / SPEED)


def test_scoring_time(configure: Configure) -> None:
    config = configure("model=evo2_7b", *ON_HOPPER)
    assert scoring_seconds(config, SHAPE, gpus_of(config), 10**9) == pytest.approx(1e9 * FORWARD / SPEED)


def test_float32_does_not_reach_the_tensor_cores(configure: Configure) -> None:
    config = configure("model=evo2_7b", "parallel.gpu=A100-80GB")
    fast = configure("model=evo2_7b", "parallel.gpu=A100-80GB", "predict.precision=bf16")
    slow_seconds = scoring_seconds(config, SHAPE, gpus_of(config), 10**6)
    seconds = scoring_seconds(fast, SHAPE, gpus_of(fast), 10**6)
    assert slow_seconds is not None and seconds is not None
    assert slow_seconds / seconds == pytest.approx(312 / 19.5)
    assert time_line(config, "fp32", gpus_of(config), slow_seconds).endswith("reach 20% of 20 TFLOP/s")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.1, "1 s"), (119, "119 s"), (120, "2.0 min"), (7199, "120.0 min"), (7200, "2.0 h"), (360_000, "4.2 days")],
)
def test_line(seconds: float, told: str, configure: Configure) -> None:
    config = configure("model=evo2_7b", *ON_HOPPER, "parallel.nodes=2")
    line = time_line(config, "bf16", gpus_of(config), seconds)
    assert line == f"time: about {told} of computing on 16 × H100-80GB, if they reach 35% of 989 TFLOP/s"


def test_unknown_gpus(configure: Configure, nvidia_smi: object) -> None:
    config = configure("model=evo2_7b", "backend=nemo2")
    assert training_seconds(config, SHAPE, gpus_of(config)) is None
    assert scoring_seconds(config, SHAPE, gpus_of(config), 1) is None
    assert time_line(config, "bf16", [], None).startswith("time: not estimated, since no GPU of a known kind is seen")
    assert callable(nvidia_smi)
    nvidia_smi("echo 'NVIDIA Unheard, 1024, 512, 570, 11.0'")
    assert training_seconds(config, SHAPE, gpus_of(config)) is None
    assert time_line(config, "bf16", gpus_of(config), None).startswith("time: not estimated")
