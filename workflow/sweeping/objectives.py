"""What a trial is judged by, which stages that takes, and how the number is read from its run folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow.artifacts import PerBaseScores, read_json, read_manifest, read_table
from workflow.config import Config
from workflow.errors import InputError
from workflow.sweeping.settings import typed, unknown_key

EVALUATE = "evaluate."
DIRECTIONS = ("minimize", "maximize")
_NATS = "nats per base"
_SECONDS_OF_HOUR = 3600
#: ln 4, a uniform guess; and ln 512, what random weights give over the whole vocabulary.
UNIFORM_NLL, RANDOM_NLL = math.log(4), math.log(512)
_NEAR = 0.05
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Objective:
    """One number that a trial is judged by.

    Attributes
    ----------
    name : str
    direction : str
        `minimize` or `maximize`.
    unit, label : str
        For people.
    stages : tuple of str
        Stages that make it.
    is_nll : bool
        Whether it is an NLL of the adapted model on the genome, which a guess has as ln 4.
    """

    name: str
    direction: str = "minimize"
    unit: str = _NATS
    label: str = ""
    stages: tuple[str, ...] = ("train",)
    is_nll: bool = False

    @property
    def is_of_training(self) -> bool:
        """Whether the validation of the training itself gives it."""
        return self.is_nll and self.stages == ("train",)

    @property
    def is_scored(self) -> bool:
        """Whether windows of the val split are scored for it."""
        return "predict" in self.stages

    @property
    def record(self) -> dict[str, str]:
        """For study.json."""
        return {"name": self.name, "direction": self.direction, "unit": self.unit, "label": self.label}

    def told(self, value: float) -> str:
        """A value with its name and unit."""
        return f"{self.name} {value:.5g} {self.unit}".rstrip()

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one < other if self.direction == "minimize" else one > other

    def fault(self, value: float) -> str | None:
        """Why a value means nothing; None where it does."""
        if not math.isfinite(value):
            return f"{self.name} is {value}"
        if self.is_nll and abs(value - RANDOM_NLL) < _NEAR:
            return f"{self.told(value)} is ln 512, as random weights give: the checkpoint was not loaded"
        if self.is_nll and value >= UNIFORM_NLL:
            return f"{self.told(value)} is no better than a uniform guess (ln 4 = {UNIFORM_NLL:.4f})"
        return None


_PREDICTED = ("train", "predict")
KNOWN = {
    objective.name: objective
    for objective in (
        Objective("val_loss_nonrepeat", label="Validation NLL on non-repeat bases", is_nll=True),
        Objective("val_loss", label="Validation NLL", is_nll=True),
        Objective("predict.nll", label="NLL of the val windows", stages=_PREDICTED, is_nll=True),
        Objective(
            "predict.nll_nonrepeat", label="NLL of the val windows, non-repeat bases", stages=_PREDICTED, is_nll=True
        ),
        Objective("forgetting", label="NLL lost on other organisms, their mean", stages=_PREDICTED),
        Objective("gpu_hours", unit="h", label="Hours of training × devices"),
    )
}
#: What NVIDIA's tools call their validation loss.
_OF_TOOLS = "Validation loss of train_evo2 (lower-case bases count a tenth)"


def read_objectives(given: Sequence[Any], config: Config) -> tuple[Objective, ...]:
    """The objectives of `sweep.objectives`.

    Raises
    ------
    InputError
        One is not known, is there twice, has no direction, or the backend does not tell it.
    """
    objectives = tuple(_read(item, config) for item in given)
    names = [objective.name for objective in objectives]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"sweep.objectives: {twice[0]} is there twice")
    return objectives


def _read(item: Any, config: Config) -> Objective:
    given = item if isinstance(item, Mapping) else {"name": item}
    if "name" not in given or not set(given) <= {"name", "direction"}:
        raise InputError(f"sweep.objectives: {typed(item)} is not a name, nor {{name: …, direction: …}}")
    name, direction = str(given["name"]), given.get("direction")
    if direction is not None and direction not in DIRECTIONS:
        raise InputError(f"sweep.objectives: direction {direction} of {name} is not minimize or maximize")
    if name.startswith(EVALUATE) and name != EVALUATE:
        if direction is None:
            raise InputError(f"sweep.objectives: say which {name} is better: {{name: {name}, direction: minimize}}")
        return Objective(name, direction, "", name.removeprefix(EVALUATE), ("train", "predict", "evaluate"))
    if name not in KNOWN:
        raise unknown_key(name, "sweep.objectives", {**KNOWN, "evaluate.KEY": None})
    objective = KNOWN[name]
    if direction not in (None, objective.direction):
        raise InputError(f"sweep.objectives: {name} is better when lower: direction {direction} would seek the worst")
    if name == "forgetting" and (config.train.method == "scratch" or not config.predict.forgetting):
        raise InputError(
            "sweep.objectives: forgetting is told against the base model on predict.forgetting; there is "
            + ("no base model with train=scratch" if config.train.method == "scratch" else "no such file given")
        )
    if config.backend.name != "local" and name == "val_loss_nonrepeat":
        raise InputError(
            "sweep.objectives: NVIDIA's tools do not tell the validation loss of non-repeat bases: use "
            "predict.nll_nonrepeat, or val_loss, in which lower-case bases count a tenth"
        )
    if config.backend.name != "local" and name == "val_loss":
        return Objective(name, label=_OF_TOOLS, is_nll=True)
    return objective


# ---------------------------------------------------------------- values


def measure(objective: Objective, run: Path, config: Config, seconds_before: float = 0.0) -> float:
    """Value of an objective in a run whose stages are done; NaN where it is undefined.

    Parameters
    ----------
    objective : Objective
    run : Path
        Run folder.
    config : Config
        Of the run.
    seconds_before : float
        What interrupted attempts at the same training took.

    Raises
    ------
    InputError
        The run does not have what it takes.
    """
    if objective.name.startswith(EVALUATE):
        return _evaluated(run, objective.name.removeprefix(EVALUATE))
    return _MEASURES[objective.name](run, config, seconds_before)


def _validated(name: str) -> Callable[[Path, Config, float], float]:
    """Loss of the weights that the training kept: at the validation with the lowest loss over all bases."""

    def value(run: Path, config: Config, seconds_before: float) -> float:
        best_step = int(read_manifest(run / "train")["counts"]["best_step"])
        metrics = read_table(run / "train" / "metrics.parquet", ["step", "name", "value"])
        of_step = metrics[metrics["step"] == best_step].set_index("name")["value"].to_dict()
        # Where no validated base is soft-masked, or all are, the two losses are one.
        return float(of_step.get(name, of_step.get("val_loss", math.nan)))

    return value


def _scored(run: Path, config: Config, seconds_before: float) -> float:
    scores = read_table(run / "predict" / "adapted" / "scores.parquet", ["n", "sum"])
    return _ratio(-float(scores["sum"].sum()), int(scores["n"].sum()))


def _scored_nonrepeat(run: Path, config: Config, seconds_before: float) -> float:
    """Mean over the upper-case A, C, G and T of the windows, a chunk at a time."""
    store = PerBaseScores(run / "predict" / "adapted")
    column = np.full(256, -1, np.int8)
    column[np.frombuffer(b"ACGT", np.uint8)] = np.arange(4)
    total, count = 0.0, 0
    for first in range(0, len(store.bases), _CHUNK):
        columns = column[np.asarray(store.bases[first : first + _CHUNK])]
        rows = np.flatnonzero(columns >= 0)
        observed = np.asarray(store.logprobs[first : first + _CHUNK])[rows, columns[rows]].astype(np.float64)
        defined = np.isfinite(observed)
        total, count = total - float(observed[defined].sum()), count + int(defined.sum())
    return _ratio(total, count)


def _forgotten(run: Path, config: Config, seconds_before: float) -> float:
    """Mean over the other organisms of NLL (adapted) − NLL (base)."""
    nll = {
        model: _by_organism(read_table(run / "predict" / "forgetting" / model / "scores.parquet"))
        for model in ("base", "adapted")
    }
    lost = (nll["adapted"] - nll["base"]).drop(_plain_name(config.genome.organism), errors="ignore")
    return float(lost.mean()) if len(lost) else math.nan


def _by_organism(scores: pd.DataFrame) -> pd.Series[float]:
    organism = scores["sequence_id"].str.partition("|")[0].map(_plain_name)
    sums = scores[["n", "sum"]].groupby(organism).sum()
    return -sums["sum"] / sums["n"]


def _plain_name(organism: str) -> str:
    return organism.replace("_", " ").strip().lower()


def _device_hours(run: Path, config: Config, seconds_before: float) -> float:
    seconds = seconds_before + float(read_manifest(run / "train")["timings"]["seconds"])
    return device_hours(seconds, config)


def device_hours(seconds: float, config: Config) -> float:
    """Hours of all devices of a trial; on the CPU, of its processes."""
    return seconds * config.parallel.nodes * config.parallel.devices / _SECONDS_OF_HOUR


_MEASURES: dict[str, Callable[[Path, Config, float], float]] = {
    "val_loss": _validated("val_loss"),
    "val_loss_nonrepeat": _validated("val_loss_nonrepeat"),
    "predict.nll": _scored,
    "predict.nll_nonrepeat": _scored_nonrepeat,
    "forgetting": _forgotten,
    "gpu_hours": _device_hours,
}


def _evaluated(run: Path, key: str) -> float:
    path = run / "evaluate" / "metrics.json"
    value: Any = read_json(path)
    passed: list[str] = []
    for part in key.split("."):
        items = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
        place: Any = int(part) if isinstance(value, list) and part.isdecimal() else part
        if place not in items:
            near = get_close_matches(part, map(str, items), n=1)
            there = f"did you mean {near[0]}?" if near else f"there are {', '.join(map(str, items)) or 'none'}"
            raise InputError(f"sweep.objectives: {path} has no {'.'.join([*passed, part])}; {there}")
        value = items[place]
        passed.append(part)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{path}: {key} is no number: sweep.objectives needs one, such as an estimate in it")
    return float(value)


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan
