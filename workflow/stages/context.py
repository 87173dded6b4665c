"""What a stage is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.config import Config
from workflow.gates import GateLog

if TYPE_CHECKING:
    from workflow.backends import Backend, ModelFiles, Workplace


@dataclass
class StageContext:
    """Everything that a stage may read, and the folder that it fills.

    Attributes
    ----------
    config : Config
        The whole configuration; a stage reads only the sections that its entry in the pipeline names.
    out : Path
        The folder to build in. It is published when the stage returns.
    run : Path
        The run folder, with the published folders of earlier stages.
    gates : GateLog
        Where the stage's gates report.
    log_folder : Path, optional
        As in `Workplace`.
    target : Path, optional
        Where `out` will lie once it is published; in the run folder by default.
    fingerprint : str
        Of the stage, by which parts of its work that are kept for later are known as such.
    """

    config: Config
    out: Path
    run: Path
    gates: GateLog = field(default_factory=GateLog)
    log_folder: Path | None = None
    target: Path | None = None
    fingerprint: str = ""

    @cached_property
    def place(self) -> Workplace:
        """Where the backend works; what it tells there goes into the manifest."""
        from workflow.backends import Workplace

        return Workplace(self.out, log_folder=self.log_folder)

    def published(self, stage: str) -> Path:
        """Folder of an earlier stage."""
        return self.run / stage

    def backend(self) -> Backend:
        """The backend that the configuration names."""
        from workflow.backends import open_backend

        return open_backend(self.config, self.place)

    def models(self) -> dict[str, ModelFiles]:
        """The models of the run by name: `base`, and `adapted` where there is a training.

        Training from scratch has no base: its start is random weights.
        """
        from workflow.backends import ModelFiles

        base, method = self.published("convert"), self.config.train.method
        models = {} if method == "scratch" else {"base": ModelFiles("base", base)}
        if method != "none":
            models["adapted"] = ModelFiles("adapted", base, self.published("train"))
        return models
