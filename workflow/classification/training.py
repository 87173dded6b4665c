"""Training of a classifier, which a kill at any moment does not change: the same command ends with the same numbers.

The batches of an epoch follow from the seed and its number. The state holds what trains, the optimizer, the position
within the epoch and the random generators; it is saved at the end of each epoch, and every few minutes before.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from workflow.artifacts import recover
from workflow.classification.examples import Examples, reading_batches, training_batches
from workflow.classification.methods import Trainable
from workflow.classification.objective import Objective
from workflow.config import ClassifyConfig
from workflow.console import Progress
from workflow.gates import GateLog

_CLIP = 1.0
_POINTS_OF_AN_EPOCH = 10
_SECONDS_BETWEEN_STATES = 600.0
_SEEDS_OF_A_RUN = 1_000_003


@dataclass(frozen=True)
class Data:
    """Examples, and how the classifier comes to what its heads say of them.

    Attributes
    ----------
    examples : Examples
    tokens : ndarray, (n,) int64
        Positions of each in a forward pass.
    judge : callable
        Numbers of examples → outputs of each head.
    """

    examples: Examples
    tokens: np.ndarray
    judge: Callable[[np.ndarray], list[Tensor]]


@dataclass
class Course:
    """What a training has come to.

    Attributes
    ----------
    epoch, batch : int
        Whole epochs, and batches of the next one.
    step : int
        Optimizer steps.
    best_loss, best_epoch : float, int
        Of the validation.
    worse : int
        Epochs since.
    seconds : float
    history : list of dict
        epoch, step, name, value.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    worse: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def note(self, epoch: float, **values: float) -> None:
        """Add points to the learning curves."""
        self.history += [
            {"epoch": epoch, "step": self.step, "name": name, "value": value} for name, value in values.items()
        ]


class Training:
    """One training of one method.

    Parameters
    ----------
    trainable : Trainable
    train, validation : Data
    objective : Objective
    levels : list of str
        Names of the heads, for the learning curves.
    config : ClassifyConfig
    seed : int
    folder : Path
        Gets `state/` and `best.safetensors`; goes on from what is there.
    gates : GateLog
    """

    def __init__(
        self,
        trainable: Trainable,
        train: Data,
        validation: Data,
        objective: Objective,
        levels: list[str],
        *,
        config: ClassifyConfig,
        seed: int,
        folder: Path,
        gates: GateLog,
    ) -> None:
        self.trainable, self.train, self.validation = trainable, train, validation
        self.objective, self.levels, self.settings = objective, levels, config
        self.seed, self.folder, self.gates = seed, folder, gates
        self.course = Course()
        self.optimizer = _optimizer(trainable, config)
        self._steps_of_an_epoch = math.ceil(len(train.examples) / config.batch_size)
        self._terms = torch.zeros(len(levels), 2)
        self._began = self._saved = time.monotonic()

    def run(self) -> Course:
        """Train, or go on; the classifier ends with the weights of the best epoch.

        Raises
        ------
        GateError
            A loss is not finite, or a head or an adapter does not move.
        """
        self._restore()
        total = self._steps_of_an_epoch * self.settings.epochs
        with Progress(f"training {self.trainable.method}", total, "steps") as progress:
            progress.skip(self.course.step)
            while not self._ended:
                self._epoch(progress)
        self._load(load_file(self.folder / "best.safetensors"))
        return self.course

    @property
    def _ended(self) -> bool:
        patience = self.settings.early_stopping
        return self.course.epoch >= self.settings.epochs or (patience is not None and self.course.worse >= patience)

    def _epoch(self, progress: Progress) -> None:
        course = self.course
        batches = training_batches(self.train.tokens, self.settings.batch_size, self.seed, course.epoch)
        if course.batch == 0:
            torch.manual_seed(self.seed * _SEEDS_OF_A_RUN + course.epoch)
        self.trainable.classifier.train()
        every = max(len(batches) // _POINTS_OF_AN_EPOCH, 1)
        for numbers in batches[course.batch :]:
            self._step(numbers)
            course.batch += 1
            progress.advance(1, f"val_loss {course.best_loss:.4f}" if course.best_epoch else "")
            if course.batch % every == 0:
                self._note_training(course.epoch + course.batch / len(batches))
            if course.batch < len(batches) and time.monotonic() - self._saved >= _SECONDS_BETWEEN_STATES:
                self._save()
        course.epoch, course.batch = course.epoch + 1, 0
        self.trainable.check_movement(self.gates, course.step)
        self._validate()
        self._save()

    def _step(self, numbers: np.ndarray) -> None:
        share = self._rate(self.course.step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * share
        terms = self.objective.terms(self.train.judge(numbers), self.train.examples.target(numbers))
        self.optimizer.zero_grad()
        self.objective.combine(terms).backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(list(self.trainable.trained.values()), _CLIP)
        self.optimizer.step()
        self._terms = self._terms.to(terms.device) + terms.detach()
        self.course.step += 1

    def _rate(self, step: int) -> float:
        """Share of the learning rates for the step after `step`: linear warm-up, then linearly down to 0."""
        total = self._steps_of_an_epoch * self.settings.epochs
        warmup = round(self.settings.warmup_share * total)
        return (step + 1) / warmup if step < warmup else (total - step) / max(total - warmup, 1)

    def _note_training(self, epoch: float) -> None:
        loss = float(self.objective.combine(self._terms))
        self._check_finite(loss, "training")
        self.course.note(epoch, train_loss=loss, learning_rate=self.optimizer.param_groups[0]["lr"])
        self._terms = torch.zeros_like(self._terms)

    @torch.no_grad()
    def _validate(self) -> None:
        """Note the validation, and keep the weights where they are the best."""
        course = self.course
        loss, accuracies = self._assess()
        self._check_finite(loss, "validation")
        course.note(course.epoch, val_loss=loss, **accuracies)
        if loss < course.best_loss:
            course.best_loss, course.best_epoch, course.worse = loss, course.epoch, 0
            _write(self.folder / "best.safetensors", self.trainable.trained)
        else:
            course.worse += 1

    def _assess(self) -> tuple[float, dict[str, float]]:
        """Loss of the validation examples, and the accuracy of each level of classes."""
        self.trainable.classifier.eval()
        terms, hits = torch.zeros(len(self.levels), 2, dtype=torch.float64), np.zeros((len(self.levels), 2))
        for numbers in reading_batches(self.validation.tokens, self.settings.batch_tokens):
            outputs, target = self.validation.judge(numbers), self.validation.examples.target(numbers)
            terms += self.objective.terms(outputs, target).double().cpu()
            for level, output in enumerate(outputs):
                right = output.argmax(-1).cpu() == target[:, level]
                hits[level] += int(right.sum()), int((target[:, level] >= 0).sum())
        accuracies = {
            f"val_accuracy.{name}": float(hits[level, 0] / hits[level, 1])
            for level, name in enumerate(self.levels)
            if hits[level, 1] and not self.objective.regression
        }
        return float(self.objective.combine(terms)), accuracies

    def _check_finite(self, loss: float, kind: str) -> None:
        self.gates.check(
            "finite_loss",
            math.isfinite(loss),
            saw=f"a {kind} loss of {loss} at step {self.course.step} of {self.trainable.method}",
            limit="a finite loss",
            why="The weights are spoilt from here on: use a smaller classify.learning_rate.",
            subject=f"classify {self.trainable.method} {kind}",
        )

    # ------------------------------------------------------------ state

    def _save(self) -> None:
        from workflow.backends.embedded.state import SafeCheckpointIO  # Lightning takes seconds to import

        now = time.monotonic()
        self.course.seconds += now - self._began
        self._began = self._saved = now
        state = {
            "course": asdict(self.course),
            "terms": self._terms,
            "trained": dict(self.trainable.trained),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        }
        SafeCheckpointIO().save_checkpoint(state, self.folder / "state")

    def _restore(self) -> None:
        recover(self.folder / "state")
        if not (self.folder / "state").exists():
            return
        from workflow.backends.embedded.state import SafeCheckpointIO

        state = SafeCheckpointIO().load_checkpoint(self.folder / "state")
        self.course = Course(**state["course"])
        self._terms = state["terms"]
        self._load(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if state["random_gpu"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["random_gpu"])

    @torch.no_grad()
    def _load(self, weights: dict[str, Tensor]) -> None:
        for name, parameter in self.trainable.trained.items():
            parameter.copy_(weights[name])


def _optimizer(trainable: Trainable, config: ClassifyConfig) -> torch.optim.AdamW:
    """AdamW; heads at a rate of their own, no decay on filters, norms and biases."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in trainable.trained.items():
        head_rate = config.learning_rate if config.head_learning_rate is None else config.head_learning_rate
        rate = head_rate if name.startswith("heads.") else config.learning_rate
        decay = config.weight_decay if parameter.ndim == 2 and ".filter." not in name else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": rate, "full_rate": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]
    )


def _write(path: Path, weights: dict[str, torch.nn.Parameter]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, temporary)
    os.replace(temporary, path)
