"""The methods that train with the model, each from its start to its results."""

from __future__ import annotations

import gc
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow import provenance
from workflow.artifacts import publish, write_json
from workflow.classification.folder import Recipe, save_trained
from workflow.classification.forward import feature_data, outputs_of, pooled_features, sequence_data, softmax
from workflow.classification.methods import KEEPS_BASE, Trainable
from workflow.classification.predictions import Prediction
from workflow.classification.training import Course, Data, Training
from workflow.classification.workshop import Workshop
from workflow.config import ClassifyConfig
from workflow.console import say

#: Heads alone train on features that are there: so many times the epochs, with the same patience, cost little, and a
#: baseline that was stopped early would flatter the others.
_EPOCHS_OF_HEADS = 10
TITLES = {
    "head": "heads on the frozen model",
    "lora": "LoRA",
    "ia3": "IA³",
    "full": "all weights",
    "frozen": "later layers",
    "random": "all weights, from random ones",
}


def train_method(shop: Workshop, method: str) -> Path:
    """Train a method, or find that it is trained: the folder that holds what came of it.

    Raises
    ------
    GateError
        A loss is not finite, or a head or an adapter does not move.
    InputError
        Settings that do not fit the model.
    """
    place, work = shop.folder / method, shop.folder / f"{method}.unfinished"
    if place.exists():
        say(f"  {method}: trained before")
        return place
    work.mkdir(parents=True, exist_ok=True)
    trainable = shop.trainable(method)
    data = _data(shop, trainable)
    if method == "frozen":
        say(f"  frozen: {trainable.frozen_share:.1%} of the model's parameters keep their values, heads never do")
    config = shop.config
    if _reads_features(shop, method):
        config = replace(config, epochs=_EPOCHS_OF_HEADS * config.epochs)
    training = Training(
        trainable,
        data["train"],
        data["val"],
        shop.objective(),
        list(shop.encoding.levels),
        config=config,
        seed=shop.seed,
        folder=work,
        gates=shop.gates,
    )
    course = training.run()
    with publish(place) as out:
        shop.write(out, _prediction(shop, outputs_of(trainable.classifier, data["test"], shop.config.batch_tokens)))
        pd.DataFrame(course.history, columns=["epoch", "step", "name", "value"]).astype(
            {"epoch": float, "step": int, "value": float}
        ).to_parquet(out / "history.parquet", index=False)
        write_json(out / "method.json", _told(trainable, config, course))
        base = shop.base_file() if method in KEEPS_BASE else None
        save_trained(out / "model", _recipe(shop, trainable), shop.encoding, trainable, shop.standard, base)
    shutil.rmtree(work)
    say(
        f"  {method}: {course.epoch} epochs, {course.seconds:.0f} s, validation loss {course.best_loss:.4f} after "
        f"{course.best_epoch}, {_trained_parameters(trainable):,} parameters trained"
    )
    del trainable, training, data
    gc.collect()
    return place


def _data(shop: Workshop, trainable: Trainable) -> dict[str, Data]:
    """The examples of each split as the method reads them; heads alone read features that do not change."""
    classifier, tokens = trainable.classifier, shop.config.batch_tokens
    if not _reads_features(shop, trainable.method):
        return {split: sequence_data(classifier, examples) for split, examples in shop.examples.items()}
    return {
        split: feature_data(
            classifier, examples, pooled_features(classifier, examples, shop.features_file(split), tokens)
        )
        for split, examples in shop.examples.items()
    }


def _reads_features(shop: Workshop, method: str) -> bool:
    """Whether a method learns from pooled features that its training does not change."""
    return method == "head" and not shop.per_base


def _prediction(shop: Workshop, outputs: list[np.ndarray]) -> Prediction:
    if shop.is_regression:
        mean, deviation = shop.standard
        return Prediction(values=np.column_stack(outputs) * deviation + mean)
    return Prediction(softmax(outputs))


def _told(trainable: Trainable, config: ClassifyConfig, course: Course) -> dict[str, Any]:
    """`method.json`."""
    shifts = {part: list(of_part.values()) for part, of_part in trainable.shifts().items()}
    keys = ["epochs", "batch_size", "learning_rate", "head_learning_rate", "weight_decay", "warmup_share"]
    keys += ["early_stopping", "precision", "layer", "pooling", "class_weights", "level_weights"]
    keys += {"frozen": ["frozen_share"]}.get(trainable.method, [])
    settings = {key: getattr(config, key) for key in keys}
    if trainable.method == "lora":
        settings["lora"] = asdict(config.lora)
    return {
        "method": trainable.method,
        "title": TITLES[trainable.method],
        "family": "neural",
        "trainable_parameters": _trained_parameters(trainable),
        "total_parameters": sum(parameter.numel() for parameter in trainable.classifier.parameters()),
        "frozen_share_achieved": trainable.frozen_share,
        "epochs": course.epoch,
        "best_epoch": course.best_epoch,
        "seconds": round(course.seconds, 3),
        "head_shift": float(np.mean(shifts["heads"])),
        "adapter_shift": float(np.mean(shifts["adapters"])) if shifts["adapters"] else None,
        "settings": settings,
        "notes": [],
    }


def _recipe(shop: Workshop, trainable: Trainable) -> Recipe:
    config, backbone = shop.config, trainable.classifier.backbone
    return Recipe(
        method=trainable.method,
        task=config.task,
        layer=config.layer,
        pooling=config.pooling,
        decoding=config.decoding,
        precision=config.precision,
        max_length=shop.max_length,
        architecture=backbone.config.to_dict(),
        trained_on=shop.trained_on,
        versions=provenance.environment()["versions"],
    )


def _trained_parameters(trainable: Trainable) -> int:
    return sum(parameter.numel() for parameter in trainable.trained.values())
