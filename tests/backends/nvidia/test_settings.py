"""What the commands of both generations share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.backends.contracts import Command, load_contract
from workflow.backends.nvidia import settings
from workflow.backends.nvidia.nemo2 import Nemo2
from workflow.backends.nvidia.settings import Toolchain
from workflow.config import Config, InferConfig, ParallelConfig
from workflow.errors import InputError

Configure = Callable[..., Config]
NEMO2 = load_contract("nemo2", "2.7.1")
SMALL = st.integers(1, 8)


def with_batches(config: Config, batch: int, accumulate: int, samples: int, parallel: ParallelConfig) -> Config:
    train = replace(config.train, batch_size=batch, accumulate=accumulate, validation_samples=samples)
    return replace(config, train=train, parallel=parallel)


@given(SMALL, SMALL, st.integers(1, 500), SMALL, SMALL, st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]))
def test_batches_account_for_every_sample(
    nemo2: Configure, batch: int, accumulate: int, samples: int, nodes: int, copies: int, tensor: int, context: int
) -> None:
    devices = copies * tensor * context
    config = with_batches(nemo2(), batch, accumulate, samples, ParallelConfig(nodes, devices, tensor, 1, context))
    whole = settings.global_batch(config)
    assert whole == batch * accumulate * nodes * copies
    assert whole % (batch * config.parallel.data_parallel) == 0, "Megatron wants whole micro-batches"
    scored = settings.validation_batches(config) * whole
    assert scored <= samples < scored + whole or (scored == whole > samples)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_micro_batches_of_prediction_keep_to_the_tokens(nemo2: Configure, tokens: int, longest: int) -> None:
    config = replace(nemo2(), predict=replace(nemo2().predict, batch_tokens=tokens))
    size = settings.micro_batch(config, longest)
    assert size == 1 or size * longest <= tokens < (size + 1) * longest


def test_validation_happens_in_short_trainings(nemo2: Configure) -> None:
    assert settings.validation_interval(nemo2("train.steps=30", "train.validate_every=50")) == 30
    assert settings.validation_interval(nemo2("train.steps=100", "train.validate_every=50")) == 50


def test_learning_rates_are_readable(nemo2: Configure) -> None:
    assert settings.learning_rates(nemo2("train.learning_rate=3e-4")) == (3e-4, 3e-5)


@pytest.mark.parametrize(
    ("top_k", "top_p", "expected"), [(4, 1.0, (4, 0.0)), (0, 1.0, (0, 0.0)), (0, 0.9, (0, 0.9)), (1, 1.0, (1, 0.0))]
)
def test_sampling_says_off_as_the_tools_do(top_k: int, top_p: float, expected: tuple[int, float]) -> None:
    flags = settings.sampling(InferConfig(top_k=top_k, top_p=top_p))
    assert (flags["--top-k"], flags["--top-p"]) == expected


def test_two_cuts_at_once_are_refused() -> None:
    with pytest.raises(InputError, match=r"^infer\.top_k=4 and infer\.top_p=0\.9: .* set infer\.top_k=0 or"):
        settings.sampling(InferConfig(top_k=4, top_p=0.9))


def test_a_single_rank_needs_no_patience(nemo2: Configure) -> None:
    assert settings.training_environment(nemo2(), "because") == ({}, {})


def test_many_ranks_get_patience(nemo2: Configure) -> None:
    environment, why = settings.training_environment(nemo2("parallel.nodes=2"), "because")
    assert environment == {"TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC": "7200", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1"}
    assert why["TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC"] == "because"
    assert why.keys() == environment.keys()


def test_tensor_parallelism_orders_kernels(nemo2: Configure) -> None:
    environment, why = settings.training_environment(nemo2("parallel.devices=2", "parallel.tensor=2"), "")
    assert environment["CUDA_DEVICE_MAX_CONNECTIONS"] == "1"
    assert "CUDA_DEVICE_MAX_CONNECTIONS" in why


# ---------------------------------------------------------------- further flags


def extended(config: Config, **extra: dict[str, str]) -> Config:
    return replace(config, backend=replace(config.backend, extra=extra))


def test_the_seed_of_hashes_is_always_set(nemo2: Configure) -> None:
    command = settings.complete(Command("train_evo2", environment={"A": "b"}), nemo2("seed=7"), NEMO2)
    assert command.environment == {"PYTHONHASHSEED": "7", "A": "b"}
    assert "PYTHONHASHSEED" in command.why


def test_further_flags_come_last_and_replacing_is_told(nemo2: Configure) -> None:
    config = extended(nemo2(), train_evo2={"--workers": "2", "--lr": "1e-5", "--no-renormalize-loss": "true"})
    command = settings.complete(Command("train_evo2", {"--lr": 0.1, "--wd": 0.2}), config, NEMO2)
    assert list(command.options.items()) == [
        ("--wd", 0.2),
        ("--workers", "2"),
        ("--lr", "1e-5"),
        ("--no-renormalize-loss", True),
    ]
    assert command.why["--lr"] == "backend.extra asks for 1e-5; without it this would be 0.1."
    assert not {"--workers", "--wd"} & set(command.why)


def test_a_short_spelling_replaces_the_long_one(nemo2: Configure) -> None:
    config = extended(nemo2(), train_evo2={"-d": "other.yaml"})
    command = settings.complete(Command("train_evo2", {"--dataset-config": "some.yaml"}), config, NEMO2)
    assert dict(command.options) == {"--dataset-config": "other.yaml"}


def test_a_switch_can_be_taken_back(nemo2: Configure) -> None:
    config = extended(nemo2(), train_evo2={"--enable-preemption": "False"})
    command = settings.complete(
        Command("train_evo2", {"--enable-preemption": True, "--mock-data": True}), config, NEMO2
    )
    assert NEMO2.spell(command) == ["train_evo2", "--mock-data"]


def test_several_values_are_divided(nemo2: Configure) -> None:
    config = extended(nemo2(), train_evo2={"--nsys-ranks": "0 1", "--mock-data": ""})
    assert NEMO2.spell(settings.complete(Command("train_evo2"), config, NEMO2)) == [
        "train_evo2", "--nsys-ranks", "0", "1", "--mock-data",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        (
            "--devises",
            "2",
            "train_evo2 of nemo2 2.7.1: --devises is not a flag of this version: did you mean --devices",
        ),
        ("--devices", "two", "train_evo2 of nemo2 2.7.1: --devices=two is not a whole number"),
        ("--mock-data", "maybe", "train_evo2 of nemo2 2.7.1: --mock-data is a switch and takes no value"),
    ],
)
def test_the_contract_checks_further_flags(nemo2: Configure, flag: str, text: str, message: str) -> None:
    command = settings.complete(Command("train_evo2"), extended(nemo2(), train_evo2={flag: text}), NEMO2)
    with pytest.raises(InputError) as caught:
        NEMO2.spell(replace(command, options={"--mock-data": True, **command.options}))
    assert str(caught.value).startswith(message)


def test_further_flags_of_other_tools_are_left_alone(nemo2: Configure) -> None:
    config = extended(nemo2(), predict_evo2={"--files-per-subdir": "10"})
    assert not settings.complete(Command("train_evo2"), config, NEMO2).options
    assert settings.complete(Command("predict_evo2"), config, NEMO2).options == {"--files-per-subdir": "10"}


def test_further_flags_of_no_tool_are_refused(nemo2: Configure) -> None:
    config = extended(nemo2(), predict_evo={"--files-per-subdir": "10"})
    with pytest.raises(
        InputError, match=r"^backend\.extra: predict_evo is not a tool of nemo2 2\.7\.1: did you mean predict_"
    ):
        settings.refuse_extra(config, NEMO2)


# ---------------------------------------------------------------- sizes, places


def test_the_size_has_the_toolchains_name(nemo2: Configure) -> None:
    assert settings.model_size(nemo2(), NEMO2) == "7b_arc_longcontext"
    assert settings.model_size(nemo2(), load_contract("mbridge", "2026.05")) == "evo2_7b"


def test_a_model_without_size_is_refused_with_those_that_have_one(nemo2: Configure) -> None:
    with pytest.raises(InputError) as caught:
        settings.model_size(nemo2("model=evo2_20b"), NEMO2)
    message = str(caught.value)
    assert message.startswith("model=evo2_20b: backend=nemo2 cannot run it")
    assert "evo2_7b or" in message and "evo2_20b" not in message.partition("use model=")[2]
    assert "--model-size of nemo2 2.7.1: " in message and "7b_arc_longcontext" in message
    assert "\n" not in message


@pytest.mark.parametrize("place", ["hf://one", "hf://a/b/c", "hf:///b", "arcinstitute/savanna", "hf://a/"])
def test_what_is_no_place_on_hugging_face_is_refused(place: str) -> None:
    with pytest.raises(InputError, match="write hf://ORGANISATION/NAME"):
        settings.hub_name(place)


def test_versions_with_a_flag() -> None:
    assert settings.versions_with(NEMO2, "predict_evo2", "--lora-checkpoint-path") == "2.7.1, main-2026.03"


# ---------------------------------------------------------------- notes


def test_what_is_followed_is_not_noted(nemo2: Configure) -> None:
    config = nemo2("train.reverse_complement=0", "train.steps=150", "train.validate_every=25")
    assert settings.training_notes(config) == []


def test_what_is_followed_in_another_way_is_noted(nemo2: Configure) -> None:
    config = nemo2("train.steps=160", "train.validate_every=25", "train.validation_samples=70")
    strand, samples, late = settings.training_notes(config)
    assert strand.startswith("train.reverse_complement=0.5 is not followed")
    assert samples.startswith("A validation scores 64 samples, not train.validation_samples=70")
    assert late.startswith("The last 10 steps end without")


def test_both_generations_have_the_same_methods() -> None:
    def toolchain() -> Toolchain:
        return Nemo2(NEMO2)

    assert toolchain().contract is NEMO2
