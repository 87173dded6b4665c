"""Made-up runs, with the manifests and metrics that stages publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from workflow.artifacts import fingerprint, write_json

DAY = "2026-05-0{day}T10:00:00+00:00"
STAGES = ("prepare", "convert", "train", "predict", "evaluate")


def config_of(genome: str = "rice", *, rate: float = 1e-3, **others: Any) -> dict[str, Any]:
    """A resolved configuration, as far as the registry reads it."""
    return {
        "genome": {"name": genome},
        "windows": {"length": 1024},
        "model": {"name": "tiny", "checkpoint": "data/tiny/model.safetensors"},
        "backend": {"name": "local"},
        "train": {"method": "lora", "learning_rate": rate, "lora": {"rank": 8}},
        "predict": {"windows": "tiling", "split": "test"},
        "seed": 42,
        "stage": "all",
        "run_name": "any",
        "runs_folder": "runs",
    } | others


def manifest(stage: str, config: dict[str, Any], *, day: int = 1, **others: Any) -> dict[str, Any]:
    """The manifest of a stage."""
    read = {"prepare": ("genome", "seed"), "train": ("train", "seed"), "predict": ("predict",)}
    settings = {key: config[key] for key in read.get(stage, ())}
    if stage == "predict":
        settings["windows.length"] = config["windows"]["length"]
    prepared = fingerprint([config["genome"], config["seed"]])
    return {
        "stage": stage,
        "status": "done",
        "fingerprint": prepared if stage == "prepare" else fingerprint([stage, config]),
        "identity": {"config": settings, "files": [], "stages": {} if stage == "prepare" else {"prepare": prepared}},
        "config": config,
        "outputs": [{"path": "data.bin", "bytes": 1000}],
        "counts": {"first_validation_loss": 1.33, "best_validation_loss": 1.30} if stage == "train" else {},
        "gates": [{"name": "split_fractions", "passed": stage != "prepare", "saw": "", "limit": "", "why": ""}],
        "timings": {"started": DAY.format(day=day), "seconds": 90.5},
    } | others


def metrics(gain: float = 0.05) -> dict[str, Any]:
    """What an evaluation found."""
    nll = {"base": 1.30, "adapted": 1.30 - gain, "markov": 1.31}
    pairs = (("adapted", "base", gain), ("adapted", "markov", gain + 0.01))
    change = {"estimate": 0.01, "low": 0.0, "high": 0.02}
    return {
        "verdict": {"outcome": "better", "headline": "The adapted model is better."},
        "bases": 1000,
        "models": [{"model": name, "repeats": "all bases", "nll": value} for name, value in nll.items()],
        "differences": [
            {"model": m, "reference": r, "repeats": "all bases", "gain": g, "gain_low": g - 0.01, "gain_high": g + 0.01}
            for m, r, g in pairs
        ],
        "forgetting": {"changes": {"Homo sapiens": change | {"estimate": None}, "phage": change}},
    }


def make_run(
    runs: Path, name: str, config: dict[str, Any] | None = None, *, stages: tuple[str, ...] = STAGES, **others: Any
) -> Path:
    """A run with these stages published; further arguments as for `manifest`, and `gain`."""
    run, gain = runs / name, others.pop("gain", 0.05)
    for stage in stages:
        (run / stage).mkdir(parents=True)
        (run / stage / "data.bin").write_bytes(bytes(1000))
        write_json(run / stage / "manifest.json", manifest(stage, config or config_of(), **others))
    if "evaluate" in stages:
        write_json(run / "evaluate" / "metrics.json", metrics(gain))
    return run


def make_study(runs: Path, values: list[tuple[str, float]], direction: str = "minimize") -> Path:
    """A study whose trials have these states and values, with weights and a stream each."""
    study, rows = runs / "search", []
    for number, (state, value) in enumerate(values):
        run = make_run(study / "trials", f"{number:04d}", config_of(rate=10.0**-number), stages=("train",))
        for name in ("best/adapter.safetensors", "state/tensors.safetensors", "stream.jsonl", "in_place.json"):
            path = run / "train" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b'{"fingerprint": "a"}' if name == "in_place.json" else bytes(500))
        rows.append((number, state, f"trials/{number:04d}", value))
    write_json(study / "study.json", {"name": "search", "objectives": [{"name": "val_loss", "direction": direction}]})
    table = pd.DataFrame(rows, columns=["number", "state", "run", "value.val_loss"])
    table.to_parquet(study / "trials.parquet", index=False)
    return study


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder of runs."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder
