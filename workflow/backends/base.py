"""What a stage may ask of a backend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workflow.config import Config
from workflow.gates import GateLog

if TYPE_CHECKING:
    from workflow.striped_hyena.generation import Generated
    from workflow.striped_hyena.scoring import SequenceScore


@dataclass(frozen=True)
class ModelFiles:
    """Where a model lies.

    Attributes
    ----------
    base : Path
        Folder that `convert` wrote.
    trained : Path, optional
        Folder that `train` wrote; None for the base model itself.
    """

    base: Path
    trained: Path | None = None


@dataclass(frozen=True)
class Prompt:
    """One sequence to continue, with the seed of its draws."""

    text: str
    seed: int


class Backend(Protocol):
    """What runs the model. Paths are folders of the run; files in them are the backend's own affair."""

    def convert(self, config: Config, checkpoint: Path | None, out: Path) -> dict[str, Any]:
        """Bring a checkpoint (None: random weights) into the backend's format. Returns what it holds."""
        ...

    def train(self, config: Config, base: Path, tokens: Path, out: Path, gates: GateLog) -> dict[str, Any]:
        """Adapt the model of `base` to the token files of `tokens`, resuming from what `out` holds.

        Leaves `metrics.parquet` (step, bases_seen, name, value) and the best weights in `out`. Returns counts.
        """
        ...

    def score(self, config: Config, model: ModelFiles, sequences: Iterable[np.ndarray]) -> Iterator[SequenceScore]:
        """Per-base log-probabilities of sequences (length,) uint8, in order."""
        ...

    def generate(self, config: Config, model: ModelFiles, prompts: Sequence[Prompt]) -> Iterator[Generated]:
        """Continuations of prompts, in order."""
        ...
