"""Where the metrics of a training go besides the run folder."""

from __future__ import annotations

from dataclasses import dataclass, field

from workflow.config.checks import require, require_choice


@dataclass
class TrackingConfig:
    """Where the metrics of a training go besides the metric stream and TensorBoard, which are written always.

    Attributes
    ----------
    name : str
        `none`, `wandb` (Weights & Biases) or `mlflow`.
    project : str
        Project of wandb, experiment of mlflow.
    entity : str, optional
        Team or user of wandb that the project belongs to.
    mode : str
        `offline`: nothing leaves this machine. `online`: sent at once.
    folder : str
        Where the offline files of all runs lie, each tracker in a folder of its name.
    uri : str, optional
        Server for `online`: of mlflow; of wandb where it is not the public one. Passwords and keys are taken
        from the environment variables that the tracker reads itself.
    tags : list of str
        Words to find the run by.
    """

    name: str = "none"
    project: str = "evo2-adaptation"
    entity: str | None = None
    mode: str = "offline"
    folder: str = "runs/tracking"
    uri: str | None = None
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        require_choice("tracking.name", self.name, ("none", "wandb", "mlflow"))
        require_choice("tracking.mode", self.mode, ("offline", "online"))
        require(bool(self.project), "tracking.project is empty: give the project or experiment a name")
        require(
            self.uri is None or self.mode == "online",
            "tracking.uri is a server, and tracking.mode=offline sends nothing: give tracking.mode=online",
        )
        require(
            self.name != "mlflow" or self.mode == "offline" or self.uri is not None,
            "tracking=mlflow tracking.mode=online needs a server: give tracking.uri=https://HOST:PORT",
        )
