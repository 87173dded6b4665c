from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.preflight.conftest import ON_HOPPER, Configure
from workflow.config import BackendConfig, Config, LoraConfig, ModelConfig, ParallelConfig, TrainConfig, WindowsConfig
from workflow.errors import GateError
from workflow.gates import GateLog, GateResult
from workflow.preflight import memory
from workflow.preflight.hardware import GIB, HostMemory
from workflow.preflight.memory import (
    Work,
    adapter_parameters,
    blocks_recomputed_together,
    check_memory,
    estimate_memory,
    largest_micro_batch,
    memory_lines,
    recomputes,
    work_of,
)
from workflow.preflight.stages import gpus_of
from workflow.striped_hyena import PRESETS, StripedHyena2
from workflow.striped_hyena.adapters import add_lora
from workflow.striped_hyena.config import ModelConfig as Shape

SMALL = Shape("SDH*SDH*", width=128, heads=4, mlp_width=344, filter_groups=16)
TARGETS = LoraConfig().targets


def judged(config: Config, stage: str, action: str = "stop") -> list[GateResult]:
    gates = GateLog({"gpu_memory": action})
    check_memory(config, stage, PRESETS[config.model.architecture], gpus_of(config), gates)
    return gates.results


def training(method: str, precision: str, recompute: bool = False) -> Config:
    train = TrainConfig(
        method=method,
        context_length=512,
        steps=1,
        batch_size=2,
        learning_rate=1e-3,
        precision=precision,
        activation_checkpointing=recompute,
    )
    return Config(
        model=ModelConfig(name="small", architecture="tiny", context_length=512),
        backend=BackendConfig(name="local"),
        train=train,
        windows=WindowsConfig(length=512),
    )


# ---------------------------------------------------------------- against the engine


def bytes_kept(method: str, precision: str, work: Work, shape: Shape = SMALL, recompute: bool = False) -> int:
    """What PyTorch keeps of the local engine for the backward pass, parameters left out."""
    engine: torch.nn.Module = StripedHyena2(shape, activation_checkpointing=recompute)
    if method == "lora":
        base = StripedHyena2(shape, activation_checkpointing=recompute)
        base = base.to_bfloat16() if precision == "bf16" else base
        engine = add_lora(base, rank=4, alpha=8, dropout=0.05, targets=TARGETS)
    engine.train()
    parameters = {parameter.untyped_storage().data_ptr() for parameter in engine.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in parameters:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    bf16 = torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    ids = torch.randint(65, 85, (work.samples, work.length))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), bf16:
        engine(ids, torch.ones_like(ids, dtype=torch.bool))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_activations_are_those_of_the_engine(method: str, precision: str) -> None:
    """What a further sample adds, which leaves out the copies of weights that autocast makes."""
    config = training(method, precision)
    few, more = Work(1, 512), Work(2, 512)
    measured = bytes_kept(method, precision, more) - bytes_kept(method, precision, few)
    estimates = [estimate_memory(config, "train", SMALL, work).activations for work in (few, more)]
    # The passing memory of the widest step is no part of what is kept.
    passing = 512 * SMALL.width * memory._BACKWARD_BYTES
    assert estimates[1] - estimates[0] - passing == pytest.approx(measured, rel=0.1)


def test_recomputation_keeps_the_inputs_of_blocks() -> None:
    half, work = replace(SMALL, pattern=SMALL.pattern[:4]), Work(2, 512)
    measured = bytes_kept("full", "fp32", work, recompute=True) - bytes_kept("full", "fp32", work, half, True)
    inputs = 2 * 512 * SMALL.width * 4 * 4
    assert inputs == pytest.approx(measured, rel=0.05)
    config = training("full", "fp32", recompute=True)
    estimates = [estimate_memory(config, "train", shape, work).activations for shape in (SMALL, half)]
    assert estimates[0] - estimates[1] == inputs


def test_adapters_are_those_of_the_engine() -> None:
    lora = add_lora(StripedHyena2(SMALL), rank=4, alpha=8, dropout=0.0, targets=TARGETS)
    trained = sum(parameter.numel() for parameter in lora.parameters() if parameter.requires_grad)
    assert adapter_parameters(SMALL, 4, TARGETS) == trained
    assert adapter_parameters(SMALL, 4, ["Wqkv"]) == 4 * 2 * (128 + 3 * 128)


# ---------------------------------------------------------------- numbers that are known


def test_training_state_is_18_bytes_a_parameter(configure: Configure) -> None:
    for model, gib in (("evo2_1b_base", 19), ("evo2_7b_base", 109), ("evo2_7b", 110), ("evo2_20b", 331)):
        config = configure(f"model={model}", "backend=mbridge", "train=full")
        estimate = estimate_memory(config, "train", PRESETS[model])
        state = estimate.weights + estimate.gradients + estimate.optimizer
        assert state / PRESETS[model].parameters == pytest.approx(18)
        assert round(state / GIB) == gib


def test_distributed_optimizer_is_spread_over_copies_of_the_model(configure: Configure) -> None:
    shape = PRESETS["evo2_7b"]
    one = estimate_memory(configure("model=evo2_7b", "backend=nemo2", "train=full"), "train", shape)
    config = configure("model=evo2_7b", "backend=nemo2", "train=full", "parallel.devices=8", "parallel.nodes=2")
    many = estimate_memory(config, "train", shape)
    assert many.optimizer == pytest.approx(one.optimizer / 16)
    assert (many.weights, many.gradients, many.activations) == (one.weights, one.gradients, one.activations)


def test_lora_trains_little(configure: Configure) -> None:
    shape = PRESETS["evo2_7b"]
    estimate = estimate_memory(configure("model=evo2_7b", "backend=mbridge"), "train", shape)
    assert estimate.weights / GIB == pytest.approx(12.3, abs=0.2)
    assert estimate.gradients + estimate.optimizer < 0.1 * estimate.weights


def test_local_full_training_is_in_float32(configure: Configure) -> None:
    shape = PRESETS["evo2_1b_base"]
    estimate = estimate_memory(configure("model=evo2_1b_base", "train=full"), "train", shape)
    sizes = (estimate.weights, estimate.gradients, estimate.optimizer)
    assert [size / shape.parameters for size in sizes] == [4, 4, 8]


@pytest.mark.parametrize(("precision", "bytes_each"), [("fp32", 4), ("bf16", 2), ("fp8", 2)])
def test_scoring_needs_weights_and_one_step(precision: str, bytes_each: int, configure: Configure) -> None:
    shape = PRESETS["evo2_7b"]
    config = configure("model=evo2_7b", "train=none", f"predict.precision={precision}", "predict.batch_tokens=8192")
    estimate = estimate_memory(config, "predict", shape)
    assert (estimate.gradients, estimate.optimizer) == (0, 0)
    assert estimate.weights == shape.parameters * bytes_each
    assert estimate.activations < 0.3 * estimate.weights


def test_work_of_the_stages(configure: Configure) -> None:
    config = configure("train.batch_size=3", "windows.length=512", "predict.batch_tokens=2100", "infer.batch_size=7")
    assert work_of(config, "train") == Work(3, 1024)
    assert work_of(config, "predict") == Work(4, 512)
    assert work_of(config, "infer") == Work(7, 656)
    assert work_of(configure("predict.batch_tokens=100"), "predict") == Work(1, 1024)
    assert work_of(configure("backend=nemo2"), "infer") == Work(1, 656)


# ---------------------------------------------------------------- properties

SIZES = st.sampled_from([1, 2, 4, 8])


@given(tensor=SIZES, copies=SIZES, samples=st.integers(1, 8), length=st.sampled_from([1024, 8192]), lora=st.booleans())
def test_more_gpus_never_need_more_each(tensor: int, copies: int, samples: int, length: int, lora: bool) -> None:
    shape, work = PRESETS["evo2_7b"], Work(samples, length)
    config = training("lora" if lora else "full", "bf16")
    config = replace(config, backend=BackendConfig(name="mbridge"))
    wide = replace(config, parallel=ParallelConfig(devices=tensor * copies, tensor=tensor))
    one, many = (estimate_memory(each, "train", shape, work) for each in (config, wide))
    assert many.total <= one.total
    assert many.weights * tensor == pytest.approx(one.weights)
    assert many.optimizer * tensor * copies == pytest.approx(one.optimizer)


@given(
    gib=st.floats(16, 200), length=st.integers(128, 20_000), method=st.sampled_from(["lora", "full"]), ck=st.booleans()
)
def test_largest_micro_batch_is_the_largest(gib: float, length: int, method: str, ck: bool) -> None:
    shape = PRESETS["evo2_1b_base"]
    config = training(method, "bf16", ck)
    config = replace(config, train=replace(config.train, context_length=length))
    largest = largest_micro_batch(config, "train", shape, gib)
    room = 0.9 * gib * GIB
    if largest:
        assert estimate_memory(config, "train", shape, Work(largest, length)).total <= room * (1 + 1e-9)
    assert estimate_memory(config, "train", shape, Work(largest + 1, length)).total > room * (1 - 1e-9)


# ---------------------------------------------------------------- the gate


def test_what_fits_passes(configure: Configure) -> None:
    config = configure("model=evo2_7b", *ON_HOPPER, "train=none")
    (result,) = judged(config, "predict")
    assert result.passed
    assert result.saw.startswith("about 18.7 GiB (weights 12.3, activations 4.9, ")
    assert result.saw.endswith(" a GPU for 2 × 8,192 positions at a time")
    assert result.limit == "71.6 GiB, 90% of H100-80GB"


@pytest.mark.parametrize(
    ("overrides", "stage", "told"),
    [
        (
            "model=evo2_1b_bf16 backend=mbridge parallel.gpu=H100-80GB",
            "train",
            r"for 8 × 8,192 positions.*The largest micro-batch that fits is train\.batch_size=2\.",
        ),
        (
            "model=evo2_7b backend=mbridge parallel.gpu=H100-80GB parallel.devices=8 train=full",
            "train",
            r"weights 12\.3, gradients 24\.5, optimizer 9\.2.*Use train\.activation_checkpointing=true, with at most "
            r"train\.batch_size=2\.",
        ),
        (
            "model=evo2_40b_bf16 backend=mbridge parallel.gpu=H100-80GB parallel.devices=8",
            "predict",
            r"Use parallel\.tensor=2, with at most predict\.batch_tokens=\d+\.",
        ),
        (
            "model=evo2_40b_bf16 backend=mbridge parallel.gpu=H100-80GB parallel.devices=8 train=full "
            "train.activation_checkpointing=true",
            "train",
            r"Use parallel\.nodes=2 parallel\.tensor=16 launcher=torchrun launcher\.rendezvous=HOST:PORT, with at most "
            r"train\.batch_size=\d+\.",
        ),
        (
            "model=evo2_7b backend=mbridge parallel.gpu=H100-80GB train=full train.activation_checkpointing=true",
            "train",
            r"Use parallel\.devices=\d parallel\.tensor=\d, with at most train\.batch_size=\d+\.",
        ),
        (
            "model=evo2_7b parallel.gpu=RTX-4090 predict.precision=fp32",
            "predict",
            r"limit 21\.6 GiB, 90% of RTX-4090.*Neither recomputation nor up to 64 GPUs make room",
        ),
        (
            "model=evo2_7b parallel.gpu=H100-80GB train.precision=bf16 infer.batch_size=1000 predict.precision=bf16",
            "infer",
            r"The largest micro-batch that fits is infer\.batch_size=\d+\.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_a_way(
    overrides: str, stage: str, told: str, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(*overrides.split())
    with pytest.raises(GateError, match=f"gate gpu_memory: saw about .*{told} Override|{told}") as caught:
        judged(config, stage)
    assert "\n" not in str(caught.value)
    (result,) = judged(config, stage, "warn")
    assert not result.passed
    assert "WARNING gate gpu_memory" in capsys.readouterr().out


def test_remedies_fit(configure: Configure) -> None:
    """Following the advice passes the gate."""
    config = configure("model=evo2_40b_bf16", "backend=mbridge", "train=full", *ON_HOPPER[1:])
    with pytest.raises(GateError) as caught:
        judged(config, "train")
    advice = str(caught.value).partition("Use ")[2].partition(". Override")[0]
    overrides = [word.rstrip(",") for word in advice.split() if "=" in word]
    mended = configure("model=evo2_40b_bf16", "backend=mbridge", "train=full", *ON_HOPPER[1:], *overrides)
    assert judged(mended, "train")[0].passed


def test_lora_on_nemo2_recomputes_only_when_patched(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("model=evo2_7b", *ON_HOPPER, "train.batch_size=1", "train.activation_checkpointing=true")
    config = configure(*overrides)
    monkeypatch.setattr("workflow.patching.is_applied", lambda name: False)
    assert not recomputes(config) and recomputes(configure(*overrides, "train=full"))
    with pytest.raises(GateError, match=r"Use train\.activation_checkpointing=true after `python -m workflow\.patches"):
        judged(config, "train")
    monkeypatch.setattr("workflow.patching.is_applied", lambda name: name == "nemo2-lora-recompute")
    assert judged(config, "train")[0].passed and recomputes(config)
    config = configure(*overrides, "train.activation_checkpointing=false")
    assert not recomputes(config)
    with pytest.raises(GateError, match=r"Use train\.activation_checkpointing=true, with at most"):
        judged(config, "train")


def test_a_patched_host_says_nothing_of_a_container(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow.patching.is_applied", lambda name: True)
    overrides = ("model=evo2_7b", *ON_HOPPER, "train.batch_size=1", "train.activation_checkpointing=true")
    config = configure(*overrides, "launcher=docker")
    assert recomputes(configure(*overrides)) and not recomputes(config)
    with pytest.raises(GateError, match=r"activation_checkpointing=true launcher\.patched=true with an image"):
        judged(config, "train")
    assert recomputes(configure(*overrides, "launcher=docker", "launcher.patched=true"))


@pytest.mark.parametrize(
    ("model", "blocks"),
    [("evo2_1b_base", 5), ("evo2_7b_base", 4), ("evo2_7b", 4), ("evo2_20b", 4), ("evo2_40b_base", 2), ("evo2_40b", 2)],
)
def test_tools_recompute_several_blocks_together(model: str, blocks: int, configure: Configure) -> None:
    shape = PRESETS[model]
    recomputing = ("train=full", "train.activation_checkpointing=true", f"model={model}")
    config = configure("backend=mbridge", *recomputing)
    assert blocks_recomputed_together(config, shape) == blocks
    assert blocks_recomputed_together(configure("backend=local", *recomputing), shape) == 1
    one = configure(
        "backend=mbridge",
        *recomputing,
        "+backend.extra.train_evo2={--activation-checkpoint-recompute-num-layers: '1'}",
    )
    assert blocks_recomputed_together(one, shape) == 1
    work = Work(1, 8192)
    alone, together = (estimate_memory(c, "train", shape, work).activations for c in (one, config))
    unit = estimate_memory(config, "train", shape, work, recompute=False).activations / len(shape.pattern) * blocks
    # With the inputs of fewer units to keep, two blocks together need less than one alone.
    assert (alone < together) == (blocks > 2)
    assert 0.5 * unit < together < 2.5 * unit


def test_tools_generate_without_a_batch_size(configure: Configure) -> None:
    """No setting of ours decides how many prompts they continue at a time, so that none is recommended."""
    config = configure("model=evo2_40b_bf16", *ON_HOPPER)
    shape = PRESETS["evo2_40b"]
    assert len(memory_lines(config, "infer", shape, gpus_of(config))) == 1
    with pytest.raises(GateError, match=r"Use parallel\.tensor=2\. Override"):
        judged(config, "infer")


def test_unknown_gpus_are_not_judged(configure: Configure) -> None:
    config = configure("model=evo2_40b_bf16", "backend=nemo2", "train=full")
    assert judged(config, "train") == []
    lines = memory_lines(config, "train", PRESETS["evo2_40b"], [])
    assert lines[0].startswith("memory: about ") and "weights 76.6" in lines[0]
    assert lines[1].startswith("memory: no GPU is seen here; plan for one with parallel.gpu=")


def test_lines_tell_the_largest_micro_batch(configure: Configure) -> None:
    config = configure("model=evo2_1b_bf16", *ON_HOPPER)
    lines = memory_lines(config, "train", PRESETS["evo2_1b_base"], gpus_of(config))
    assert lines[1] == "memory: the largest micro-batch that fits 79.6 GiB is train.batch_size=2"
    config = configure("model=evo2_40b_bf16", *ON_HOPPER)
    lines = memory_lines(config, "train", PRESETS["evo2_40b"], gpus_of(config))
    assert lines[1] == "memory: the largest micro-batch that fits 79.6 GiB is none"


def test_main_memory_is_only_warned_of(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure("model=evo2_7b", "backend.device=cpu", "train=none")
    monkeypatch.setattr(memory, "host_memory", lambda: HostMemory(32.0, 16.0))
    assert judged(config, "predict") == []
    assert "WARNING about 32.2 GiB" in (told := capsys.readouterr().out) and "16.0 GiB are free" in told
    monkeypatch.setattr(memory, "host_memory", lambda: HostMemory(512.0, 500.0))
    assert judged(config, "predict") == [] and capsys.readouterr().out == ""
    monkeypatch.setattr(memory, "host_memory", lambda: None)
    assert judged(config, "predict") == [] and capsys.readouterr().out == ""


# ---------------------------------------------------------------- processes of the local backend


def test_fsdp_spreads_what_is_trained_and_gathers_two_blocks(configure: Configure) -> None:
    shape = PRESETS["evo2_7b"]
    local = ("backend=local", "model=evo2_7b", "train=full", "parallel.devices=8")
    each = estimate_memory(configure(*local), "train", shape)
    part = estimate_memory(configure(*local, "parallel.strategy=fsdp"), "train", shape)
    assert each.weights == pytest.approx(4 * shape.parameters)
    assert part.weights == pytest.approx(4 * shape.parameters * (1 / 8 + 2 / len(shape.pattern)))
    assert (part.gradients, part.optimizer) == pytest.approx((each.gradients / 8, each.optimizer / 8))
    assert (part.activations, part.logits) == (each.activations, each.logits)
    alone = configure("backend=local", "model=evo2_7b", "train=full", "parallel.strategy=fsdp")
    assert estimate_memory(alone, "train", shape) == each
    assert estimate_memory(configure(*local, "parallel.strategy=fsdp"), "predict", shape) == estimate_memory(
        alone, "predict", shape
    )


def test_more_processes_are_a_remedy_of_the_local_backend(configure: Configure) -> None:
    asked = ("backend=local", "model=evo2_7b", "train=full", "parallel.gpu=A100-80GB", "train.batch_size=1")
    with pytest.raises(GateError) as caught:
        judged(configure(*asked), "train")
    remedy = str(caught.value).partition(" Use ")[2].partition(",")[0]
    assert "parallel.devices=" in remedy and "parallel.strategy=fsdp" in remedy
    (result,) = judged(configure(*asked, *remedy.split(" and ")[0].split(), *remedy.split(" and ")[1:]), "train")
    assert result.passed


def test_main_memory_is_that_of_all_processes(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    need = estimate_memory(configure("backend.device=cpu"), "train", PRESETS["tiny"]).total / GIB
    monkeypatch.setattr(memory, "host_memory", lambda: HostMemory(10 * need, 3.5 * need))
    judged(configure("backend.device=cpu", "parallel.devices=3"), "train")
    assert capsys.readouterr().out == ""
    judged(configure("backend.device=cpu", "parallel.devices=4"), "train")
    assert "WARNING about 4 × " in capsys.readouterr().out
