"""What the stage `elements` publishes, with planted truths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.baselines.markov import MarkovModel, fit
from workflow.artifacts import write_json

Publish = Callable[..., Path]
LETTERS = list("ACGT")


@pytest.fixture(scope="session")
def markov() -> MarkovModel:
    """A Markov model of a sequence in which the next base depends on the one before it."""
    generator = np.random.default_rng(1)
    follows = generator.dirichlet(np.full(4, 1.0), 4)
    codes = [0]
    for _ in range(6000):
        codes.append(int(generator.choice(4, p=follows[codes[-1]])))
    bases = np.frombuffer("".join("ACGT"[code] for code in codes).encode(), np.uint8)
    return fit([bases[:4000]], [bases[4000:]], 3)


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Write a folder; elements score `shift[model]` nats per base more than their controls."""

    def make(
        elements: int, shift: dict[str, float], *, shuffles: int = 1, longest: int = 60, seed: int = 0, region: int = 0
    ) -> Path:
        generator = np.random.default_rng(seed)
        folder = tmp_path / "elements"
        folder.mkdir()
        lengths = generator.integers(min(40, longest), longest + 1, elements)
        parts = []
        for name, copies in (("element", 1), ("background", 1), ("shuffled", shuffles)):
            pair = np.tile(np.arange(elements), copies)
            sequences = ["".join(generator.choice(LETTERS, length)) for length in lengths[pair]]
            part = pd.DataFrame({"element_id": [f"{name}{row}" for row in range(len(pair))], "set": name, "pair": pair})
            part = part.assign(seqid="chr$1", start=1000 * pair, end=1000 * pair + lengths[pair], strand="+")
            part["length"] = lengths[pair]
            part["gc"] = [np.mean([letter in "GC" for letter in sequence]) for sequence in sequences]
            part["soft_masked"] = np.nan if name == "shuffled" else generator.random(len(pair))
            for model, gain in shift.items():
                part[f"score_{model}"] = generator.normal(-1.3 + gain * (name == "element"), 0.1, len(pair))
            parts.append(
                part.assign(in_promoter=name == "background" and elements == 3, n=lengths[pair], sequence=sequences)
            )
        pd.concat(parts, ignore_index=True).to_parquet(folder / "elements.parquet", index=False)
        if region:
            write_region(folder / "region", region, tuple(shift), generator)
        return folder

    return make


def write_region(folder: Path, mutated: int, models: tuple[str, ...], generator: np.random.Generator) -> None:
    """A region of 40 bases more than are mutated, with an N in its middle."""
    folder.mkdir()
    length, first = mutated + 40, 20
    letters = generator.choice(LETTERS, length)
    letters[length // 2] = "N"
    mutants = pd.DataFrame(
        [
            (5000 + place, letters[place], alt)
            for place in range(first, first + mutated)
            for alt in LETTERS
            if letters[place] != "N" and alt != letters[place]
        ],
        columns=["position", "ref", "alt"],
    )
    for number, model in enumerate(models):
        mutants[f"delta_{model}"] = generator.normal(-0.1, 0.05, len(mutants)) - number
        np.save(folder / f"logprobs_{model}.npy", np.log(generator.dirichlet(np.ones(4), (2, length))).astype("f4"))
    mutants.to_parquet(folder / "mutagenesis.parquet", index=False)
    region = {"seqid": "chr$1", "start": 5000, "end": 5000 + length, "sequence": "".join(letters), "strands": 2}
    write_json(folder / "region.json", region)
