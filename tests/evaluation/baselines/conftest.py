from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

Prepared = Callable[[dict[str, str], list[tuple[str, int, int, str]]], Path]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Writes what `prepare` publishes of some sequences and regions (seqid, start, end, split)."""

    def write(sequences: dict[str, str], regions: list[tuple[str, int, int, str]]) -> Path:
        lines, index, offset = [], [], 0
        for name, text in sequences.items():
            index.append(f"{name}\t{len(text)}\t{offset + len(name) + 2}\t{len(text)}\t{len(text) + 1}\n")
            lines.append(f">{name}\n{text}\n")
            offset += len(lines[-1])
        (tmp_path / "genome.fa").write_text("".join(lines))
        (tmp_path / "genome.fa.fai").write_text("".join(index))
        table = pd.DataFrame(regions, columns=["seqid", "start", "end", "split"])
        table.to_parquet(tmp_path / "split.parquet", index=False)
        return tmp_path

    return write


def random_dna(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def mutated(text: str, rate: float, seed: int) -> str:
    """Each base is replaced by another one at this rate."""
    generator = np.random.default_rng(seed)
    codes = np.array(["ACGT".index(letter) for letter in text])
    at = generator.random(len(codes)) < rate
    codes[at] = (codes[at] + generator.integers(1, 4, at.sum())) % 4
    return "".join(np.array(list("ACGT"))[codes])
