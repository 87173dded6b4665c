"""The search over settings of `python -m workflow.sweep`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from workflow.config.checks import require, require_choice, require_name, require_positive

SAMPLERS = ("tpe", "random", "gp", "nsga2")
PRUNERS = ("median", "hyperband", "none")


@dataclass
class SweepConfig:
    """A study: many trainings that differ in some settings.

    Attributes
    ----------
    name : str
        The study lives in `runs_folder/name`; the same name goes on with it.
    space : dict
        The settings that are searched, at their place in the configuration or by dotted keys. Each is a range
        {low, high, log, step} or a list {choices}; `when` is a condition without which it keeps its base value.
    constraints : list of str
        Conditions that every trial has to meet, such as `train.warmup_steps < train.steps`.
    objectives : list
        What a trial is judged by: names of `workflow.sweeping.objectives`, `evaluate.KEY` for a number of
        evaluate/metrics.json, or {name, direction: minimize or maximize}. Empty: the NLL of the validation on bases
        that are not soft-masked where the trials can be compared by it, else `predict.nll_nonrepeat`.
    stages : list of str
        Stages of each trial beyond those that the objectives need.
    trials : int
        Finished trials (complete, pruned or failed) that end the study. The first is the default configuration.
    queue : list of dict
        Settings of the trials after the first, before the sampler proposes some; those not named keep their default.
    sampler : str
        `tpe` (multivariate), `random`, `gp` or `nsga2`.
    pruner : str
        `median`, `hyperband` or `none`: when a trial is stopped early.
    seed : int
        Of the proposals.
    workers : int
        Trials at a time on this machine, each with devices of its own. The same command on other machines that see
        the folder adds to them.
    storage : str, optional
        Where the study is kept: by default an SQLite file in its folder; `journal` for a folder on a network file
        system; or postgresql://USER@HOST/DATABASE, with the password in the environment variable PGPASSWORD.
    stale_seconds : float
        A trial whose worker on another machine was silent for so long is taken over.
    timeout_hours : float, optional
        No trial is begun after so many hours of the command.
    repeats : int
        Trainings of the best configuration with other seeds, which tell how much chance there is in its value.
    final : bool
        Whether the best configuration is trained and evaluated as a run of its own at the end.
    final_settings : dict
        What is different in that run, such as {train: {steps: 5000}}.
    """

    name: str = MISSING
    space: dict[str, Any] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)
    objectives: list[Any] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    trials: int = 40
    queue: list[dict[str, Any]] = field(default_factory=list)
    sampler: str = "tpe"
    pruner: str = "median"
    seed: int = 42
    workers: int = 1
    storage: str | None = None
    stale_seconds: float = 300.0
    timeout_hours: float | None = None
    repeats: int = 3
    final: bool = False
    final_settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name != MISSING:
            require_name("sweep.name", self.name)
        require_choice("sweep.sampler", self.sampler, SAMPLERS)
        require_choice("sweep.pruner", self.pruner, PRUNERS)
        require_positive("sweep", self, "trials", "workers", "stale_seconds")
        require(self.repeats >= 0, f"sweep.repeats={self.repeats} must not be negative")
        if self.timeout_hours is not None:
            require_positive("sweep", self, "timeout_hours")
