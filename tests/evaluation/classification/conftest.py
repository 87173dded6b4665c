"""Folders of a stage `classify`, made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workflow.artifacts import write_json

#: How sure each method is of the true class, in units of the noise.
SKILLS = {"kmer": 1.0, "head": 0.5, "lora": 1.6, "full": 1.0}
TITLES = {"kmer": "k-mer counts, logistic regression", "head": "head only", "lora": "LoRA", "full": "all weights"}
FAMILIES = {"kmer": "kmer", "forest": "shallow"}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A folder like those that the stage leaves; see `make_folder`."""
    return lambda **settings: make_folder(tmp_path / "run" / "classify", **settings)


def make_folder(
    folder: Path,
    *,
    rows: int = 200,
    sizes: Sequence[int] = (2,),
    skills: dict[str, float] | None = None,
    titles: dict[str, str] | None = None,
    names: Callable[[int, int], str] = lambda level, k: f"class {level}.{k}",
    levels: Sequence[str] | None = None,
    task: str = "classification",
    groups: int = 0,
    missing: float = 0.0,
    unseen: int = 0,
    leaks: int = 0,
    probabilities: bool = True,
    seed: int = 0,
) -> Path:
    """A tree of classes, and methods that see the true scores of the leaves through noise.

    Each class has as its parent the class at its place in the level above, in proportion.
    """
    generator = np.random.default_rng(seed)
    skills = SKILLS if skills is None else skills
    levels = tuple(levels or [f"level {place}" for place in range(len(sizes))])
    named = enumerate(zip(levels, sizes, strict=True))
    classes = {level: [names(place, k) for k in range(size)] for place, (level, size) in named}
    parents = [np.arange(low) * high // low for high, low in pairwise(sizes)]
    length = 10 if task == "per_base" else 1
    ids = np.repeat([f"s{row}" for row in range(rows)], length)
    weights = 1 / np.arange(1, sizes[-1] + 1)
    leaf = generator.choice(sizes[-1], len(ids), p=weights / weights.sum())
    codes = [leaf]
    for above in parents[::-1]:
        codes.insert(0, above[codes[0]])
    truth = {}
    for level, code in zip(levels, codes, strict=True):
        column = np.array(classes[level], object)[code]
        column[generator.random(len(ids)) < missing] = None
        column[:unseen] = "never seen"
        truth[level] = column
    number = generator.normal(size=len(ids))
    for method, skill in skills.items():
        table = pd.DataFrame({"id": ids})
        if task == "per_base":
            table["position"] = np.tile(np.arange(length), rows)
        out = folder / "methods" / method
        out.mkdir(parents=True)
        scores = generator.normal(size=(len(ids), sizes[-1]))
        scores[np.arange(len(ids)), leaf] += skill * 2
        told = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        for place in range(len(levels))[::-1]:
            level = levels[place]
            if task == "regression":
                table[f"true.{level}"] = number
                table[f"predicted.{level}"] = skill * number + generator.normal(size=len(ids))
                continue
            names_here = np.array(classes[level], object)
            table[f"true.{level}"] = truth[level]
            table[f"predicted.{level}"] = names_here[told.argmax(axis=1)]
            noisy = told + generator.random(told.shape) * (0.5 if place else 0)
            table[f"independent.{level}"] = names_here[noisy.argmax(axis=1)]
            if probabilities:
                np.save(out / f"probabilities.{level}.npy", told.astype(np.float32))
            if place:
                told = np.stack([told[:, parents[place - 1] == k].sum(axis=1) for k in range(sizes[place - 1])], axis=1)
        table.to_parquet(out / "test.parquet", index=False)
        family = FAMILIES.get(method, "neural")
        details: dict[str, Any] = {"method": method, "title": (titles or TITLES).get(method, method), "family": family}
        details |= {"trainable_parameters": 12345, "total_parameters": 999999, "notes": [], "seconds": 12.0}
        if family == "neural":
            details |= {"epochs": 5, "best_epoch": 3, "head_shift": 0.12, "adapter_shift": None}
            epochs = np.arange(1, 6)
            losses = [
                {
                    "epoch": epoch,
                    "step": 10 * epoch,
                    "name": name,
                    "value": 1 / epoch + (name == "val_loss") * epoch / 20,
                }
                for epoch in epochs.tolist()
                for name in ("train_loss", "val_loss")
            ]
            pd.DataFrame(losses).astype({"epoch": float}).to_parquet(out / "history.parquet", index=False)
        write_json(out / "method.json", details)
    _write_rest(folder, levels, classes, parents, rows, groups, leaks, task, list(skills))
    return folder


def _write_rest(
    folder: Path,
    levels: Sequence[str],
    classes: dict[str, list[str]],
    parents: list[np.ndarray],
    rows: int,
    groups: int,
    leaks: int,
    task: str,
    methods: list[str],
) -> None:
    encoding = {"version": 1, "levels": levels, "classes": classes}
    parent_codes = {level: codes.tolist() for level, codes in zip(levels[1:], parents, strict=True)}
    write_json(folder / "labels.json", encoding | {"parents": parent_codes})
    about = {"task": task, "levels": levels, "methods": methods, "notes": [], "split": "stratified", "seed": 42}
    write_json(folder / "classify.json", about | {"counts": {"train": 3, "val": 0, "test": rows}})
    ids = [f"s{row}" for row in range(rows)]
    test = pd.DataFrame({"id": ids, "split": "test"})
    train = pd.DataFrame({"id": ["t0", "t1", "t2"], "split": "train"})
    split = pd.concat([test, train], ignore_index=True)
    split["group"] = None if not groups else np.arange(len(split)) % groups
    split.to_parquet(folder / "split.parquet", index=False)
    pairs = [[f"s{row}", "test", "t0", "train", True, "+"] for row in range(leaks)] + [
        ["s9", "test", "gone", "train", True, "-"],
        ["s8", "test", "s7", "test", True, "+"],
    ]
    columns = ["id_a", "split_a", "id_b", "split_b", "same_label", "strand"]
    pd.DataFrame(pairs, columns=columns).to_csv(folder / "duplicates.csv", index=False)
