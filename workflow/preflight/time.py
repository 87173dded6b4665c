"""How long a stage would take: floating-point operations over what GPUs reach of their peak. An estimate, no gate.

A position costs 2 operations a parameter forward and 4 backward (Kaplan et al. 2020, arXiv:2001.08361); with LoRA
the backward pass has no gradients of weights, and costs 2; recomputation adds a forward pass. Causal attention
adds, forward, 2 · length · width a layer; the filters' Fourier transforms are small beside that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workflow.config import Config
from workflow.preflight.data import bases_asked
from workflow.preflight.hardware import Gpu
from workflow.preflight.memory import recomputes

if TYPE_CHECKING:
    from workflow.striped_hyena.config import ModelConfig as Shape

#: Share of the peak that is reached: by NVIDIA's tools, and by the local engine, which fuses nothing.
_UTILISATION = {"local": 0.2}
_UTILISATION_OF_TOOLS = 0.35
_TERA = 1e12


def training_seconds(config: Config, shape: Shape, gpus: Sequence[Gpu]) -> float | None:
    """Seconds of a training with its validations; None where the GPU's speed is not known."""
    speed = _operations_a_second(config, config.train.precision, gpus)
    if speed is None:
        return None
    train = config.train
    forward = _forward_operations(shape, train.context_length)
    passes = (2 if train.method == "lora" else 3) + (1 if recomputes(config) else 0)
    validations = 1 + math.ceil(train.steps / train.validate_every)
    validated = validations * train.validation_samples * train.context_length
    return (bases_asked(config) * passes + validated) * forward / speed


def scoring_seconds(config: Config, shape: Shape, gpus: Sequence[Gpu], bases: int) -> float | None:
    """Seconds of scoring `bases` by one model; None where the GPU's speed is not known."""
    speed = _operations_a_second(config, config.predict.precision, gpus)
    return None if speed is None else bases * _forward_operations(shape, config.windows.length) / speed


def time_line(config: Config, precision: str, gpus: Sequence[Gpu], seconds: float | None) -> str:
    """One line on a duration, with what it rests on."""
    kind = gpus[0].kind if gpus else None
    if seconds is None or kind is None:
        return "time: not estimated, since no GPU of a known kind is seen or planned for (parallel.gpu)"
    peak = kind.fp32_tflops if precision == "fp32" else kind.bf16_tflops
    return (
        f"time: about {_duration(seconds)} of computing on {config.parallel.processes} × {gpus[0].name}, if they reach "
        f"{_utilisation(config):.0%} of {peak:.0f} TFLOP/s"
    )


def _forward_operations(shape: Shape, length: int) -> float:
    """Operations of a position on average."""
    return 2 * shape.parameters + 2 * length * shape.width * shape.pattern.count("*")


def _operations_a_second(config: Config, precision: str, gpus: Sequence[Gpu]) -> float | None:
    kinds = [gpu.kind for gpu in gpus]
    peaks = [kind.fp32_tflops if precision == "fp32" else kind.bf16_tflops for kind in kinds if kind]
    if not peaks:
        return None
    return config.parallel.processes * min(peaks) * _TERA * _utilisation(config)


def _utilisation(config: Config) -> float:
    return _UTILISATION.get(config.backend.name, _UTILISATION_OF_TOOLS)


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 1):.0f} s"
