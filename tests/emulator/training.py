"""`train_evo2` of both generations, with the embedded engine's samples, loss, optimizer and schedule."""

from __future__ import annotations

import argparse
import itertools
import math
import shlex
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.emulator import distributed, folders
from tests.emulator.adapters import Adapted
from tests.emulator.conversion import check_tokenizer, read_nemo2
from tests.emulator.keeping import BridgeStore, NemoStore, Snapshot, Store
from tests.emulator.loading import check_heads, check_size
from tests.emulator.names import architecture, to_megatron
from tests.emulator.reporting import BridgeReport, NemoReport, Report
from tests.emulator.setting import Refused, Setting, dawdle, log
from tests.emulator.training_plan import Plan, plan_of
from workflow.backends.embedded.adaptation import Adaptation
from workflow.gates import GateLog
from workflow.striped_hyena import StripedHyena2
from workflow.striped_hyena.checkpoints import published_weights
from workflow.striped_hyena.config import ModelConfig
from workflow.striped_hyena.objectives import base_nll, base_weights
from workflow.striped_hyena.poles import make_filters_trainable
from workflow.striped_hyena.tokens import model_inputs, pad

_LN_512 = 6.238


def train(arguments: argparse.Namespace, setting: Setting) -> None:
    """Train, or go on from the newest checkpoint of the result folder."""
    plan = plan_of(arguments, setting)
    if not setting.is_nemo2 and plan.lora and not arguments.disable_tensorboard_logger:
        log("Starting the training loop at iteration 0")
        raise Refused("AttributeError: 'Parameter' object has no attribute 'main_grad'")
    model = _base_model(plan, setting)
    check_heads(model.config, arguments)
    store, report = _bookkeeping(arguments, plan, model.config, setting)
    training = _Training(plan, model, store, report, setting)
    if not arguments.enable_preemption:
        training.run()
        return
    before = signal.signal(signal.SIGTERM, training.ask_to_stop)
    try:
        training.run()
    finally:
        signal.signal(signal.SIGTERM, before)


def _bookkeeping(
    arguments: argparse.Namespace, plan: Plan, config: ModelConfig, setting: Setting
) -> tuple[Store, Report]:
    steps, batch = plan.config.steps, plan.global_batch
    if setting.is_nemo2:
        dev = plan.folder / "dev"
        dev.mkdir(parents=True, exist_ok=True)
        (dev / "cmd-args.log").write_text(shlex.join(["train_evo2", *sys.argv[1:]]))
        (dev / "hparams.yaml").write_text("{}\n")
        (dev / "nemo_error_log.txt").touch()
        (dev / "nemo_log_globalrank-0_localrank-0.txt").touch()
        events = dev if arguments.create_tensorboard_logger else None
        return NemoStore(plan, config, setting), NemoReport(events, steps, batch, plan.log_every)
    tokenizer = check_tokenizer(arguments.hf_tokenizer_model_path)
    events = None if arguments.disable_tensorboard_logger else plan.folder / "tb_logs"
    report = BridgeReport(events, steps, batch, plan.log_every)
    return BridgeStore(plan, config, setting, tokenizer), report


def _base_model(plan: Plan, setting: Setting) -> StripedHyena2:
    if plan.base is None:
        torch.manual_seed(plan.seed)
        return StripedHyena2(architecture(setting.toolchain, plan.size, {}))
    base = Path(plan.base)
    if setting.is_nemo2:
        config, tensors = folders.nemo2_config(base), read_nemo2(base)
    else:
        iteration = folders.newest_iteration(base)
        config = folders.config_of(folders.read_run_config(iteration)["model"])
        tensors = distributed.read(iteration, folders.is_weight)
    check_size(setting, plan.size, config)
    return folders.build(tensors, config)


class _Training:
    """One run of the loop."""

    def __init__(
        self,
        plan: Plan,
        model: StripedHyena2,
        store: Store,
        report: Report,
        setting: Setting,
    ) -> None:
        self.plan, self.store, self.report, self.setting = plan, store, report, setting
        self.base, self.adapted = model, None
        self._stop = False
        torch.manual_seed(plan.seed)
        trained: nn.Module = model
        if plan.lora:
            trained = self.adapted = self._with_adapters(model)
        else:
            make_filters_trainable(model)
        self.trained = trained
        self.adaptation = Adaptation(trained, plan.config, GateLog())  # type: ignore[arg-type]
        made: Any = self.adaptation.configure_optimizers()
        self.optimizer, self.schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]

    def run(self) -> None:
        """All steps that are left."""
        config = self.plan.config
        samples, validation = self.plan.training(), self.plan.held_out("validation")
        test = self.plan.held_out("test")
        done = self._resume()
        loss = None
        micro_batches = self._micro_batches(samples, done)
        started = done
        while done < config.steps:
            if done == started or done % config.validate_every == 0:
                torch.manual_seed(self.plan.seed * 1_000_003 + done)
            self._step(done, micro_batches)
            done += 1
            if self._stop:
                self.store.finish(self._snapshot(done))
                log("Preemption signal received: saved a checkpoint, exiting.")
                return
            if done % config.validate_every == 0 or done == config.steps:
                self.store.save(self._snapshot(done), loss)
                loss = self._validate(validation)
                self.report.validation(done, loss)
        self.store.finish(self._snapshot(done))
        final = self._validate(validation) if loss is None else loss
        self.report.end(done, final, self._validate(test) if test else None)

    def _with_adapters(self, model: StripedHyena2) -> Adapted:
        lora = self.plan.lora
        assert lora is not None
        model = model.to_bfloat16() if self.setting.in_bf16 else model
        adapted = Adapted(model, lora.targets, dim=lora.dim, alpha=lora.alpha, dropout=lora.dropout)
        if self.setting.is_nemo2:
            # The final norm is not among the modules that are frozen.
            model.norm.scale.data = model.norm.scale.data.float()
            model.norm.scale.requires_grad_(True)
        if lora.stuck or self.setting.fault.kind == "frozen":
            adapted.adapters.requires_grad_(False)
            model.norm.scale.requires_grad_(True)
        return adapted

    def _step(self, done: int, micro_batches: Iterator[tuple[Tensor, Tensor]]) -> None:
        config, started = self.plan.config, time.time()
        total = weight = 0.0
        self.trained.train()
        for _ in range(config.accumulate):
            targets, mask = next(micro_batches)
            with self._arithmetic():
                nll = base_nll(self.trained(model_inputs(targets), mask).logits, targets)
                weights = base_weights(targets, mask, config.repeat_weight)
                summed = (nll * weights).sum()
            # In the order in which the embedded engine divides: Adam makes much of the rounding of small gradients.
            share = summed / (config.batch_size * config.context_length)
            torch.autograd.backward(share / config.accumulate)
            total, weight = total + float(summed.detach()), weight + float(weights.sum())
        norm = float(nn.utils.clip_grad_norm_(self._parameters(), config.clip))
        rate = self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        dawdle()
        loss = self._as_told(total / max(weight, 1e-9), done)
        self.report.step(done + 1, loss=loss, rate=rate, norm=norm, seconds=time.time() - started)

    def _as_told(self, loss: float, done: int) -> float:
        """The loss that is reported, which a fault replaces."""
        if self.setting.fault.kind == "nan" and done >= self.plan.config.validate_every:
            return math.nan
        return _LN_512 if self.setting.fault.kind == "ln512" else loss

    @torch.no_grad()
    def _validate(self, samples: list[np.ndarray]) -> float:
        if self.setting.fault.kind in ("nan", "ln512"):
            return math.nan if self.setting.fault.kind == "nan" else _LN_512
        self.trained.eval()
        size = self.plan.config.batch_size
        total = bases = 0.0
        for first in range(0, len(samples), size):
            targets, mask = _stack(samples[first : first + size])
            with self._arithmetic():
                nll = base_nll(self.trained(model_inputs(targets), mask).logits, targets).double()
            kept = base_weights(targets, mask, repeat_weight=1.0) > 0
            total, bases = total + float(nll[kept].sum()), bases + float(kept.sum())
        return total / max(bases, 1.0)

    def _micro_batches(self, samples: Any, done: int) -> Iterator[tuple[Tensor, Tensor]]:
        places = samples.from_position(done * self.plan.global_batch)
        while True:
            yield _stack([samples[place] for place in itertools.islice(places, self.plan.config.batch_size)])

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.setting.in_bf16, cache_enabled=False)

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.trained.parameters() if parameter.requires_grad]

    def _snapshot(self, done: int) -> Snapshot:
        tensors = to_megatron(published_weights(self.base), self.base.config.pattern, self.setting.dtype)
        if self.adapted:
            tensors |= {name: tensor.to(self.setting.dtype) for name, tensor in self.adapted.tensors().items()}
        parameters = self._parameters()
        flat = {"param": torch.cat([parameter.detach().float().flatten() for parameter in parameters])}
        for name in ("exp_avg", "exp_avg_sq"):
            flat[name] = torch.cat([self.optimizer.state[parameter][name].flatten() for parameter in parameters])
        return Snapshot(done, tensors, flat)

    @torch.no_grad()
    def _resume(self) -> int:
        """Take over the newest checkpoint. Returns the steps done."""
        snapshot = self.store.newest()
        if snapshot is None:
            return 0
        log(f"Resuming from the checkpoint of step {snapshot.step}")
        if self.adapted:
            self.adapted.load(snapshot.tensors)
        first = 0
        for parameter in self._parameters():
            rows = slice(first, first + parameter.numel())
            first += parameter.numel()
            parameter.copy_(snapshot.flat["param"][rows].view_as(parameter))
            self.optimizer.state[parameter] = {
                name: snapshot.flat[name][rows].view_as(parameter).clone() for name in ("exp_avg", "exp_avg_sq")
            } | {"step": torch.tensor(float(snapshot.step))}
        self.schedule.last_epoch = snapshot.step - 1
        with warnings.catch_warnings():
            # That no step was made before, which the loaded state did.
            warnings.simplefilter("ignore")
            self.schedule.step()
        return snapshot.step

    def ask_to_stop(self, *unused: object) -> None:
        """After this step."""
        self._stop = True


def _stack(samples: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    return pad([torch.tensor(sample, dtype=torch.long) for sample in samples])
