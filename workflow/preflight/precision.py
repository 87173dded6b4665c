"""Gate `checkpoint_precision`: which weights keep their quality at which precision, on which GPU.

Losses are NVIDIA's: mean nats per base on their own test set, where ln 4 = 1.386 is a uniform guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from workflow.config import Config, ModelConfig
from workflow.console import say
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.preflight.hardware import Gpu

#: Least compute capability for FP8, for bfloat16, and the only one on which FP8-only weights were found good.
_FP8_FROM, _BF16_FROM, _HOPPER = (8, 9), (8, 0), (9, 0)


@dataclass(frozen=True)
class Measured:
    """What is known of weights that were trained with FP8 projections.

    Attributes
    ----------
    hopper, without, blackwell : float, optional
        Loss in FP8 on Hopper; in bfloat16; in FP8 on Blackwell. None where nobody measured.
    instead : str
        The choice that is safe without FP8, with its loss.
    """

    hopper: float | None
    without: float | None
    blackwell: float | None
    instead: str


#: Weights that need FP8 (`model.needs_fp8`), by architecture.
FP8_ONLY = {
    "evo2_1b_base": Measured(1.076, 1.243, None, "model=evo2_1b_bf16 (1.079 with FP8 and without)"),
    "evo2_20b": Measured(None, None, None, "model=evo2_7b (0.995 with FP8 and without)"),
    "evo2_40b": Measured(0.922, 1.700, 1.789, "model=evo2_40b_bf16 (0.927 with FP8, 0.956 without)"),
}
_SAFE_OF_OTHERS = Measured(None, None, None, "model=evo2_7b (0.995 with FP8 and without)")
#: Nobody published a loss of these without FP8.
_UNTESTED = ("evo2_40b_base",)


@dataclass(frozen=True)
class Verdict:
    """What comes of weights at a precision on a GPU.

    Attributes
    ----------
    good : bool
    saw, why : str
        As a gate tells them.
    warning : str
        What to say although it is not known to be bad.
    """

    good: bool
    saw: str
    why: str
    warning: str = ""


def check_precision(config: Config, stage: str, gpus: list[Gpu], gates: GateLog) -> None:
    """Gate `checkpoint_precision` on the precision that the stage computes in.

    Conversion computes nothing; it is judged by the precision of the scoring to come.

    Raises
    ------
    InputError
        FP8 training on the local backend, which only emulates it in scoring.
    """
    backend = config.backend.name
    section = "train" if stage == "train" else "predict"
    precision = config.train.precision if stage == "train" else config.predict.precision
    if backend == "local" and stage == "train" and precision == "fp8":
        raise InputError(
            "train.precision=fp8 needs NVIDIA's tools (backend=nemo2 or backend=mbridge): the local backend emulates "
            "FP8 in scoring only; use train.precision=bf16"
        )
    known = [gpu for gpu in gpus if gpu.capability] if backend != "local" else []
    weakest = min(known, key=lambda gpu: gpu.capability or (0, 0), default=None)
    from_checkpoint = config.train.method != "scratch"
    if backend == "local" and not from_checkpoint:
        return
    verdict = judge(config.model, backend, section, precision, weakest, from_checkpoint=from_checkpoint)
    gates.check(
        "checkpoint_precision",
        verdict.good,
        saw=verdict.saw,
        limit="weights that keep their quality at this precision on this GPU",
        why=verdict.why,
    )
    if verdict.warning:
        say(f"  WARNING {verdict.warning}")


def judge(
    model: ModelConfig, backend: str, section: str, precision: str, gpu: Gpu | None, *, from_checkpoint: bool = True
) -> Verdict:
    """What comes of a model's weights.

    Parameters
    ----------
    section : str
        `train` or `predict`, whose precision it is.
    precision : str
        `fp32`, `bf16` or `fp8`.
    gpu : Gpu, optional
        The weakest of those that NVIDIA's tools run on; None where it is not known, and on the local backend.
    from_checkpoint : bool
        Whether the published weights are used, and not random ones.
    """
    place = f" on {gpu.name} (compute capability {gpu.shown_capability})" if gpu else ""
    saw = f"{model.name} on backend {backend} in {precision}{place}"
    needs_fp8 = model.needs_fp8 and from_checkpoint
    fault = _beyond_the_gpu(precision, gpu.capability) if gpu and gpu.capability else ""
    if fault and (precision == "fp8" or not needs_fp8 or model.architecture in _UNTESTED):
        return Verdict(False, saw, f"{fault} {_way_out(model, section, gpu, needs_fp8)}")
    if not needs_fp8:
        return Verdict(True, saw, "These weights keep their quality without FP8.")
    if precision == "fp8" and backend == "local":
        return Verdict(True, f"{saw}, which is emulated", "The projections are rounded as FP8 does.")
    elsewhere = gpu is not None and gpu.capability != _HOPPER
    if model.architecture in _UNTESTED and (precision != "fp8" or elsewhere):
        untested = f"{model.name} is not known to keep its quality without FP8 on Hopper: nobody published its loss"
        return Verdict(True, f"{saw}, which is untested", "It is not known to fail.", untested)
    if precision != "fp8":
        return Verdict(False, f"{saw}, while these weights need FP8", _cost_without(model, backend, section))
    if gpu and elsewhere:
        return Verdict(False, f"{saw}, while these weights need FP8 on Hopper", _cost_elsewhere(model, section, gpu))
    return Verdict(True, saw, "These weights were trained with FP8 on Hopper.")


def _beyond_the_gpu(precision: str, capability: tuple[int, int]) -> str:
    """What the GPU cannot do; empty where it can."""
    if precision == "fp8" and capability < _FP8_FROM:
        return "FP8 needs compute capability 8.9 (Ada, Hopper or later)."
    if capability < _BF16_FROM:
        return "NVIDIA's tools compute in bfloat16, which needs compute capability 8.0 (Ampere or later)."
    return ""


def _way_out(model: ModelConfig, section: str, gpu: Gpu | None, needs_fp8: bool) -> str:
    if gpu and gpu.capability and gpu.capability < _BF16_FROM:
        return f"Use an Ampere GPU or a later one{', Hopper for these weights' if needs_fp8 else ', or backend=local'}."
    if not needs_fp8:
        return f"Use {section}.precision=bf16."
    return f"Use {_measured(model).instead} with {section}.precision=bf16, or a Hopper GPU."


def _cost_without(model: ModelConfig, backend: str, section: str) -> str:
    known = _measured(model)
    if known.without:
        told = f"Without FP8 their loss is {known.without:.3f} nats per base, in FP8 on Hopper {known.hopper:.3f}."
    else:
        told = "Without FP8 such weights score near random."
    if backend != "local":
        with_fp8 = f", or {section}.precision=fp8 on a Hopper GPU"
    elif section == "predict":
        with_fp8 = ", or predict.precision=fp8, which is emulated"
    else:
        with_fp8 = ""
    return f"{told} Use {known.instead}{with_fp8}."


def _cost_elsewhere(model: ModelConfig, section: str, gpu: Gpu) -> str:
    known = _measured(model)
    if known.blackwell and gpu.capability and gpu.capability >= (10, 0):
        told = f"In FP8 on Blackwell their loss is {known.blackwell:.3f} nats per base, on Hopper {known.hopper:.3f}."
    else:
        told = "FP8 of other GPUs rounds otherwise, and nobody found these weights good there."
    return f"{told} Use a Hopper GPU, or {known.instead} with {section}.precision=bf16."


def _measured(model: ModelConfig) -> Measured:
    return FP8_ONLY.get(model.architecture, _SAFE_OF_OTHERS)
