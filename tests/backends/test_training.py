"""Training as the local backend does it, on a model of some thousand parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.dataset.conftest import write_token_file
from tests.striped_hyena.conftest import SMALL
from workflow.backends.embedded import training
from workflow.backends.embedded.adaptation import Adaptation
from workflow.backends.embedded.state import SafeCheckpointIO
from workflow.config import ParallelConfig, TrainConfig
from workflow.dataset.bases import TokenBases
from workflow.dataset.samples import TrainingSamples, validation_samples
from workflow.errors import GateError
from workflow.gates import GateLog
from workflow.striped_hyena import StripedHyena2, load_checkpoint
from workflow.striped_hyena.adapters import add_lora
from workflow.striped_hyena.poles import make_filters_trainable
from workflow.striped_hyena.tokens import pad


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokenBases:
    """A genome that can be learnt: a repeated motif with a few errors, some of it soft-masked."""
    rng = np.random.default_rng(0)
    bases = np.tile(np.frombuffer(b"ACGTTGCAAGGCTTAacgtagg", np.uint8), 100)
    errors = rng.random(len(bases)) < 0.05
    bases = np.where(errors, rng.choice(np.frombuffer(b"ACGT", np.uint8), len(bases)), bases)
    prefix = tmp_path_factory.mktemp("tokens") / "toy"
    return TokenBases(write_token_file(prefix, [bases.astype(np.uint8).tobytes()]))


def settings(**changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "method": "lora",
        "context_length": 64,
        "steps": 12,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "warmup_steps": 2,
        "validate_every": 4,
        "validation_samples": 8,
        "seed": 3,
    }
    return TrainConfig(**(values | changes))


def small_model(*, lora: bool = True, dropout: float = 0.1) -> Any:
    """A random model: its loss is near ln 512."""
    torch.manual_seed(0)
    model = StripedHyena2(SMALL)
    targets = ["projections", "out_filter_dense", "Wqkv", "out_proj", "l1", "l2", "l3"]
    return add_lora(model, rank=4, alpha=8, dropout=dropout, targets=targets) if lora else model


def fit(
    tokens: TokenBases, folder: Path, config: TrainConfig, model: Any = None, gates: GateLog | None = None
) -> dict[str, Any]:
    context = config.context_length
    samples = TrainingSamples([tokens], [1.0], context_length=context, seed=3, reverse_complement=0.5)
    validation = validation_samples([tokens], [1.0], context_length=context, count=config.validation_samples)
    training.make_ready(folder)
    training.fit(
        model if model is not None else small_model(),
        samples,
        validation,
        config=config,
        parallel=ParallelConfig(),
        accelerator="cpu",
        folder=folder,
        gates=gates or GateLog({"first_validation_loss": "warn"}),
    )
    return training.conclude(folder, samples, config.plan(1))


class Killed(BaseException):
    """Stands for the end of the process: nothing of ours may catch it."""


def fit_killed_at(monkeypatch: pytest.MonkeyPatch, step: int, *args: Any) -> None:
    """Train until optimizer step `step` begins, and no further."""

    def die(self: Adaptation, optimizer: torch.optim.Optimizer) -> None:
        if self.global_step + 1 == step:
            raise Killed
        original(self, optimizer)

    original = Adaptation.on_before_optimizer_step
    with monkeypatch.context() as patch:
        patch.setattr(Adaptation, "on_before_optimizer_step", die)
        with pytest.raises(Killed):
            fit(*args)


def test_training_learns_and_leaves_what_the_next_stages_read(tokens: TokenBases, tmp_path: Path) -> None:
    config = settings(steps=24, learning_rate=3e-2)
    counts = fit(tokens, tmp_path, config)
    metrics = pd.read_parquet(tmp_path / "metrics.parquet")
    assert list(metrics.columns) == ["step", "bases_seen", "name", "value"]
    assert set(metrics["name"]) == {
        "train_loss",
        "val_loss",
        "val_loss_nonrepeat",
        "learning_rate",
        "grad_norm",
        "adapter_shift",
    }
    validated = metrics[metrics["name"] == "val_loss"].set_index("step")["value"]
    assert list(validated.index) == [0, 4, 8, 12, 16, 20, 24]
    assert validated[24] < validated[0] - 0.5
    assert counts["best_validation_loss"] == pytest.approx(validated.iloc[1:].min())
    assert counts["steps"] == 24
    assert counts["bases_seen"] == 24 * 4 * 64
    assert 0 < counts["share_of_train_bases_covered"] <= 1
    assert metrics[metrics["step"] == 24]["bases_seen"].unique().tolist() == [24 * 4 * 64]
    assert (tmp_path / "best" / "adapter_model.safetensors").exists()
    assert not list(tmp_path.rglob("*.ckpt"))


def test_the_learning_rate_warms_up_and_follows_a_cosine(tokens: TokenBases, tmp_path: Path) -> None:
    fit(tokens, tmp_path, settings(warmup_steps=4, steps=12, min_learning_rate_share=0.1))
    metrics = pd.read_parquet(tmp_path / "metrics.parquet")
    rates = metrics[metrics["name"] == "learning_rate"].set_index("step")["value"] / 1e-2
    np.testing.assert_allclose(rates[[1, 2, 3, 4]], [0.25, 0.5, 0.75, 1.0], rtol=1e-5)
    np.testing.assert_allclose(rates[9], 0.1 + 0.9 * 0.5, rtol=1e-5)
    assert rates[12] == pytest.approx(0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * 7 / 8)), rel=1e-5)


@pytest.mark.parametrize("step", [1, 3, 5, 10, 12])
def test_a_killed_training_ends_as_an_undisturbed_one(
    tokens: TokenBases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    config = settings()
    undisturbed = fit(tokens, tmp_path / "whole", config)
    fit_killed_at(monkeypatch, step, tokens, tmp_path / "killed", config)
    resumed = fit(tokens, tmp_path / "killed", config)
    assert resumed == undisturbed
    for name in ("metrics.parquet", "best/adapter_model.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_finished_training_is_not_gone_on_with(tokens: TokenBases, tmp_path: Path) -> None:
    config = settings(early_stopping=1, learning_rate=1e-12, steps=40, validate_every=2)
    # With such a rate nothing gets better: the second validation stops the training.
    gates = GateLog({"first_validation_loss": "warn"})
    first = fit(tokens, tmp_path, config, gates=gates)
    assert first["steps"] < 40
    again = GateLog({"first_validation_loss": "warn"})
    assert fit(tokens, tmp_path, config, gates=again) == first
    assert again.as_records() == gates.as_records()


def test_accumulated_steps_are_those_of_the_large_batch(tokens: TokenBases, tmp_path: Path) -> None:
    traces = {}
    for batch_size, accumulate in ((8, 1), (4, 2), (2, 4)):
        folder = tmp_path / str(accumulate)
        config = settings(batch_size=batch_size, accumulate=accumulate)
        fit(tokens, folder, config, model=small_model(dropout=0.0))
        metrics = pd.read_parquet(folder / "metrics.parquet")
        traces[accumulate] = metrics[metrics["name"].isin(["train_loss", "grad_norm", "val_loss"])]["value"].to_numpy()
    np.testing.assert_allclose(traces[2], traces[1], rtol=2e-4)
    np.testing.assert_allclose(traces[4], traces[1], rtol=2e-4)


def test_all_weights_train_and_poles_stay_negative(tokens: TokenBases, tmp_path: Path) -> None:
    model = small_model(lora=False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    make_filters_trainable(model)
    counts = fit(tokens, tmp_path, settings(method="full", learning_rate=0.05), model=model)
    assert counts["trainable_parameters"] == SMALL.parameters
    after = load_checkpoint(tmp_path / "best" / "model.safetensors").state_dict()
    unmoved = [name for name in after if torch.equal(after[name], before[name])]
    assert unmoved == ["blocks.3.inner_mha_cls.rotary_emb.inv_freq"]
    assert float(after["blocks.2.filter.log_poles"].max()) < 0


def test_training_from_scratch_starts_worse_than_a_guess_without_a_gate(tokens: TokenBases, tmp_path: Path) -> None:
    torch.manual_seed(0)
    gates = GateLog()
    counts = fit(tokens, tmp_path, settings(method="scratch"), model=StripedHyena2(SMALL), gates=gates)
    assert counts["first_validation_loss"] > np.log(4)
    assert [result.name for result in gates.results] == ["finite_loss"]


def test_gate_first_validation_loss(tokens: TokenBases, tmp_path: Path) -> None:
    with pytest.raises(
        GateError, match=r"gate first_validation_loss: saw 6\.\d+ nats.*gates.first_validation_loss=warn"
    ):
        fit(tokens, tmp_path / "random", settings(), gates=GateLog())
    fit(
        tokens,
        tmp_path / "learnt",
        settings(method="scratch", steps=120, validate_every=60),
        model=small_model(lora=False),
    )
    learnt = load_checkpoint(tmp_path / "learnt" / "best" / "model.safetensors")
    gates = GateLog()
    fit(tokens, tmp_path / "adapted", settings(method="full"), model=learnt, gates=gates)
    assert [(result.name, result.passed) for result in gates.results] == [
        ("first_validation_loss", True),
        ("finite_loss", True),
    ]


def test_gate_finite_loss(tokens: TokenBases, tmp_path: Path) -> None:
    """A rate at which weights overflow: the fault of one setting, which a search has to tell from those of all."""
    config = settings(method="full", learning_rate=1e30, warmup_steps=0)
    gates = GateLog({"first_validation_loss": "warn"})
    with pytest.raises(GateError, match=r"gate finite_loss: saw a training loss of nan at step 2") as caught:
        fit(tokens, tmp_path / "stopped", config, model=small_model(lora=False), gates=gates)
    assert caught.value.gate == "finite_loss" and not (tmp_path / "stopped" / "state").exists()
    warned = GateLog({"first_validation_loss": "warn", "finite_loss": "warn"})
    with pytest.raises(GateError, match="ended at step 12 without a finite validation loss"):
        fit(tokens, tmp_path / "warned", config, model=small_model(lora=False), gates=warned)
    assert {(r.name, r.subject) for r in warned.results if not r.passed} >= {
        ("finite_loss", "training"),
        ("finite_loss", "validation"),
    }


def test_gate_adapters_move(tokens: TokenBases, tmp_path: Path) -> None:
    gates = GateLog({"first_validation_loss": "warn"})
    fit(tokens, tmp_path / "moving", settings(), gates=gates)
    assert {result.name: result.passed for result in gates.results} == {
        "first_validation_loss": False,
        "adapters_move": True,
        "finite_loss": True,
    }
    frozen = small_model()
    for name, parameter in frozen.named_parameters():
        if "blocks.1.mlp.l1.lora" in name:
            parameter.requires_grad_(False)
    message = r"gate adapters_move: saw 1 of 25 adapters unmoved after 4 steps, such as .*blocks\.1\.mlp\.l1"
    with pytest.raises(GateError, match=message):
        fit(tokens, tmp_path / "frozen", settings(), model=frozen)


def test_bfloat16_trains_float32_adapters_on_bfloat16_weights(tokens: TokenBases, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = StripedHyena2(SMALL).to_bfloat16()
    adapted = add_lora(model, rank=4, alpha=8, dropout=0.0, targets=["projections", "l3"])
    counts = fit(tokens, tmp_path, settings(precision="bf16"), model=adapted)
    assert counts["best_validation_loss"] < counts["first_validation_loss"]
    assert {p.dtype for p in adapted.parameters() if p.requires_grad} == {torch.float32}


def test_a_sample_weighs_the_same_alone_and_padded() -> None:
    model = small_model(lora=False).eval()
    config = settings(batch_size=2)
    short, long = torch.tensor(list(b"ACGTACGT")), torch.tensor(list(b"TTGACCATTGACCATAGGCA"))
    losses = [Adaptation(model, config, GateLog()).loss(*pad(b)).detach() for b in ([short, long], [short], [long])]
    assert float(losses[0]) == pytest.approx(float(losses[1] + losses[2]), rel=1e-5)


def test_state_round_trips_and_holds_no_pickle(tmp_path: Path) -> None:
    state = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(2, 3)}},
        "loops": [{"done": True, "pair": (1, "a")}, None],
        "loss": float("inf"),
        "ids": torch.arange(4),
    }
    io = SafeCheckpointIO()
    io.save_checkpoint(state, tmp_path / "state")
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"structure.json", "tensors.safetensors"}
    again = io.load_checkpoint(tmp_path / "state")
    assert torch.equal(again["state"][0]["exp_avg"], state["state"][0]["exp_avg"])
    assert (again["loops"], again["loss"]) == (state["loops"], state["loss"])
    with pytest.raises(TypeError, match="cannot hold a set"):
        io.save_checkpoint({"x": {1}}, tmp_path / "state")
    assert torch.equal(io.load_checkpoint(tmp_path / "state")["ids"], state["ids"])
