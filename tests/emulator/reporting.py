"""What `train_evo2` tells while it works: lines of the log and TensorBoard events of either generation."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Protocol

from torch.utils.tensorboard import SummaryWriter

from tests.emulator.setting import log


class Report(Protocol):
    """Told of every step and every validation; steps are those done."""

    def step(self, done: int, *, loss: float, rate: float, norm: float, seconds: float) -> None:
        """A step was made."""

    def validation(self, done: int, loss: float) -> None:
        """A validation was made."""

    def end(self, done: int, validation: float, test: float | None) -> None:
        """Nothing more will come."""


class NemoReport:
    """NeMo's: steps are counted from 0."""

    def __init__(self, folder: Path | None, steps: int, global_batch: int, log_every: int) -> None:
        self._events = SummaryWriter(str(folder)) if folder else None
        self._steps, self._global_batch, self._log_every = steps, global_batch, log_every
        self._loss: float | None = None

    def step(self, done: int, *, loss: float, rate: float, norm: float, seconds: float) -> None:
        number = done - 1
        values = {
            "lr": rate,
            "global_batch_size": float(self._global_batch),
            "global_step": float(number),
            "reduced_train_loss": loss,
            "train_step_timing in s": seconds,
        }
        if number:
            values["consumed_samples"] = float(done * self._global_batch)
        if done % self._log_every:
            return
        told = values if self._loss is None else values | {"val_loss": self._loss}
        line = " | ".join(f"{name}: {_short(value)}" for name, value in told.items())
        log(f"Training epoch 0, iteration {number}/{self._steps - 1} | {line}")
        self._write(values | {"grad_norm": norm}, number)

    def validation(self, done: int, loss: float) -> None:
        log("Validation: iteration 1/1")
        self._loss = loss
        self._write({"val_loss": loss, "epoch": 0.0}, done - 1)

    def end(self, done: int, validation: float, test: float | None) -> None:
        if self._events:
            self._events.close()

    def _write(self, values: dict[str, float], number: int) -> None:
        if self._events:
            for name, value in values.items():
                self._events.add_scalar(name, value, number)
            self._events.flush()


class BridgeReport:
    """Megatron Bridge's: steps are counted from 1, and the test loss stands last under the validation's tag."""

    def __init__(self, folder: Path | None, steps: int, global_batch: int, log_every: int) -> None:
        self._events = SummaryWriter(str(folder)) if folder else None
        self._steps, self._global_batch, self._log_every = steps, global_batch, log_every

    def step(self, done: int, *, loss: float, rate: float, norm: float, seconds: float) -> None:
        if done % self._log_every:
            return
        consumed = done * self._global_batch
        bad = 0 if math.isfinite(loss) else 1
        log(
            f" [{time.strftime('%Y-%m-%d %H:%M:%S')}] iteration {done:8d}/{self._steps:8d} | consumed samples: "
            f"{consumed:12d} | elapsed time per iteration (ms): {1000 * seconds:.1f} | learning rate: {rate:.6E} | "
            f"global batch size: {self._global_batch:5d} | lm loss: {loss:.6E} | loss scale: 1.0 | grad norm: "
            f"{norm:.3f} | number of skipped iterations:   0 | number of nan iterations: {bad:3d} |"
        )
        values = {"learning-rate": rate, "batch-size": self._global_batch, "lm loss": loss, "grad-norm": norm}
        values["iteration-time"] = seconds
        for name, value in values.items():
            self._write(name, value, done)
            if name != "iteration-time":
                self._write(f"{name} vs samples", value, consumed)

    def validation(self, done: int, loss: float) -> None:
        self._told(f"iteration {done}", done, loss)

    def end(self, done: int, validation: float, test: float | None) -> None:
        self._told(f"iteration {done} on validation set", done, validation)
        if test is not None:
            self._told(f"iteration {done} on test set", done, test)
        if self._events:
            self._events.close()

    def _told(self, where: str, done: int, loss: float) -> None:
        perplexity = math.exp(min(20.0, loss))
        line = f" validation loss at {where} | lm loss value: {loss:.6E} | lm loss PPL: {perplexity:.6E} | "
        rule = "-" * (len(line) + 1)
        log(f"{rule}\n{line}\n{rule}")
        for suffix, value in (("", loss), (" ppl", perplexity)):
            self._write(f"lm loss validation{suffix}", value, done)
            self._write(f"lm loss validation{suffix} vs samples", value, done * self._global_batch)

    def _write(self, name: str, value: float, place: int) -> None:
        if self._events:
            self._events.add_scalar(name, value, place)
            self._events.flush()


def _short(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value.is_integer() else f"{value:.4}"
