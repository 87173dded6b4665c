"""What `train_evo2` leaves: its metrics, and its checkpoints.

Steps are optimizer steps that are done: nemo2 counts from 0, mbridge from 1, here both are counted from 1.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from workflow.errors import ToolError

#: Samples of a step, from which the bases seen are counted.
_BATCH = "batch"
#: Names of TensorBoard, and those of this project.
_SCALARS = {
    "nemo2": {
        "reduced_train_loss": "train_loss",
        "val_loss": "val_loss",
        "lr": "learning_rate",
        "grad_norm": "grad_norm",
        "train_step_timing in s": "step_seconds",
        "global_batch_size": _BATCH,
    },
    "mbridge": {
        "lm loss": "train_loss",
        "lm loss validation": "val_loss",
        "learning-rate": "learning_rate",
        "grad-norm": "grad_norm",
        "iteration-time": "step_seconds",
        "batch-size": _BATCH,
    },
}
#: Names of mbridge's log lines, with the factor to this project's units.
_LOGGED = {
    "lm loss": ("train_loss", 1.0),
    "learning rate": ("learning_rate", 1.0),
    "grad norm": ("grad_norm", 1.0),
    "elapsed time per iteration (ms)": ("step_seconds", 1e-3),
    "global batch size": (_BATCH, 1.0),
}
_TRAINING_LINE = re.compile(r"\biteration\s+(\d+)/\s*\d+\s*\|(.*)")
_VALIDATION_LINE = re.compile(r"\bvalidation loss at iteration (\d+)( on \w+ set)? \| lm loss value: (\S+)")
_NEMO2_FOLDER = re.compile(r"(?:.*-)?epoch=\d+-step=(\d+)(?:-consumed_samples=(\d+)(?:\.0*)?)?(-last)?(?:-v\d+)?")
_MBRIDGE_FOLDER = re.compile(r"iter_(\d+)")
_UNFINISHED = "-unfinished"
#: Beginning of the names of folders that were put aside.
_ASIDE = "incomplete"
_LATEST = "latest_checkpointed_iteration.txt"
_COLUMNS = ["step", "path", "val_loss", "consumed_samples", "bytes", "complete", "last", "best"]


def read_metrics(result_dir: Path, toolchain: str, log: Path | None = None, *, context_length: int) -> pd.DataFrame:
    """Metrics of a training as a long table: step, bases_seen, name, value; sorted by step and name.

    Names are `train_loss`, `val_loss` (nats, as the tool weighs them: lower-case bases count a tenth),
    `learning_rate`, `grad_norm` and `step_seconds`. Of steps that a resumed run made again the later ones count.
    The loss on the test set is left out.

    Parameters
    ----------
    result_dir : Path
        The tool's `--result-dir`.
    toolchain : str
        `nemo2` or `mbridge`.
    log : Path, optional
        What mbridge printed, which is read where it kept no TensorBoard.
    context_length : int
        Tokens of a sample.

    Raises
    ------
    ToolError
        Neither TensorBoard nor log holds a step.
    """
    table = _measurements(result_dir, toolchain, log)
    batches = table[table["name"] == _BATCH].set_index("step")["value"]
    table = table[table["name"] != _BATCH]
    if table.empty or batches.empty:
        place = log or result_dir
        raise ToolError(f"{place} holds no metrics of a training step: the tool ended before its first, see its log")
    # Validations are logged also between the steps whose batch is.
    batch = batches.reindex(table["step"], method="nearest").to_numpy()
    seen = (table["step"].to_numpy() * batch * context_length).astype(np.int64)
    return table.assign(bases_seen=seen)[["step", "bases_seen", "name", "value"]].reset_index(drop=True)


def list_checkpoints(
    result_dir: Path, toolchain: str, log: Path | None = None, *, with_losses: bool = True
) -> pd.DataFrame:
    """Checkpoints of a training, sorted by step.

    Columns: step, path (str), val_loss (of these weights; NaN where there was no validation), consumed_samples
    (NaN where the tool does not say), bytes, complete, last (the newest complete one) and best (of the complete
    ones that of the lowest validation loss; where none has one, the last). What lies in or is a folder whose name
    begins with `incomplete` is left out.

    Parameters
    ----------
    result_dir, toolchain, log
        As for `read_metrics`.
    with_losses : bool
        Read the validation losses, which takes a while when much was logged. Without them none is the best.
    """
    find = _nemo2_checkpoints if toolchain == "nemo2" else _mbridge_checkpoints
    rows = [(step, str(path), samples, _bytes(path), complete) for step, path, samples, complete in find(result_dir)]
    table = pd.DataFrame(rows, columns=["step", "path", "consumed_samples", "bytes", "complete"])
    table = table.astype({"step": np.int64, "consumed_samples": float, "bytes": np.int64, "complete": bool})
    # A `-last` copy stands behind that which it was copied from.
    table = table.sort_values(["step", "path"], ignore_index=True).assign(val_loss=np.nan, last=False, best=False)
    if with_losses:
        # nemo2 saves before it validates, so that a loss in the name of a folder is that of an earlier step.
        metrics = _measurements(result_dir, toolchain, log)
        losses = metrics[metrics["name"] == "val_loss"].set_index("step")["value"]
        table["val_loss"] = table["step"].map(losses).astype(float)
    complete = table[table["complete"]]
    if len(complete):
        last, compared = complete.index[-1], complete["val_loss"].dropna()
        table.loc[last, "last"] = True
        table.loc[compared.idxmin() if len(compared) else last, "best"] = with_losses
    return table[_COLUMNS]


# ---------------------------------------------------------------- metrics


def _measurements(result_dir: Path, toolchain: str, log: Path | None) -> pd.DataFrame:
    """Table of step, name and value, one value each."""
    rows = list(_tensorboard_rows(result_dir, toolchain))
    if not rows and toolchain == "mbridge" and log is not None and log.exists():
        rows = list(_log_rows(log))
    table = pd.DataFrame(rows, columns=["step", "name", "value"]).astype({"step": np.int64, "value": np.float64})
    table = table.drop_duplicates(["step", "name"], keep="last")
    return table.sort_values(["step", "name"], ignore_index=True)


def _tensorboard_rows(result_dir: Path, toolchain: str) -> Iterator[tuple[int, str, float]]:
    """Scalars of all event files, those of the latest run last. A resumed nemo2 moves old files into sub-folders."""
    first_step = 1 if toolchain == "nemo2" else 0
    # Their names begin with the time at which they were opened.
    for file in sorted(result_dir.rglob("events.out.tfevents.*"), key=lambda path: path.name):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0})
        events.Reload()
        for tag in _SCALARS[toolchain].keys() & set(events.Tags()["scalars"]):
            scalars = events.Scalars(tag)
            if (toolchain, tag) == ("mbridge", "lm loss validation"):
                # After the last step it logs the loss of another validation, and then that of the test set.
                scalars = list({scalar.step: scalar for scalar in reversed(scalars)}.values())
            yield from ((scalar.step + first_step, _SCALARS[toolchain][tag], scalar.value) for scalar in scalars)


def _log_rows(log: Path) -> Iterator[tuple[int, str, float]]:
    """What mbridge prints of its steps. A log that was appended to holds the later run last."""
    in_loop: set[int] = set()
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if match := _VALIDATION_LINE.search(line):
                step, on_set, loss = int(match[1]), match[2], match[3]
                if not on_set:
                    in_loop.add(step)
                if not on_set or (on_set == " on validation set" and step not in in_loop):
                    yield step, "val_loss", _number(loss)
            elif match := _TRAINING_LINE.search(line):
                fields = (field.split(":", 1) for field in match[2].split("|") if ":" in field)
                for label, value in fields:
                    if label.strip() in _LOGGED:
                        name, factor = _LOGGED[label.strip()]
                        yield int(match[1]), name, _number(value) * factor


def _number(text: str) -> float:
    """NaN of what a killed writer left half."""
    try:
        return float(text)
    except ValueError:
        return np.nan


# ---------------------------------------------------------------- checkpoints


def _nemo2_checkpoints(result_dir: Path) -> Iterator[tuple[int, Path, int | None, bool]]:
    for path, match in _folders(result_dir, _NEMO2_FOLDER):
        finished = not path.with_name(path.name + _UNFINISHED).exists()
        complete = finished and (path / "context").is_dir() and _is_distributed(path / "weights")
        yield int(match[1]) + 1, path, int(match[2]) if match[2] else None, complete


def _mbridge_checkpoints(result_dir: Path) -> Iterator[tuple[int, Path, int | None, bool]]:
    for path, match in _folders(result_dir, _MBRIDGE_FOLDER):
        complete = _is_distributed(path) and (path / "run_config.yaml").is_file()
        noted = int(match[1]) <= _latest(path.parent)
        yield int(match[1]), path, _consumed(path / "train_state.pt"), complete and noted


def _folders(result_dir: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    """Folders of a name, which a running tool may delete meanwhile."""
    for place, folders, _ in os.walk(result_dir):
        folders[:] = [name for name in folders if not name.startswith(_ASIDE)]
        for name in list(folders):
            if match := pattern.fullmatch(name):
                folders.remove(name)
                yield Path(place) / name, match


def _is_distributed(folder: Path) -> bool:
    """Whether a distributed checkpoint was written to its end: the index is written after the shards."""
    return all((folder / name).is_file() for name in (".metadata", "metadata.json")) and any(folder.glob("*.distcp"))


def _latest(folder: Path) -> float:
    """The newest step that the tool knows of, which it notes when a checkpoint is whole; infinite without a note."""
    path = folder / _LATEST
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text.isdecimal() else np.inf


def _consumed(path: Path) -> int | None:
    """Samples that were consumed; None where the file does not tell."""
    import torch

    try:
        return int(torch.load(path, map_location="cpu", weights_only=True)["consumed_train_samples"])
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError):
        return None


def _bytes(folder: Path) -> int:
    files = [Path(place) / name for place, _, names in os.walk(folder) for name in names]
    return sum(file.stat().st_size for file in files if file.exists())
