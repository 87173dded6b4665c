"""Studies whose trials take no time: their process is replaced by a function of the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from sqlalchemy import event
from sqlalchemy.engine import Engine

from workflow.artifacts import write_json
from workflow.pipeline.outcome import Failure
from workflow.sweeping import worker
from workflow.sweeping.plan import Plan, make_plan
from workflow.sweeping.settings import changed
from workflow.sweeping.study import Study
from workflow.tracking.stream import STREAM, MetricStream

CONFIGS = Path(__file__).parents[2] / "configs"
Compose = Callable[..., DictConfig]
#: A space of one's own: one setting over five decades.
RATE = {"train": {"learning_rate": {"low": 1e-6, "high": 1e-1, "log": True}}}


@pytest.fixture(autouse=True, scope="package")
def no_waiting_for_the_disk() -> Iterator[None]:
    """SQLite files outlive their processes, but not a loss of power, which no test here is about."""

    def write_at_leisure(connection: Any, record: object) -> None:
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", write_at_leisure)
    yield
    event.remove(Engine, "connect", write_at_leisure)


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    return compose("config", list(overrides))


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Compose]:
    """The settings that overrides give; with a space, that one and further settings of the sweep in place of lora's."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIGS)):

        def make(*overrides: str, space: Any = None, **sweep: Any) -> DictConfig:
            own = {} if space is None else {"name": "own", "space": space, "constraints": [], "repeats": 0, **sweep}
            changes = {f"sweep.{name}": value for name, value in own.items()}
            return changed(_composed(overrides), {"runs_folder": str(tmp_path / "runs"), **changes})

        yield make


@pytest.fixture
def planned(composed: Compose) -> Callable[..., Plan]:
    """The plan that overrides give."""

    def make(*overrides: str, space: Any = RATE, **sweep: Any) -> Plan:
        return make_plan(composed(*overrides, space=space, **sweep), overrides)

    return make


class FakeTrials:
    """What the process of a trial does: writes the losses that a function gives, by step; or fails."""

    def __init__(self) -> None:
        self.started: list[DictConfig] = []
        self.stopped: list[str] = []
        self.losses: Callable[[DictConfig], Mapping[int, float]] = lambda settings: {10: settings.train.learning_rate}
        self.genome = "its hash"
        self.failure: Callable[[DictConfig], Failure | int | None] = lambda settings: None

    def process(self, settings: DictConfig, shared: Path, run: Path, arguments: list[str]) -> FakeProcess:
        self.started.append(settings)
        return FakeProcess(self, settings, run)


class FakeProcess:
    """One line of losses at a time, one for each look at it."""

    def __init__(self, trials: FakeTrials, settings: DictConfig, run: Path) -> None:
        self._trials, self._settings, self._run = trials, settings, run
        self._left = list(trials.losses(settings).items())
        self._stream = MetricStream(run / "train" / STREAM)
        self.exit_code: int | None = None

    def wait(self) -> None:
        if self._left:
            step, loss = self._left.pop(0)
            self._stream.log(step, {"val_loss": loss})
            return
        failure = self._trials.failure(self._settings)
        if isinstance(failure, Failure):
            write_json(self._run / "failed.json", vars(failure))
        elif failure is None:
            publish_training(self._run, self._trials.losses(self._settings))
            (self._run / "prepare").mkdir(exist_ok=True)
            write_json(self._run / "prepare" / "manifest.json", {"identity": {"files": [self._trials.genome]}})
        self.exit_code = failure if isinstance(failure, int) else 0 if failure is None else 2

    def stop(self, seconds: float, is_urgent: Callable[[], bool], meanwhile: Callable[[], None]) -> None:
        if self.exit_code is None:
            self._trials.stopped.append(self._settings.run_name)
            self.exit_code = -15

    def close(self) -> None:
        pass


def publish_training(run: Path, losses: Mapping[int, float], seconds: float = 36.0) -> None:
    """What a finished training leaves."""
    best = min(losses, key=lambda step: losses[step])
    rows = [(step, 0, "val_loss", loss) for step, loss in losses.items()]
    (run / "train").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["step", "bases_seen", "name", "value"]).to_parquet(run / "train" / "metrics.parquet")
    write_json(run / "train" / "manifest.json", {"counts": {"best_step": best}, "timings": {"seconds": seconds}})


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> FakeTrials:
    """Replaces the processes of trials."""
    fake = FakeTrials()
    monkeypatch.setattr(worker, "TrialProcess", fake.process)
    return fake


def worked(plan: Plan) -> Study:
    """The study after a worker has worked on it."""
    worker.work(plan)
    return Study(plan)
