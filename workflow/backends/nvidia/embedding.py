"""Embeddings by `predict_evo2`: stretches in, each layer by a start of its own; hidden states out, and pooled here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from workflow.backends.base import SequenceSet
from workflow.backends.embedding import EmbeddingPlan
from workflow.backends.nvidia.predictions import Predictions
from workflow.backends.nvidia.scoring import PREDICTIONS, WINDOWS, divide, write_fasta
from workflow.striped_hyena.pooling import pool
from workflow.striped_hyena.stretches import Stretch

#: The tools write float32.
_BYTES = 4


def embed_in_parts(
    sequences: SequenceSet,
    plan: EmbeddingPlan,
    folder: Path,
    predict: Callable[[int, Path, Path, int], None],
    *,
    raw_gigabytes: float,
) -> Iterator[np.ndarray]:
    """Embeddings in order, as rows (rows, layers, width · readings) float32; see `Reader.join`.

    Parameters
    ----------
    sequences : SequenceSet
    plan : EmbeddingPlan
    folder : Path
        Where the raw files go, those of each part into a folder of their own.
    predict : callable
        Runs the tool for a layer, on a FASTA, into a folder, for sequences of at most so many bases.
    raw_gigabytes : float
        As in `BackendConfig`.

    Raises
    ------
    ToolError
        The tool did not leave exactly one whole prediction for each stretch.
    """
    whose = [
        (row, stretch)
        for row, length in enumerate(sequences.lengths.tolist())
        for stretch in plan.reader.stretches(length)
    ]
    stretches = SequenceSet(
        [f"stretch_{number}" for number in range(len(whose))],
        np.array([len(stretch) for _, stretch in whose], np.int64),
        lambda number: whose[number][1].of(sequences.fetch(whose[number][0])),
    )

    def parts() -> Iterator[tuple[Stretch, np.ndarray]]:
        bytes_of_base = len(plan.layers) * plan.width * _BYTES
        for number, part in enumerate(divide(stretches.lengths, raw_gigabytes, bytes_of_base), start=1):
            place = folder / f"part_{number:04d}"
            place.mkdir(parents=True)
            wanted = stretches.part(part.start, part.stop)
            states = _states(wanted, plan.layers, place, predict)
            for (_, stretch), hidden in zip(whose[part], states, strict=True):
                yield stretch, _pooled(hidden, stretch, plan.reader.pooling_of_stretch)
            shutil.rmtree(place)

    yield from plan.reader.join(parts())
    folder.rmdir()


def _states(
    wanted: SequenceSet, layers: tuple[int, ...], place: Path, predict: Callable[[int, Path, Path, int], None]
) -> Iterator[np.ndarray]:
    """Hidden states of each sequence, (layers, length, width) float32."""
    write_fasta(wanted, place / WINDOWS)
    found = []
    for layer in layers:
        out = place / f"{PREDICTIONS}_{layer}"
        predict(layer, place / WINDOWS, out, int(wanted.lengths.max()))
        found.append(Predictions(out, wanted.names, wanted.lengths, begin_token=True).embeddings())
    return (np.stack(states) for states in zip(*found, strict=True))


def _pooled(hidden: np.ndarray, stretch: Stretch, pooling: str) -> np.ndarray:
    """(layers, width); with `all` (counted, layers, width)."""
    if pooling == "all":
        return np.ascontiguousarray(hidden[:, stretch.first :].swapaxes(0, 1))
    counted = torch.from_numpy(hidden[:, stretch.first :])
    return pool(counted, torch.ones(counted.shape[:2], dtype=torch.bool), pooling).numpy()
