"""Training by `train_evo2`: watched while it runs, and read when it has ended."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workflow.artifacts import read_json, write_json
from workflow.backends.contracts import Command
from workflow.backends.nvidia.settings import validation_interval
from workflow.backends.nvidia.training_results import list_checkpoints, read_metrics
from workflow.backends.training_gates import check_adapters_move, check_finite, check_first_validation_loss
from workflow.checkpoints import adapter_shifts
from workflow.config import Config
from workflow.dataset.reading import open_split
from workflow.errors import ToolError
from workflow.gates import GateLog
from workflow.launch import StepLine, TrainingProgress, parse_step
from workflow.tracking import TRACKED, Tracker

RESULTS, CHECKPOINTS = "results", "checkpoints.json"
#: Beginning of the folder in which the index of the data is built, and name of its log.
INDEX, INDEX_LOG = ".index-", "train_evo2-index"
_SECONDS_BETWEEN_LOOKS = 20.0


@dataclass(frozen=True)
class Documents:
    """The training documents of a run.

    Attributes
    ----------
    bases : int
        All of them.
    context_lengths : ndarray
        Bases of each that a sample can hold at most.
    """

    bases: int
    context_lengths: np.ndarray

    @classmethod
    def of(cls, config: Config, tokens: Path) -> Documents:
        """Those of the token files that `preprocess` published."""
        files, _ = open_split(tokens, "train", config.mixture.lineage_spacing)
        counts = np.concatenate([file.counts for file in files])
        return cls(int(counts.sum()), np.minimum(counts, config.train.context_length))


class TrainingWatch:
    """Follows a training by what it prints and saves: shows progress, tells the tracker, and lets the gates stop it.

    Parameters
    ----------
    config : Config
    results : Path
        The tool's result folder.
    gates : GateLog
    tracker : Tracker
    """

    def __init__(self, config: Config, results: Path, gates: GateLog, tracker: Tracker) -> None:
        self.config, self.results, self.gates, self.tracker = config, results, gates, tracker
        self._progress = TrainingProgress(tokens_of_step(config))
        self._first_is_known = False
        self._looked = time.monotonic()
        self._seen: set[str] = set()
        self._validated: set[int] = set()

    def on_line(self, text: str) -> None:
        """Read one line of the tool's log.

        Raises
        ------
        GateError
            A loss is not finite, or the first validation is no better than a guess.
        """
        line = self._progress.feed(text)
        if line is not None:
            self._track(line)
            self._check(line)

    def on_tick(self) -> None:
        """Look for new checkpoints now and then.

        Raises
        ------
        GateError
            Adapters have not moved.
        """
        if self.config.train.method == "lora" and time.monotonic() - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked = time.monotonic()
            self.check_checkpoints()

    def check_checkpoints(self) -> None:
        """Gate `adapters_move` on each complete checkpoint that was not looked at before."""
        if self.config.train.method != "lora":
            return
        found = list_checkpoints(self.results, self.config.backend.name, with_losses=False)
        for step, path in found.loc[found["complete"], ["step", "path"]].itertuples(index=False, name=None):
            if path not in self._seen:
                check_adapters_move(adapter_shifts(Path(path)), self.gates, int(step))
                self._seen.add(path)

    def close(self) -> None:
        """Take the progress off the terminal."""
        self._progress.close()

    def recall(self, log: Path) -> None:
        """Take the first validation from what an interrupted run has left: those after it are of trained weights.

        Raises
        ------
        GateError
            It is what stopped that run.
        """
        try:
            metrics = read_metrics(self.results, self.config.backend.name, log, context_length=1)
        except ToolError:  # it left no metrics
            return
        first = metrics[metrics["name"] == "val_loss"].head(1)
        for step, loss in first[["step", "value"]].itertuples(index=False, name=None):
            self.know_first_validation(float(loss), int(step))

    def know_first_validation(self, loss: float, step: int) -> None:
        """Gate `first_validation_loss` on this one; a model from random weights may be no better than a guess."""
        if self.config.train.method != "scratch":
            check_first_validation_loss(loss, self.gates, step)
        self._first_is_known = True

    def track_validations(self, metrics: pd.DataFrame) -> None:
        """Tell the tracker the validations that the log did not tell of: NeMo keeps the last one to itself.

        Parameters
        ----------
        metrics : DataFrame
            From `read_metrics`.
        """
        losses = metrics.loc[metrics["name"] == "val_loss", ["step", "value"]]
        for step, loss in losses.itertuples(index=False, name=None):
            self._track_validation(int(step), float(loss))

    def _track(self, line: StepLine) -> None:
        told = {"train_loss": line.loss, "grad_norm": line.grad_norm, "learning_rate": line.learning_rate}
        if metrics := {name: value for name, value in told.items() if value is not None}:
            self.tracker.log(line.step, metrics)
        if line.validation_loss is not None:
            # NeMo repeats its latest one in every line, from the step after it on.
            interval = validation_interval(self.config)
            step = (line.step - 1) // interval * interval if line.is_training else line.step
            self._track_validation(step, line.validation_loss)

    def _track_validation(self, step: int, loss: float) -> None:
        if step not in self._validated:
            self._validated.add(step)
            self.tracker.log(step, {"val_loss": loss})

    def _check(self, line: StepLine) -> None:
        if line.loss is not None:
            check_finite(line.loss, self.gates, line.step, "training")
        if line.validation_loss is not None:
            # NeMo tells of a validation with the next step.
            step = line.step - 1 if line.is_training and line.step % self.config.train.validate_every else line.step
            check_finite(line.validation_loss, self.gates, step, "validation")
            if not self._first_is_known:
                self.know_first_validation(line.validation_loss, step)


def tokens_of_step(config: Config) -> int:
    """Tokens of one optimizer step over all GPUs."""
    train = config.train
    return train.batch_size * train.accumulate * config.parallel.data_parallel * train.context_length


def remove_index_leftovers(out: Path) -> None:
    """Remove what a killed build of the index has left."""
    for leftover in out.glob(f"{INDEX}*"):
        shutil.rmtree(leftover)


def put_aside_incomplete(results: Path, toolchain: str) -> list[str]:
    """Move checkpoints that were not written to their end, which the tools would try to resume from.

    Returns
    -------
    list of str
        Where they are now: NeMo takes any folder beside its checkpoints whose name ends in `last`.
    """
    found = list_checkpoints(results, toolchain, with_losses=False)
    moved = []
    for place in found.loc[~found["complete"], "path"]:
        aside = results / f"incomplete-{time.time_ns()}" / Path(place).name
        aside.parent.mkdir()
        Path(place).rename(aside)
        moved.append(str(aside))
    return moved


def put_aside_refused(results: Path, log: Path) -> Path:
    """Move what a training that a gate has stopped left, with its log, so that nothing goes on from it.

    What was tracked goes with it: whoever follows the next start would take its losses for those of that one.

    Returns
    -------
    Path
        Where it is now.
    """
    aside = results.with_name(f"refused-{time.time_ns()}")
    aside.mkdir()
    for path in (results, log, *(results.with_name(name) for name in TRACKED)):
        if path.exists():
            path.rename(aside / path.name)
    return aside


def has_checkpoint(results: Path, toolchain: str) -> bool:
    """Whether there is something to go on from."""
    return bool(list_checkpoints(results, toolchain, with_losses=False)["complete"].any())


def best_checkpoint(trained: Path) -> Path:
    """Checkpoint of the lowest validation loss of a published training."""
    best = next(row for row in read_json(trained / CHECKPOINTS) if row["best"])
    return trained / str(best["path"])


def collect(config: Config, out: Path, log: Path, watch: TrainingWatch) -> dict[str, Any]:
    """Write `metrics.parquet` and `checkpoints.json` of an ended training; returns its counts.

    Raises
    ------
    ToolError
        It ended before the last step, saved nothing, or validated nothing.
    GateError
        What it left shows that its numbers would be meaningless.
    """
    results, backend = out / RESULTS, config.backend.name
    metrics = read_metrics(results, backend, log, context_length=config.train.context_length)
    metrics.to_parquet(out / "metrics.parquet", index=False)
    watch.track_validations(metrics)
    found = list_checkpoints(results, backend, log)
    complete = found[found["complete"]]
    if complete.empty:
        raise ToolError(f"train_evo2 ended without a complete checkpoint in {results}; its log is {log}")
    reached = int(complete["step"].max())
    if reached < config.train.steps:
        raise ToolError(
            f"train_evo2 ended at step {reached} of {config.train.steps}, as after a preemption: "
            "the same command goes on from there"
        )
    losses = metrics[metrics["name"] == "val_loss"].sort_values("step")
    if losses.empty:
        raise ToolError(f"train_evo2 validated nothing; its log is {log}")
    for kind, name in (("training", "train_loss"), ("validation", "val_loss")):
        for step, value in metrics.loc[metrics["name"] == name, ["step", "value"]].itertuples(index=False, name=None):
            check_finite(float(value), watch.gates, int(step), kind)
    first = losses.iloc[0]
    watch.know_first_validation(float(first["value"]), int(first["step"]))
    watch.check_checkpoints()
    _write_checkpoints(found, out)
    best = found[found["best"]].iloc[0]
    return {
        "steps": reached,
        "bases_seen": reached * tokens_of_step(config),
        "first_validation_loss": float(first["value"]),
        # Of a checkpoint that is there: those of NeMo that rank low are deleted.
        "best_validation_loss": float(best["val_loss"]),
        "best_step": int(best["step"]),
    }


def _write_checkpoints(found: pd.DataFrame, out: Path) -> None:
    """`checkpoints.json`: what was saved, by paths within the folder, so that the run may be moved."""
    table = found.assign(path=[str(Path(path).absolute().relative_to(out.absolute())) for path in found["path"]])
    write_json(out / CHECKPOINTS, table.to_dict("records"))


class IndexIsBuiltError(Exception):
    """The first step has begun, so the index of the data is on disk."""


def stop_at_first_step(text: str) -> None:
    """Ends a run of `index_command` once it trains."""
    if parse_step(text) is not None:
        raise IndexIsBuiltError


def index_command(command: Command, config: Config, folder: Path) -> Command:
    """A training that is only begun so that one rank builds the index of the data, which all others then find.

    The index depends on the data, the length, the steps, the global batch and the seed, not on the model:
    the smallest one is taken.
    """
    size = {"nemo2": "test", "mbridge": "striped_hyena_test"}[config.backend.name]
    left_out = ("--ckpt-dir", "--finetune-ckpt-dir", "--lora", "--num-nodes", "--devices", "--create-tensorboard")
    parallel = ("--tensor-", "--pipeline-", "--context-", "--sequence-parallel", "--fp8", "--grad-acc-batches")
    options = {flag: value for flag, value in command.options.items() if not flag.startswith(left_out + parallel)}
    train = config.train
    options |= {
        "--model-size": size,
        "--result-dir": folder,
        "--micro-batch-size": 1,
        "--global-batch-size": train.batch_size * train.accumulate * config.parallel.data_parallel,
    }
    return replace(command, options=options, processes=1 if command.processes else None)
