"""Getting disk back: what may be removed from runs, and the removing of it under their locks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow.artifacts import MANIFEST, describe_outputs, read_json, run_lock, write_json
from workflow.errors import InputError
from workflow.registry.headline import PRUNED
from workflow.registry.leftovers import Leftover, bytes_of, find_leftovers
from workflow.registry.locks import held_locks, is_running
from workflow.registry.places import STUDY, member_folders, subfolders
from workflow.registry.records import IN_PLACE, is_run, refresh

TRIALS = "trials.parquet"
#: What a training leaves that is not weights, and stays.
_KEPT = ("metrics.parquet", "stream.jsonl", "tensorboard", "tracking.json", "logs", MANIFEST, PRUNED)


@dataclass(frozen=True)
class Pruning:
    """What may go.

    Attributes
    ----------
    items : dict of list
        By the run folder that they lie in.
    busy : list of Path
        Runs that another process works on; they are left alone.
    notes : list of str
        Why something was not looked at.
    """

    items: dict[Path, list[Leftover]]
    busy: list[Path]
    notes: list[str]


def plan_pruning(folder: Path, kinds: Collection[str], keep: int) -> Pruning:
    """What of `kinds` may go from the runs in a folder; nothing is touched.

    Parameters
    ----------
    folder : Path
        The folder of runs.
    kinds : collection of str
        Keys of `KINDS`.
    keep : int
        Trials of a study that keep their weights: the best so many of each objective.

    Raises
    ------
    InputError
        The folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: give the folder that the runs are in, --folder RUNS")
    found: dict[Path, list[Leftover]] = {}
    notes: list[str] = []
    for place in subfolders(folder):
        if (place / STUDY).exists():
            try:
                found |= _of_study(place, keep)
            except (InputError, KeyError, TypeError, OSError) as error:
                notes.append(f"{place} is left alone: its files are not those of a study that can be read ({error})")
        elif is_run(place):
            found[place] = find_leftovers(place)
    wanted = {run: [item for item in items if item.kind in kinds] for run, items in found.items()}
    held = held_locks()
    busy = [run for run in wanted if is_running(run, held)]
    return Pruning({run: items for run, items in wanted.items() if items and run not in busy}, busy, notes)


def prune(pruning: Pruning) -> Iterator[tuple[Leftover, str | None]]:
    """Remove what was planned; yields each item with None, or with why it was left.

    Every run is locked while it is worked on.
    """
    for run, items in pruning.items.items():
        try:
            with run_lock(run):
                for item in items:
                    _remove(item)
                    yield item, None
                if run.exists():
                    _tell_outputs(run, items)
                    if is_run(run):
                        refresh(run)
        except (InputError, OSError) as error:
            for item in items:
                if item.path.exists():
                    yield item, str(error)


def _of_study(study: Path, keep: int) -> dict[Path, list[Leftover]]:
    found = {run: find_leftovers(run) for run in member_folders(study)}
    if not (study / TRIALS).exists():
        return found
    trials = pd.read_parquet(study / TRIALS)
    objectives = read_json(study / STUDY)["objectives"]
    best = _best(trials, {o["name"]: o["direction"] for o in objectives}, keep)
    for number, state, run in trials[["number", "state", "run"]].itertuples(index=False, name=None):
        place = study / str(run)
        if place not in found:
            continue
        if state == "failed":
            found[place] = [Leftover(place, "failed")]
        elif state in ("complete", "pruned") and number not in best and _weights(place / "train"):
            found[place].append(Leftover(place / "train", "weights"))
    return found


def _best(trials: pd.DataFrame, directions: dict[str, str], keep: int) -> set[int]:
    """Numbers of the best complete trials in each objective."""
    complete = trials[trials["state"] == "complete"]
    best: set[int] = set()
    for name, direction in directions.items():
        ordered = complete.sort_values(f"value.{name}", ascending=direction == "minimize", kind="stable")
        best |= set(ordered["number"].head(keep).astype(int))
    return best


def _weights(train: Path) -> list[Path]:
    """What the training of a trial can do without: to go on it would need it, a report does not."""
    if train.is_symlink() or not train.is_dir():
        return []
    # The mark of a training that was begun, so that one that has not ended begins anew.
    kept = _KEPT if (train / MANIFEST).exists() else (*_KEPT, IN_PLACE)
    return sorted(path for path in train.iterdir() if path.name not in kept)


def _remove(item: Leftover) -> None:
    if item.kind != "weights":
        _delete(item.path)
        return
    unneeded = _weights(item.path)
    if (item.path / MANIFEST).exists():
        # No longer a finished stage: what needs the weights has to train again.
        os.replace(item.path / MANIFEST, item.path / PRUNED)
    for path in unneeded:
        _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _tell_outputs(run: Path, items: list[Leftover]) -> None:
    """Let the manifests of the stages that something was removed from say what is there now."""
    for stage in {run / item.path.relative_to(run).parts[0] for item in items}:
        for name in (MANIFEST, PRUNED):
            if (stage / name).exists():
                there = [output for output in describe_outputs(stage) if output["path"] != name]
                write_json(stage / name, read_json(stage / name) | {"outputs": there})


def size_of(item: Leftover) -> int:
    """Bytes that removing an item gives back."""
    return sum(map(bytes_of, _weights(item.path))) if item.kind == "weights" else bytes_of(item.path)
