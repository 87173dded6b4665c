"""What a stage may ask of a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    name : str
        `base` or `adapted`.
    base : Path
        Folder that `convert` wrote.
    trained : Path, optional
        Folder that `train` wrote; None for the base model itself.
    """

    name: str
    base: Path
    trained: Path | None = None


@dataclass(frozen=True)
class Prompt:
    """One sequence to continue, with the seed of its draws."""

    text: str
    seed: int


@dataclass(frozen=True)
class SequenceSet:
    """Sequences to score or embed.

    Attributes
    ----------
    names : sequence of str
        Unique.
    lengths : ndarray, (n,) int64
    fetch : callable
        Bases of sequence i, (length,) uint8.
    """

    names: Sequence[str]
    lengths: np.ndarray
    fetch: Callable[[int], np.ndarray]

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.fetch, range(len(self.names)))

    def part(self, start: int, stop: int) -> SequenceSet:
        """Sequences `start` to `stop`."""
        return SequenceSet(self.names[start:stop], self.lengths[start:stop], lambda i: self.fetch(start + i))


@dataclass
class Workplace:
    """Where the backend of a stage works, and what it tells of that.

    Attributes
    ----------
    folder : Path
        The folder that the stage builds: the tools' own files go there.
    commands : list of dict
        Programs that were started: the line as one would type it, the tools' version, and why single flags are
        there.
    notes : list of str
        Settings that the backend cannot follow, one sentence each.
    log_folder : Path, optional
        Where the programs' output is kept while the stage runs, so that it outlives one that fails; `logs` in
        `folder` by default.
    """

    folder: Path
    commands: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    log_folder: Path | None = None

    @property
    def logs(self) -> Path:
        """Where the programs' output goes."""
        return self.log_folder or self.folder / "logs"


class Backend(Protocol):
    """What runs the model. Paths are folders of the run; files in them are the backend's own affair."""

    def script(self, config: Config, stage: str, run: Path) -> list[str]:
        """The shell lines that do what the stage would, for people; empty where it starts no program.

        Raises
        ------
        InputError
            A command could not work, whatever the data: the tools refuse it.
        """
        ...

    def convert(self, config: Config, checkpoint: str | None, out: Path) -> Mapping[str, Any]:
        """Bring a checkpoint (None: random weights) into the backend's format. Returns what it holds."""
        ...

    def train(self, config: Config, base: Path, tokens: Path, out: Path, gates: GateLog) -> dict[str, Any]:
        """Adapt the model of `base` to the token files of `tokens`, resuming from what `out` holds.

        Leaves `metrics.parquet` (step, bases_seen, name, value) and the best weights in `out`. Returns counts.
        """
        ...

    def score(self, config: Config, model: ModelFiles, sequences: SequenceSet) -> Iterator[SequenceScore]:
        """Per-base log-probabilities, in order."""
        ...

    def embed(self, config: Config, model: ModelFiles, sequences: SequenceSet) -> Iterator[np.ndarray]:
        """Embeddings in order, as `config.embed` asks for them: rows (rows, layers, width · readings) float32.

        One row a sequence; with `embed.pooling=all` one a base, in as many arrays as it takes. See `plan_embedding`.

        Raises
        ------
        InputError
            The backend's tools have no embeddings.
        """
        ...

    def generate(self, config: Config, model: ModelFiles, prompts: Sequence[Prompt]) -> Iterator[Generated]:
        """Continuations of prompts, in order."""
        ...
