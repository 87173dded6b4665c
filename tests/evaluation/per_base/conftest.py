from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.per_base.decoding import blank, decode
from evaluation.per_base.stream import Chunk, PerBase
from workflow.artifacts import PerBaseScores, PerBaseWriter


def write_store(
    folder: Path,
    logprobs: list[np.ndarray],
    bases: list[bytes],
    *,
    reverse: list[np.ndarray] | None = None,
    **columns: Any,
) -> PerBaseScores:
    """Published predictions of windows that lie one behind the other on the sequence `s`, unless `columns` say else."""
    folder.mkdir(parents=True, exist_ok=True)
    lengths = np.array([len(b) for b in bases])
    index = pd.DataFrame(
        {
            "sequence_id": [f"w{row}" for row in range(len(bases))],
            "seqid": "s",
            "start": np.cumsum(lengths) - lengths,
            "end": np.cumsum(lengths),
            "strand": "+",
            "length": lengths,
        }
    ).assign(**columns)
    writer = PerBaseWriter(folder, index, reverse=reverse is not None)
    for row, (values, letters) in enumerate(zip(logprobs, bases, strict=True)):
        writer.write(row, values, np.frombuffer(letters, np.uint8))
        if reverse is not None:
            writer.write_reverse(row, reverse[row])
    writer.close()
    return PerBaseScores(folder)


def write_track(folder: Path, classes: np.ndarray, lengths: dict[str, int]) -> Path:
    """What the stage `prepare` publishes of the classes of the bases of sequences with these lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "classes.npy", classes.astype(np.uint8))
    rows = [f"{seqid}\t{length}\t0\t60\t61\n" for seqid, length in lengths.items()]
    (folder / "genome.fa.fai").write_text("".join(rows))
    return folder


@pytest.fixture
def store() -> Callable[..., PerBaseScores]:
    return write_store


@pytest.fixture
def track() -> Callable[..., Path]:
    return write_track


def build_chunk(
    codes: np.ndarray,
    lengths: Sequence[int],
    logprobs: Mapping[str, np.ndarray],
    classes: np.ndarray | None = None,
    unscored: Sequence[int] = (),
) -> Chunk:
    """Windows of the given lengths: what the stream makes of log-probabilities (n, 4) by model."""
    scored = np.ones(len(codes), bool)
    scored[list(unscored)] = False
    found = {model: decode(values, codes, scored)[0] for model, values in logprobs.items()}
    for values in found.values():
        blank(values, scored)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    models = {model: PerBase(*found[model], values) for model, values in logprobs.items()}
    return Chunk(slice(0, len(lengths)), starts, codes, scored, np.zeros(len(codes), bool), classes, models, {})


def with_nll(codes: np.ndarray, nll: np.ndarray) -> np.ndarray:
    """(n, 4) float32 log-probabilities that give the observed bases this NLL and share the rest equally."""
    rest = np.log(np.maximum(1 - np.exp(-nll), 1e-30) / 3)
    logprobs = np.repeat(rest[:, None], 4, axis=1)
    logprobs[np.arange(len(codes)), codes] = -nll
    return logprobs.astype(np.float32)


@pytest.fixture
def make_chunk() -> Callable[..., Chunk]:
    return build_chunk


@pytest.fixture
def give_nll() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return with_nll
