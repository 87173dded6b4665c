"""Progress of training, read off the lines that NVIDIA's tools print."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import TracebackType

from workflow.console import Progress

_NEMO = re.compile(r"Training epoch \d+, iteration (\d+)/(\d+|inf)")
_MEGATRON = re.compile(r"\biteration\s+(\d+)/\s*(\d+) \|")
_VALIDATION = re.compile(r"validation loss at iteration (\d+)(?: on (validation|test) set)? \|")
_VALUE = re.compile(r"\|\s*([^|:]+?)\s*:\s+([^|\s]+)")


@dataclass(frozen=True)
class StepLine:
    """What one line of a training log tells; None where it is silent.

    Attributes
    ----------
    step : int
        Optimizer steps done so far, counted from 1 for both generations of tools.
    total : int, optional
        Steps of the whole training.
    loss, grad_norm, learning_rate : float, optional
        Of this step, or the mean over the steps since the last line. NaN when the tool tells of it.
    seconds_per_step : float, optional
        Duration of a step.
    consumed_samples : int, optional
        Training samples seen so far.
    validation_loss : float, optional
        NeMo repeats its latest one in every line; Megatron Bridge gives each a line of its own.
    test_loss : float, optional
        Loss over the test split, which Megatron Bridge adds at the end under nearly the same words.
    nan_steps, skipped_steps : int
        Steps since the last line whose loss was not finite, or which changed nothing.
    """

    step: int
    total: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    seconds_per_step: float | None = None
    consumed_samples: int | None = None
    validation_loss: float | None = None
    test_loss: float | None = None
    grad_norm: float | None = None
    nan_steps: int = 0
    skipped_steps: int = 0

    @property
    def is_training(self) -> bool:
        """Whether the line tells of a training step, not of a validation."""
        return self.total is not None or self.loss is not None


def parse_step(line: str) -> StepLine | None:
    """What a line of a training log tells, or None when it tells of something else."""
    if match := _NEMO.search(line):
        return _nemo(match, _values(line))
    if match := _MEGATRON.search(line):
        return _megatron(match, _values(line))
    if match := _VALIDATION.search(line):
        step, loss = int(match[1]), _values(line).get("lm loss value")
        return StepLine(step, test_loss=loss) if match[2] == "test" else StepLine(step, validation_loss=loss)
    return None


def _nemo(match: re.Match[str], values: dict[str, float]) -> StepLine:
    # The tool counts from 0, and within an epoch.
    step = int(values.get("global_step", int(match[1]))) + 1
    return StepLine(
        step=step,
        total=None if match[2] == "inf" else int(match[2]) + 1,
        loss=values.get("reduced_train_loss"),
        learning_rate=values.get("lr"),
        seconds_per_step=values.get("train_step_timing in s"),
        consumed_samples=_whole(values.get("consumed_samples")),
        validation_loss=values.get("val_loss"),
        grad_norm=values.get("grad_norm"),
        nan_steps=int(not math.isfinite(values.get("reduced_train_loss", 0.0))),
    )


def _megatron(match: re.Match[str], values: dict[str, float]) -> StepLine:
    nan_steps = int(values.get("number of nan iterations", 0))
    milliseconds = values.get("elapsed time per iteration (ms)")
    return StepLine(
        step=int(match[1]),
        total=int(match[2]),
        # A loss that is not above zero is left out of the line, and NaN is not.
        loss=values.get("lm loss", math.nan if nan_steps else None),
        learning_rate=values.get("learning rate"),
        seconds_per_step=None if milliseconds is None else milliseconds / 1000,
        consumed_samples=_whole(values.get("consumed samples")),
        grad_norm=values.get("grad norm"),
        nan_steps=nan_steps,
        skipped_steps=int(values.get("number of skipped iterations", 0)),
    )


def _values(line: str) -> dict[str, float]:
    """The `name: number` pairs of a line, by name."""
    values = {}
    for name, text in _VALUE.findall(line):
        try:
            values[name] = float(text)
        except ValueError:
            continue
    return values


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and math.isfinite(value) else None


class TrainingProgress:
    """Shows step, loss, learning rate, speed and the time left while a tool trains.

    Feed it with every line of the tool's log. Use as a context manager.

    Parameters
    ----------
    tokens_per_step : int, optional
        Bases that all GPUs together see in a step, for the speed.
    label : str
        What is being done.
    """

    def __init__(self, tokens_per_step: int | None = None, label: str = "training") -> None:
        self.tokens_per_step, self.label = tokens_per_step, label
        self.validation_loss: float | None = None
        self._shown: Progress | None = None

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._shown is not None:
            self._shown.close()

    def feed(self, line: str) -> StepLine | None:
        """Show what a line tells, and return it."""
        told = parse_step(line)
        if told is None:
            return None
        if told.validation_loss is not None:
            self.validation_loss = told.validation_loss
        if told.is_training:
            self._show(told)
        return told

    def _show(self, told: StepLine) -> None:
        if self._shown is None:
            # Not earlier: loading the model would be taken for slow steps. The first step compiles, and a
            # training that goes on begins in the middle.
            self._shown = Progress(self.label, told.total, "steps")
            self._shown.skip(told.step)
            return
        # Both generations may tell a step again after a restart within the same run.
        self._shown.advance(max(0, told.step - self._shown.done), self._note(told))

    def _note(self, told: StepLine) -> str:
        parts = [
            _part("loss", told.loss, ".4f"),
            _part("validation", self.validation_loss, ".4f"),
            _part("lr", told.learning_rate, ".2e"),
        ]
        if self.tokens_per_step and told.seconds_per_step:
            parts.append(f"{self.tokens_per_step / told.seconds_per_step:,.0f} bases/s")
        return ", ".join(part for part in parts if part)


def _part(name: str, value: float | None, style: str) -> str:
    return "" if value is None else f"{name} {value:{style}}"
