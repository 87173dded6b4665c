"""The list of runs: one row each, the trials of a study folded into one, filtered and sorted."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from workflow.artifacts import MANIFEST, read_json
from workflow.errors import InputError
from workflow.registry.locks import held_locks, is_running
from workflow.registry.places import STUDY, member_folders, subfolders
from workflow.registry.records import BROKEN, RunRecord, describe, kept_record, read_record
from workflow.registry.text import UNKNOWN, Column, interval, moment, number, size, table, wrapped

#: What a row tells, for the columns, filters and files; None where a run does not know it.
Row = dict[str, Any]
_SHORT = 8

_HEADLINE = (
    "first_validation_loss",
    "best_validation_loss",
    "nll_markov",
    "nll_base",
    "nll_adapted",
    "gain",
    "gain_low",
    "gain_high",
    "gain_of",
    "gain_over_markov",
    "gain_over_markov_low",
    "gain_over_markov_high",
    "forgetting",
    "forgetting_low",
    "forgetting_high",
    "forgetting_on",
    "test_bases",
    "verdict",
)
KEYS = (
    "run",
    "state",
    "stage",
    "genome",
    "model",
    "backend",
    "train",
    "study",
    "role",
    "started",
    "updated",
    "seconds",
    "size",
    *_HEADLINE,
    "gates_fired",
    "failure",
    "message",
    "data",
    "test_set",
    "config",
)

_COLUMNS = (
    Column("run"),
    Column("state"),
    Column("stage", rank=5),
    Column("genome", rank=6),
    Column("model", rank=4),
    Column("backend", rank=11),
    Column("train", rank=2),
    Column("val loss", right=True, rank=3),
    Column("NLL markov, base, adapted", right=True, rank=7),
    Column("gain", rank=1),
    Column("forgetting", right=True, rank=9),
    Column("test set", rank=8),
    Column("size", right=True, rank=10),
    Column("updated", rank=1),
)
_LEGEND = (
    "val loss: before and after the training; NLL and gain: nats per base of the test split, the gain with its "
    "interval; forgetting: nats per base lost on another organism. Numbers of different test sets cannot be compared."
)


def read_rows(folder: Path, *, trials: bool) -> list[Row]:
    """A row for each run in a folder of runs.

    Parameters
    ----------
    folder : Path
    trials : bool
        Show the trials of studies as runs; else there is one row for all those of a study.

    Raises
    ------
    InputError
        The folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: give the folder that the runs are in, --folder RUNS")
    held = held_locks()
    rows: list[Row] = []
    with _without_collection():
        for place in subfolders(folder):
            if record := kept_record(place):  # most folders are runs: asked first, it saves a look at each
                rows.append(row_of(record, place, folder, held))
            elif (place / STUDY).exists():
                rows += _study_rows(place, folder, held, trials=trials)
            elif (record := describe(place)).stamps or is_running(place, held):
                rows.append(row_of(record, place, folder, held))
    return rows


def row_of(record: RunRecord, place: Path, folder: Path, held: frozenset[int]) -> Row:
    """What a run tells, by the names of `KEYS`."""
    failure = record.failure or {}
    stages = record.stages
    told: Row = {
        "run": str(place.relative_to(folder)),
        "state": "running" if is_running(place, held) else record.state,
        "stage": failure.get("stage") or (stages[-1].name if stages else None),
        "genome": record.genome,
        "model": record.model,
        "backend": record.backend,
        "train": record.method,
        "study": record.study,
        "role": record.role,
        "started": record.started,
        "updated": record.updated,
        "seconds": sum(stage.seconds or 0.0 for stage in stages if not stage.shared),
        "size": record.bytes,
        "gates_fired": "; ".join(record.gates_fired) or None,
        "failure": failure.get("kind"),
        "message": "; ".join(record.damage) or failure.get("message"),
        "data": record.data,
        "test_set": record.test_set,
        "config": record.config,
    }
    told |= {key: record.headline.get(key) for key in _HEADLINE}
    return {key: told[key] for key in KEYS}


def chosen(rows: Sequence[Row], filters: Sequence[str], sort: str, *, reverse: bool) -> list[Row]:
    """The rows that all filters let through, sorted; those that do not know the key stand last.

    Parameters
    ----------
    rows : sequence of Row
    filters : sequence of str
        `KEY=VALUE`, or `KEY~PART` for what contains a part.
    sort : str
        A key.
    reverse : bool
        The largest first.

    Raises
    ------
    InputError
        A key does not exist, or a filter is none.
    """
    _require_key(sort, "--sort")
    kept = list(rows)
    for condition in filters:
        key, sign, wanted = _parted(condition)
        _require_key(key, "--filter")
        kept = [row for row in kept if _fits(row[key], sign, wanted)]
    known = sorted((row for row in kept if row[sort] is not None), key=lambda row: row[sort], reverse=reverse)
    return known + [row for row in kept if row[sort] is None]


def list_lines(rows: Sequence[Row], width: int) -> list[str]:
    """The rows as a table for a terminal."""
    cells = [_cells(row) for row in rows]
    told = [place for place in range(len(_COLUMNS)) if any(each[place] != UNKNOWN for each in cells)]
    lines = table([_COLUMNS[place] for place in told], [[each[place] for place in told] for each in cells], width)
    notes = [f"{row['run']}: {row['message']}" for row in rows if row["state"] == "damaged"]
    if any(row["gain"] is not None or row["best_validation_loss"] is not None for row in rows):
        notes.append(_LEGEND)
    return [*lines, *(line for note in notes for line in wrapped(note, width))]


def _study_rows(study: Path, folder: Path, held: frozenset[int], *, trials: bool) -> list[Row]:
    members = [
        row_of(record, place, folder, held)
        for place in member_folders(study)
        if (record := read_record(place)).stamps or is_running(place, held)
    ]
    if trials:
        return members
    folded = [row for row in members if row["role"] == "trial"]
    return [_folded(study, folder, folded), *(row for row in members if row["role"] != "trial")]


def _folded(study: Path, folder: Path, trials: Sequence[Row]) -> Row:
    """All trials of a study as one row: how many there are in which state, and the best validation loss of them."""
    states = Counter(row["state"] for row in trials)
    losses = [row["best_validation_loss"] for row in trials if row["best_validation_loss"] is not None]
    told: Row = dict.fromkeys(KEYS)
    for key in ("genome", "model", "backend", "train", "data", "test_set", "first_validation_loss"):
        values = {row[key] for row in trials} - {None}
        told[key] = values.pop() if len(values) == 1 else None
    return told | {
        "run": f"{study.relative_to(folder)} ({len(trials)} trials)",
        "state": ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no trials yet",
        "study": study.name,
        "role": "study",
        "started": min((row["started"] for row in trials if row["started"]), default=None),
        "updated": max((row["updated"] for row in trials if row["updated"]), default=None),
        "seconds": sum(row["seconds"] for row in trials),
        "size": sum(row["size"] for row in trials) + _shared_bytes(study),
        # Losses on different data have no best one.
        "best_validation_loss": min(losses, default=None) if told["data"] else None,
    }


def _shared_bytes(study: Path) -> int:
    """Size of what the trials of a study have in common."""
    total = 0
    for place in subfolders(study / "shared"):
        try:
            total += sum(output["bytes"] for output in read_json(place / MANIFEST)["outputs"])
        except BROKEN:
            continue
    return total


def _cells(row: Row) -> list[str]:
    losses = [row["first_validation_loss"], row["best_validation_loss"]]
    nll = [row["nll_markov"], row["nll_base"], row["nll_adapted"]]
    gain = interval(row["gain"], row["gain_low"], row["gain_high"])
    aside = row["gain_of"] not in (None, "adapted over base")
    return [
        row["run"],
        f"failed: {row['failure']}" if row["state"] == "failed" else row["state"],
        row["stage"] or UNKNOWN,
        row["genome"] or UNKNOWN,
        row["model"] or UNKNOWN,
        row["backend"] or UNKNOWN,
        row["train"] or UNKNOWN,
        _together(losses, " → "),
        _together(nll, ", "),
        f"{gain} {row['gain_of']}" if aside else gain,
        number(row["forgetting"], signed=True),
        (row["test_set"] or UNKNOWN)[:_SHORT],
        size(row["size"]),
        moment(row["updated"]),
    ]


def _together(values: Sequence[float | None], sign: str) -> str:
    return UNKNOWN if all(value is None for value in values) else sign.join(map(number, values))


def _parted(condition: str) -> tuple[str, str, str]:
    places = {sign: condition.find(sign) for sign in "=~" if sign in condition}
    if not places:
        raise InputError(f"--filter {condition} is no condition: give KEY=VALUE, or KEY~PART for what contains a part")
    sign = min(places, key=lambda sign: places[sign])
    key, _, wanted = condition.partition(sign)
    return key, sign, wanted


def _fits(value: Any, sign: str, wanted: str) -> bool:
    told = "" if value is None else str(value)
    if sign == "~":
        return wanted.lower() in told.lower()
    try:
        return told == wanted or (isinstance(value, int | float) and float(wanted) == value)
    except ValueError:
        return False


def _require_key(key: str, option: str) -> None:
    if key not in KEYS:
        near = get_close_matches(key, KEYS, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(KEYS)}"
        raise InputError(f"{option}: a run has no {key}; {hint}")


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep Python from looking for garbage among hundred thousands of new objects: a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
