"""What a tracker is told of a run: its name, its settings without secrets, and the data and weights behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workflow.artifacts import MANIFEST, read_json, write_json
from workflow.config import Config
from workflow.config.tracking import TrackingConfig
from workflow.genome.web import hide_secrets
from workflow.provenance import mask_secrets
from workflow.registry.places import membership
from workflow.tracking.stream import STREAM

#: Keeps the tracker's name of a run and how much of the stream it has, so that the next start goes on there.
MEMORY = "tracking.json"
#: Stages whose fingerprints say which data and weights a training began with.
_BEFORE_TRAINING = ("prepare", "preprocess", "convert")


@dataclass(frozen=True)
class Memory:
    """What a tracker has got of a run.

    Attributes
    ----------
    id : str or None
        Its identifier of the run; None before it has one.
    offset : int
        Bytes of the metric stream that were passed on.
    lines : int
        Lines that these hold.
    """

    id: str | None = None
    offset: int = 0
    lines: int = 0


@dataclass(frozen=True)
class TrackedRun:
    """A run as a tracker sees it.

    Attributes
    ----------
    name : str
        The run's.
    group : str or None
        The study that it belongs to.
    place : TrackingConfig
        Which tracker, and where.
    settings : dict
        The whole configuration, secrets masked.
    fingerprints : dict of str
        Of the stages before the training, by stage.
    stream, memory : str
        Paths of the metric stream, and of the file that keeps what was passed on.
    """

    name: str
    group: str | None
    place: TrackingConfig
    settings: dict[str, Any]
    fingerprints: dict[str, str]
    stream: str
    memory: str

    @classmethod
    def of(cls, config: Config, run: Path) -> TrackedRun:
        """The run in a folder."""
        genome = config.genome
        annotation = hide_secrets(genome.annotation) if genome.annotation else genome.annotation
        shown = replace(config, genome=replace(genome, fasta=hide_secrets(genome.fasta), annotation=annotation))
        study = membership(run)
        manifests = {stage: run / stage / MANIFEST for stage in _BEFORE_TRAINING}
        # A training that is begun anew is another run of the tracker: its folder is.
        memory = (run if config.train.method == "none" else run / "train") / MEMORY
        return cls(
            config.run_name,
            study.study if study else None,
            replace(config.tracking, folder=str(Path(config.tracking.folder).absolute())),
            mask_secrets(asdict(shown)),
            {stage: read_json(path)["fingerprint"] for stage, path in manifests.items() if path.exists()},
            str((run / "train" / STREAM).absolute()),
            str(memory.absolute()),
        )

    @classmethod
    def from_plain(cls, value: dict[str, Any]) -> TrackedRun:
        """The run that `asdict` made plain."""
        return cls(**value | {"place": TrackingConfig(**value["place"])})

    @property
    def offline_folder(self) -> Path:
        """Where the tracker's offline files of all runs lie."""
        return Path(self.place.folder) / self.place.name

    def recall(self) -> Memory:
        """What this tracker got at earlier starts; nothing where it was another tracker, project or place."""
        path = Path(self.memory)
        known = read_json(path) if path.exists() else {}
        return Memory(**known["got"]) if known.get("where") == self._where() else Memory()

    def remember(self, got: Memory) -> None:
        """Keep what the tracker has got, for the next start."""
        write_json(Path(self.memory), {"where": self._where(), "got": asdict(got)})

    def _where(self) -> dict[str, Any]:
        told = asdict(self.place)
        wanted = ("name", "project", "entity", "mode", "folder" if self.place.mode == "offline" else "uri")
        masked: dict[str, Any] = mask_secrets({key: told[key] for key in wanted})
        return masked
