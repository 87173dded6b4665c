"""A small model, and sequences that can be told apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from workflow.backends.base import ModelFiles
from workflow.classification.workshop import Workshop
from workflow.config import ClassifyConfig, LoraConfig
from workflow.gates import GateLog
from workflow.labels import LabelledSet
from workflow.striped_hyena import ModelConfig, StripedHyena2, save_checkpoint

TINY = ModelConfig("SDH*", width=16, heads=2, mlp_width=24, filter_groups=4)
Open = Callable[..., Workshop]


def dna(length: int, seed: int, weights: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)) -> bytes:
    return bytes(np.random.default_rng(seed).choice(list(b"ACGT"), length, p=weights).tolist())


def model(seed: int = 1) -> StripedHyena2:
    torch.manual_seed(seed)
    return StripedHyena2(TINY)


def sequences(count: int, task: str = "classification") -> LabelledSet:
    """Rich in A, C or G: three species of two kingdoms; a number; or each base's label, whether a G follows."""
    kinds = np.arange(count) % 3
    rich = np.full((3, 4), 0.1) + 0.6 * np.eye(3, 4)
    texts = [dna(30 + 7 * (number % 4), number, tuple(rich[kind])) for number, kind in enumerate(kinds)]
    labels: dict[str, Any] = {
        "classification": {
            "kingdom": np.array(["one", "one", "two"], object)[kinds],
            "species": np.array(["a", "b", "c"], object)[kinds],
        },
        "regression": {"activity": 3 + 2.0 * kinds},
        "per_base": {"next": ["".join("yn"[base != ord("G")] for base in text[1:]) + "." for text in texts]},
    }[task]
    return LabelledSet(
        ids=[f"s{number}" for number in range(count)],
        sequences=texts,
        labels=pd.DataFrame(labels),
        split=np.array(["train", "train", "train", "val", "test"])[np.arange(count) // 3 % 5],
        group=None,
        rows=np.arange(count) + 2,
    )


@pytest.fixture
def workshop(tmp_path: Path) -> Open:
    """Opens a workshop on the small model, 45 sequences, quick settings."""
    base = tmp_path / "base"
    base.mkdir()
    save_checkpoint(model(), base / "model.safetensors")

    def opened(task: str = "classification", **settings: object) -> Workshop:
        data = sequences(45, task)
        quick = {
            "table": "made.csv",
            "labels": list(data.labels),
            "task": task,
            "epochs": 2,
            "batch_size": 4,
            "learning_rate": 1e-3,
            "head_learning_rate": 1e-2,
            "lora": LoraConfig(rank=2, alpha=4, dropout=0.1),
        }
        config = ClassifyConfig(**(quick | settings))  # type: ignore[arg-type]
        return Workshop(
            data=data,
            model=ModelFiles("base", base),
            config=config,
            max_length=config.max_length or 64,
            checkpointing=False,
            seed=3,
            folder=tmp_path / "state",
            device=torch.device("cpu"),
            gates=GateLog(),
            trained_on={"run": "made"},
        )

    return opened
