"""A small prepared genome, and generations of made-up models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.baselines.markov import MarkovModel, fit_prepared
from evaluation.generation.intervals import Resampling
from evaluation.generation.samples import Samples

TRAIN, VAL, TEST = (0, 12_000), (12_000, 16_000), (16_000, 24_000)


def random_dna(length: int, seed: int, shares: tuple[float, ...] = (0.35, 0.15, 0.15, 0.35)) -> str:
    letters = np.frombuffer(b"ACGT", np.uint8)
    return letters[np.random.default_rng(seed).choice(4, length, p=shares)].tobytes().decode()


def write_genome(folder: Path, records: dict[str, str], regions: list[tuple[str, int, int, str]]) -> Path:
    """Genome and split as the stage `prepare` writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    text, index = "", []
    for name, bases in records.items():
        text += f">{name}\n"
        index.append(f"{name}\t{len(bases)}\t{len(text)}\t{len(bases)}\t{len(bases) + 1}\n")
        text += f"{bases}\n"
    (folder / "genome.fa").write_text(text)
    (folder / "genome.fa.fai").write_text("".join(index))
    pd.DataFrame(regions, columns=["seqid", "start", "end", "split"]).to_parquet(folder / "split.parquet")
    return folder


@pytest.fixture(scope="session")
def genome() -> str:
    return random_dna(24_000, seed=1)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, genome: str) -> Path:
    """One record; its train part has no annotation."""
    regions = [("chr", *TRAIN, "train"), ("chr", *VAL, "val"), ("chr", *TEST, "test")]
    folder = write_genome(tmp_path_factory.mktemp("prepared"), {"chr": genome}, regions)
    columns = ["seqid", "type", "strand", "id", "parent", "exception"]
    table = pd.DataFrame({name: pd.Series([], dtype=object) for name in columns})
    table.assign(start=0, end=0, phase=0, transl_table=1).to_parquet(folder / "annotation.parquet")
    return folder


@pytest.fixture(scope="session")
def markov(prepared: Path) -> MarkovModel:
    return fit_prepared(prepared, 4)


@pytest.fixture
def resampling() -> Resampling:
    return Resampling(samples=300, confidence=0.95, seed=5)


@pytest.fixture
def make_generations(genome: str) -> Callable[..., pd.DataFrame]:
    """Rows of `generations.parquet`; `write` gives the sequence of a model, prompt and sample."""

    def make(
        write: Callable[[str, int, int], str],
        prompts: int = 4,
        samples: int = 3,
        models: tuple[str, ...] = ("base", "adapted"),
    ) -> pd.DataFrame:
        rows = []
        for model in models:
            for prompt in range(prompts):
                start = TEST[0] + 800 * prompt
                for sample in range(samples):
                    row = {
                        "prompt_id": f"chr:{start}-{start + 100}",
                        "kind": "window",
                        "model": model,
                        "sample": sample,
                        "prompt": genome[start : start + 100],
                        "sequence": write(model, prompt, sample),
                        "truth": genome[start + 100 : start + 400],
                        "first_logprob": np.nan,
                    }
                    rows.append(row)
        return pd.DataFrame(rows)

    return make


@pytest.fixture
def make_samples() -> Callable[..., Samples]:
    """Samples from sequences by group and prompt: `{"base": [["ACG", "ACC"], ["TTT"]]}`."""

    def make(groups: dict[str, list[list[str]]], logprobs: dict[str, list[list[float]]] | None = None) -> Samples:
        rows = [
            (
                group,
                f"p{prompt}",
                sample,
                sequence,
                (logprobs or {}).get(group, {})[prompt][sample] if logprobs else np.nan,
            )
            for group, prompts in groups.items()
            for prompt, sequences in enumerate(prompts)
            for sample, sequence in enumerate(sequences)
        ]
        table = pd.DataFrame(rows, columns=["group", "prompt_id", "sample", "sequence", "first_logprob"])
        background = [random_dna(200, seed) for seed in range(60)]
        return Samples(table, background)

    return make
