"""A synthetic run folder with planted truths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workflow.artifacts import PerBaseWriter, write_json
from workflow.config import (
    BackendConfig,
    Config,
    EvaluationConfig,
    GenomeConfig,
    ModelConfig,
    TrainConfig,
    WindowsConfig,
)

LETTERS = np.frombuffer(b"ACGT", np.uint8)
_COUNTS = {
    "prepare": {"split_by": "block, 3 groups", "share_of_kmers_also_in_train": {"val": 0.0, "test": 0.012}},
    "train": {"share_of_train_bases_covered": 0.98, "best_step": 175, "median_sample_length": 300},
}
_READS = {
    "prepare": (),
    "preprocess": ("prepare",),
    "convert": (),
    "train": ("preprocess", "convert"),
    "predict": ("prepare", "convert", "train"),
    "infer": ("prepare", "convert", "train"),
}
#: From codes (n,) and window numbers (n,) to log-probabilities (n, 4).
Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]


def uniform(codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    return np.full((len(codes), 4), np.log(0.25))


def certain(codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Right about every base, with almost all of the probability."""
    return confident(1 - 1e-4)(codes, windows)


def confident(probability: float) -> Predictor:
    """The same probability for every observed base, the rest shared by the others."""

    def predict(codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        logprobs = np.full((len(codes), 4), np.log((1 - probability) / 3))
        logprobs[np.arange(len(codes)), codes] = np.log(probability)
        return logprobs

    return predict


def noisy(nll: float, seed: int, spread: float = 0.2) -> Predictor:
    """Observed bases have this mean NLL; windows differ, and bases within them."""

    def predict(codes: np.ndarray, windows: np.ndarray) -> np.ndarray:
        shared = np.random.default_rng(0).normal(0, spread, windows.max() + 1)
        own = np.random.default_rng(seed).normal(0, 0.02, windows.max() + 1)
        base = np.random.default_rng(1).normal(0, 0.3, len(codes))
        observed = -np.clip(nll + shared[windows] + own[windows] + base, 0.02, 6)
        logprobs = np.repeat(np.log((1 - np.exp(observed)) / 3)[:, None], 4, axis=1)
        logprobs[np.arange(len(codes)), codes] = observed
        return logprobs

    return predict


def random_genome(length: int, seed: int = 7) -> np.ndarray:
    """ASCII bases; the next base depends on the one before it."""
    generator = np.random.default_rng(seed)
    follows = generator.dirichlet(np.full(4, 1.5), 4).cumsum(axis=1)
    draws = generator.random(length)
    codes = np.zeros(length, np.uint8)
    for place in range(1, length):
        codes[place] = np.searchsorted(follows[codes[place - 1]], draws[place])
    return LETTERS[np.minimum(codes, 3)]


def build_run(
    folder: Path,
    base: Predictor | None = uniform,
    adapted: Predictor | None = None,
    *,
    windows: int = 24,
    length: int = 200,
    trained: bool = True,
    generated: bool = True,
    gates: tuple[dict[str, object], ...] = (),
    name: str = "toy",
    seqid: str = "toy",
    split: str = "test",
    method: str = "lora",
    evaluation: EvaluationConfig | None = None,
) -> Path:
    """Write a run folder as the stages before `evaluate` publish it."""
    genome = random_genome(20_000 + windows * length)
    genome[:2000] |= 0x20
    scored = genome[20_000:]
    config = Config(
        genome=GenomeConfig(name=name, fasta="data/demo/turtle.fa.gz", organism="Testudo exempli"),
        windows=WindowsConfig(length=length),
        model=ModelConfig(name="tiny", architecture="tiny", checkpoint="data/tiny.safetensors", context_length=1024),
        backend=BackendConfig(name="local"),
        train=TrainConfig(method=method, context_length=512, steps=200, learning_rate=1e-3),
        evaluation=evaluation or EvaluationConfig(bootstrap_samples=500, markov_max_order=4),
        run_name=f"{name}-tiny-lora",
    )
    config.predict.split = split
    _write_prepare(folder / "prepare", genome, windows, length)
    _write_preprocess(folder / "preprocess", name, genome)
    (folder / "convert").mkdir()
    (folder / "predict").mkdir()
    index = pd.DataFrame(
        {
            "sequence_id": [f"{seqid}:{20_000 + length * r}-{20_000 + length * (r + 1)}(+)" for r in range(windows)],
            "seqid": seqid,
            "start": 20_000 + length * np.arange(windows),
            "end": 20_000 + length * np.arange(1, windows + 1),
            "strand": "+",
        }
    )
    for model, predictor in (("base", base), ("adapted", adapted)):
        if predictor is not None:
            write_predictions(folder / "predict" / model, index, scored, predictor)
    stages = ["prepare", "preprocess", "convert", "predict"]
    if trained:
        (folder / "train").mkdir()
        _metrics().to_parquet(folder / "train" / "metrics.parquet", index=False)
        stages.append("train")
    if generated:
        (folder / "infer").mkdir()
        models = [model for model, predictor in (("base", base), ("adapted", adapted)) if predictor]
        _generations(scored, models).to_parquet(folder / "infer" / "generations.parquet", index=False)
        stages.append("infer")
    for stage in stages:
        write_json(
            folder / stage / "manifest.json",
            {
                "stage": stage,
                "status": "done",
                "run_name": config.run_name,
                "fingerprint": _fingerprint(stage),
                "identity": {"stages": {name: _fingerprint(name) for name in _READS[stage] if name in stages}},
                "config": asdict(config),
                "counts": _COUNTS.get(stage, {}),
                "gates": [dict(gate) for gate in gates] if stage == "predict" else [],
                "timings": {"started": "2030-01-01T12:00:00+00:00", "seconds": 75.0},
                "versions": {"python": "3.12.0", "torch": "2.13.0"},
                "host": {"system": "Linux", "machine": "x86_64", "cores": 2},
                "accelerator": "cpu",
                "commands": [],
            },
        )
    return folder


def _fingerprint(stage: str) -> str:
    return f"fingerprint of {stage}"


def write_predictions(folder: Path, index: pd.DataFrame, bases: np.ndarray, predictor: Predictor) -> None:
    """Per-base predictions; like a model without a begin token, none for the first base of a window."""
    folder.mkdir(parents=True)
    codes = np.searchsorted(LETTERS, np.where(np.isin(bases & 0xDF, LETTERS), bases & 0xDF, ord("A")))
    lengths = (index["end"] - index["start"]).to_numpy()
    logprobs = predictor(codes, np.repeat(np.arange(len(index)), lengths))
    writer = PerBaseWriter(folder, index)
    rows = []
    for row, (offset, length) in enumerate(zip(np.cumsum(lengths) - lengths, lengths, strict=True)):
        part = logprobs[offset : offset + length].copy()
        part[0] = np.nan
        writer.write(row, part, bases[offset : offset + length])
        observed = part[np.arange(length), codes[offset : offset + length]]
        rows.append((index["sequence_id"][row], length - 1, np.nansum(observed), np.nanmean(observed), 1e-4))
    writer.close()
    table = pd.DataFrame(rows, columns=["sequence_id", "n", "sum", "mean", "outside_acgt"])
    table.to_parquet(folder / "scores.parquet", index=False)


def _write_prepare(folder: Path, genome: np.ndarray, windows: int, length: int) -> None:
    folder.mkdir(parents=True)
    header = b">chr1\n"
    (folder / "genome.fa").write_bytes(header + genome.tobytes() + b"\n")
    (folder / "genome.fa.fai").write_text(f"chr1\t{len(genome)}\t{len(header)}\t{len(genome)}\t{len(genome) + 1}\n")
    write_json(
        folder / "accounting.json",
        {
            "total_bases": len(genome),
            "kept": {"train": 15_000, "val": 4_000, "test": windows * length},
            "dropped": {"purge_gap": 1_000, "n_run": 0},
            "windows": {"test": windows},
        },
    )


def _write_preprocess(folder: Path, name: str, genome: np.ndarray) -> None:
    folder.mkdir()
    for split, part in (("train", genome[:15_000]), ("val", genome[16_000:20_000]), ("test", genome[20_000:])):
        (folder / f"{name}_byte-level_{split}.bin").write_bytes(part.tobytes() + b"\0")


def _metrics() -> pd.DataFrame:
    rows = []
    for step in range(1, 201):
        rows.append((step, step * 4096, "train_loss", 1.2 + 0.2 * np.exp(-step / 60) + 0.03 * np.sin(step * 1.7)))
        if step % 25 == 0:
            rows.append((step, step * 4096, "val_loss", 1.22 + 0.18 * np.exp(-step / 60)))
            rows.append((step, step * 4096, "val_loss_nonrepeat", 1.2 + 0.18 * np.exp(-step / 60)))
    return pd.DataFrame(rows, columns=["step", "bases_seen", "name", "value"])


def _generations(scored: np.ndarray, models: list[str]) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    rows = []
    for model in models:
        weights = [0.25] * 4 if model == "base" else [0.3, 0.2, 0.2, 0.3]
        for prompt in range(4):
            start = prompt * 400 % max(len(scored) - 400, 1)
            for sample in range(3):
                size = 300 if sample else 280
                sequence = LETTERS[generator.choice(4, size, p=weights)].tobytes().decode()
                truth = scored[start + 100 : start + 400].tobytes().decode() if prompt < 3 else None
                prompt_text = scored[start : start + 100].tobytes().decode()
                rows.append((f"p{prompt}", model, sample, prompt_text, sequence, truth, -400.0, -1.33, prompt))
    columns = ["prompt_id", "model", "sample", "prompt", "sequence", "truth", "logprob_sum", "logprob_mean", "seed"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="session")
def improved_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapted model explains 0.05 nats per base more than the base model."""
    return build_run(tmp_path_factory.mktemp("improved"), noisy(1.25, seed=11), noisy(1.20, seed=12))


@pytest.fixture
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a run folder with the options of `build_run`."""

    def make(**options: Any) -> Path:
        return build_run(tmp_path_factory.mktemp("run"), **options)

    return make


@pytest.fixture
def predictors() -> dict[str, Predictor]:
    """Models with a known answer."""
    return {"uniform": uniform, "certain": certain, "confident": confident(0.4), "noisy": noisy(1.2, seed=4)}
