"""What the methods that are compared have in common: data, targets, the model, and where their work is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workflow.backends.base import ModelFiles
from workflow.classification.backbone import is_published_file, load_backbone, weights_file
from workflow.classification.examples import Examples
from workflow.classification.forward import fix_standard
from workflow.classification.methods import Trainable, make_trainable
from workflow.classification.objective import Objective
from workflow.classification.predictions import Prediction
from workflow.classification.results import write_prediction
from workflow.config import ClassifyConfig
from workflow.gates import GateLog
from workflow.labels import LabelEncoding, LabelledSet, class_weights
from workflow.labels.labelled_set import SPLITS
from workflow.labels.reading import encode
from workflow.striped_hyena import save_checkpoint


@dataclass
class Workshop:
    """What the methods have in common.

    Attributes
    ----------
    data : LabelledSet
    model : ModelFiles
        What is built on.
    config : ClassifyConfig
    max_length : int
        Most bases that are read at once.
    checkpointing : bool
        Whether activations are computed again in the backward pass.
    seed : int
    folder : Path
        Where unfinished work is kept.
    device : torch.device
    gates : GateLog
    trained_on : dict
        Told in the model folders.
    """

    data: LabelledSet
    model: ModelFiles
    config: ClassifyConfig
    max_length: int
    checkpointing: bool
    seed: int
    folder: Path
    device: torch.device
    gates: GateLog
    trained_on: dict[str, Any] = field(default_factory=dict)

    @property
    def is_regression(self) -> bool:
        """Whether numbers are learnt, not classes."""
        return self.config.task == "regression"

    @property
    def per_base(self) -> bool:
        """Whether each base has a label."""
        return self.config.task == "per_base"

    @cached_property
    def encoding(self) -> LabelEncoding:
        """Classes of the labels of training; of a regression the levels are the columns, without classes."""
        if self.is_regression:
            columns = tuple(map(str, self.data.labels.columns))
            return LabelEncoding(columns, dict.fromkeys(columns, ()), dict.fromkeys(columns[1:], ()))
        return encode(self.data, self.config.task)

    @cached_property
    def standard(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the numbers of training, (levels,) each; 0 and 1 of classes."""
        levels = len(self.encoding.levels)
        if not self.is_regression:
            return np.zeros(levels), np.ones(levels)
        numbers = self.data.labels.to_numpy(np.float64)[self.data.of("train")]
        deviation = np.nanstd(numbers, axis=0)
        return np.nanmean(numbers, axis=0), np.where(deviation > 0, deviation, 1.0)

    @cached_property
    def targets(self) -> list[np.ndarray]:
        """What is learnt of each sequence, see `Examples`."""
        if self.is_regression:
            mean, deviation = self.standard
            return list((self.data.labels.to_numpy(np.float64) - mean) / deviation)
        if self.per_base:
            return list(self.encoding.encode_by_base(self.data.labels))
        return list(self.encoding.encode(self.data.labels))

    @cached_property
    def examples(self) -> dict[str, Examples]:
        """The examples of each split."""
        everything = Examples.of(self.data.sequences, self.targets, self.max_length, per_base=self.per_base)
        return {split: everything.chosen(self.data.split == split) for split in SPLITS}

    def features_file(self, split: str) -> Path:
        """Pooled features of a split by the model as it is, (n, width) float32: `head` leaves them there."""
        return self.folder / f"features.{split}.npy"

    def trainable(self, method: str) -> Trainable:
        """A new classifier for a method, on the device."""
        outputs = [1] * len(self.encoding.levels) if self.is_regression else self.encoding.sizes()
        backbone = load_backbone(self.model, self.config.layer)
        backbone.activation_checkpointing = self.checkpointing
        trainable = make_trainable(method, backbone, outputs, self.config, self.seed)
        trainable.classifier.to(self.device)
        fix_standard(trainable.classifier, self.examples["train"], self.config.batch_tokens, self.seed)
        return trainable

    def labels(self, split: str) -> np.ndarray:
        """Classes of the sequences, or bases, of a split, (n, levels) int64, −1 where unknown; or numbers, float64."""
        places = self.data.of(split)
        if self.is_regression:
            return self.data.labels.iloc[places].to_numpy(np.float64)
        stack = np.concatenate if self.per_base else np.stack
        labels: np.ndarray = stack([self.targets[place] for place in places])
        return labels

    def objective(self) -> Objective:
        """What training minimises."""
        weights = None
        if self.config.class_weights and not self.is_regression:
            columns = zip(self.labels("train").T, self.encoding.sizes(), strict=True)
            weights = [torch.from_numpy(class_weights(codes, classes)) for codes, classes in columns]
        level_weights = self.config.level_weights or [1.0] * len(self.encoding.levels)
        return Objective(level_weights, weights, regression=self.is_regression)

    def write(self, folder: Path, prediction: Prediction) -> None:
        """Write what a method says of the test."""
        test, config = self.data.take(self.data.of("test")), self.config
        write_prediction(folder, test, self.encoding, prediction, task=config.task, decoding=config.decoding)

    def base_file(self) -> Path:
        """A file that holds the backbone before any training of this stage."""
        if is_published_file(self.model, self.config.layer):
            return weights_file(self.model)
        path = self.folder / "backbone.safetensors"
        if not path.exists():
            save_checkpoint(load_backbone(self.model, self.config.layer), path)
        return path
