"""The one thing that a backend tells its metrics to."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from workflow.config import Config
from workflow.errors import InputError
from workflow.registry.headline import headline
from workflow.tracking.relaying import End, Relay
from workflow.tracking.stream import STREAM, MetricStream
from workflow.tracking.tracked import MEMORY, TrackedRun

if TYPE_CHECKING:
    from workflow.tracking.tensorboard_sink import TensorBoardSink

_TENSORBOARD = "tensorboard"
#: What a tracker leaves in the folder of a training.
TRACKED = (STREAM, MEMORY, _TENSORBOARD)


class Tracker:
    """Takes the metrics of one training: into the metric stream, from which all else is fed.

    Use as a context manager: a training that raises is marked as failed.

    Parameters
    ----------
    stream : MetricStream
    events : TensorBoardSink, optional
        For a training whose tool writes no event files.
    relay : Relay, optional
        To the tracker that is asked for.
    """

    def __init__(self, stream: MetricStream, events: TensorBoardSink | None, relay: Relay | None) -> None:
        self._stream, self._events, self._relay = stream, events, relay

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(succeeded=kind is None)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Tell the metrics of one step, which may be fewer at one step than at another.

        Parameters
        ----------
        step : int
            Optimizer steps done.
        metrics : mapping of float
            By name, as in `StreamRecord`.
        """
        self._stream.log(step, metrics)
        if self._events is not None:
            self._events.log(step, metrics)

    def close(self, succeeded: bool = True) -> None:
        """Let what is still on its way arrive."""
        if self._events is not None:
            self._events.close()
        if self._relay is not None:
            self._relay.close(End(succeeded))


def open_tracker(config: Config, folder: Path) -> Tracker:
    """The tracker of a training.

    It writes `stream.jsonl`, TensorBoard's files where the training's tool writes none, and to wandb or mlflow
    where the configuration asks for it. A training that goes on goes on in the same run of wandb or mlflow.

    Parameters
    ----------
    config : Config
    folder : Path
        The `train` folder of the run.

    Raises
    ------
    InputError
        The tracker that is asked for is not installed.
    """
    require_tracker(config)
    events = None
    if _lacks_tensorboard(config):
        from workflow.tracking.tensorboard_sink import TensorBoardSink

        events = TensorBoardSink(folder / _TENSORBOARD)
    relay = Relay(TrackedRun.of(config, folder.parent)) if config.tracking.name != "none" else None
    return Tracker(MetricStream(folder / STREAM), events, relay)


def require_tracker(config: Config) -> None:
    """Refuse a tracker that is not installed.

    Raises
    ------
    InputError
        The package is missing.
    """
    name = config.tracking.name
    if name != "none" and find_spec(name) is None:
        raise InputError(f"tracking={name} needs the package {name}: install it with pip install -e '.[tracking]'")


def log_evaluation(config: Config, run_folder: Path) -> None:
    """Tell the tracker the headline numbers of an evaluation, where one is asked for.

    They join the run of the training; an evaluation without a training gets one of its own.

    Parameters
    ----------
    config : Config
    run_folder : Path
        With the published stage `evaluate`.

    Raises
    ------
    InputError
        The tracker that is asked for is not installed.
    """
    if config.tracking.name == "none":
        return
    require_tracker(config)
    known = {f"evaluation.{name}": value for name, value in headline(run_folder).items() if value is not None}
    Relay(TrackedRun.of(config, run_folder)).close(End(succeeded=True, summary=known))


def _lacks_tensorboard(config: Config) -> bool:
    """Whether the training's tool writes no event files: that of mbridge cannot while it trains adapters."""
    return config.backend.name == "mbridge" and config.train.method == "lora"
