"""Everything that the files of one run tell."""

from __future__ import annotations

from pathlib import Path

from workflow.artifacts import MANIFEST
from workflow.registry.leftovers import bytes_of, find_leftovers
from workflow.registry.locks import held_locks, is_running
from workflow.registry.records import RunRecord, describe
from workflow.registry.text import UNKNOWN, Column, duration, facts, interval, moment, number, size, table, wrapped

_HASH = 12
_COLUMNS = (
    Column("stage"),
    Column("state"),
    Column("started", rank=1),
    Column("took", right=True),
    Column("size", right=True),
    Column("fingerprint", rank=2),
)
#: Files that a person looks into, by what they are; those that a run does not have are left out.
_PLACES = {
    "report": ("evaluate/report.html",),
    "metrics": ("evaluate/metrics.json", "train/metrics.parquet", "train/stream.jsonl"),
    "TensorBoard": ("train/tensorboard", "train/results/evo2/tb_logs", "train/results/evo2/dev"),
    "logs": ("logs/*/*", "*/logs/*"),
}


def show_lines(run: Path, width: int) -> list[str]:
    """A run for people: its stages, its numbers, what went wrong, and where its files are."""
    record = describe(run)
    state = "running" if is_running(run, held_locks()) else record.state
    told = {
        "state": state,
        "genome": record.genome,
        "model": record.model,
        "backend": record.backend,
        "train": record.method,
        "study": f"{record.study} ({record.role})" if record.study else None,
        "started": moment(record.started),
        "updated": moment(record.updated),
        "size": size(record.bytes),
        "data": (record.data or UNKNOWN)[:_HASH],
        "test set": (record.test_set or UNKNOWN)[:_HASH],
        "settings": (record.config or UNKNOWN)[:_HASH],
    }
    lines = wrapped(str(run), width) + facts({name: text for name, text in told.items() if text}, width)
    lines += ["", *_stage_lines(record, width)]
    parts = {
        "numbers": _number_facts(record),
        "went wrong": _faults(record),
        "put aside (python -m workflow.runs prune)": {
            item.path.relative_to(run).as_posix(): size(bytes_of(item.path)) for item in find_leftovers(run)
        },
        "files": _places(run),
    }
    for title, found in parts.items():
        if found:
            lines += ["", title, *facts(found, width)]
    return lines


def _stage_lines(record: RunRecord, width: int) -> list[str]:
    rows = [
        [
            stage.name,
            stage.state + (", shared" if stage.shared else "") + (", outdated" if stage.outdated else ""),
            moment(stage.started),
            duration(stage.seconds),
            size(stage.bytes),
            (stage.fingerprint or UNKNOWN)[:_HASH],
        ]
        for stage in record.stages
    ]
    return table(_COLUMNS, rows, width)


def _number_facts(record: RunRecord) -> dict[str, str]:
    told, found = record.headline, {}
    if "best_validation_loss" in told:
        first, best = told.get("first_validation_loss"), told["best_validation_loss"]
        found["validation loss"] = f"{number(first, 4)} before the training, {number(best, 4)} at its best"
    nll = {name: told.get(f"nll_{name}") for name in ("markov", "base", "adapted")}
    if any(value is not None for value in nll.values()):
        values = ", ".join(f"{name} {number(value, 4)}" for name, value in nll.items() if value is not None)
        found["NLL of the test split"] = f"{values} nats per base; {told['test_bases']:,} bases"
    if "gain" in told:
        found[f"gain of {told['gain_of']}"] = f"{_bracketed(told, 'gain')} nats per base"
    if "gain_over_markov" in told:
        found["gain over Markov"] = f"{_bracketed(told, 'gain_over_markov')} nats per base"
    if "forgetting" in told:
        found["forgetting"] = f"{_bracketed(told, 'forgetting')} nats per base on {told['forgetting_on']}"
    if "verdict" in told:
        found["verdict"] = f"{told['verdict']}: {told['verdict_text']}"
    return found


def _bracketed(told: dict[str, float | None], name: str) -> str:
    return interval(told[name], told[f"{name}_low"], told[f"{name}_high"])


def _faults(record: RunRecord) -> dict[str, str]:
    found = {f"damage {place}": text for place, text in enumerate(record.damage, 1)}
    if record.gates_fired:
        found["gates that fired"] = "; ".join(record.gates_fired)
    if failure := record.failure:
        found["failure"] = f"{failure.get('stage')}, {failure.get('kind')}, {failure.get('time')}"
        found["message"] = str(failure.get("message"))
    return found


def _places(run: Path) -> dict[str, str]:
    found = {}
    for name, patterns in _PLACES.items():
        paths = [path for pattern in patterns for path in sorted(run.glob(pattern)) if path.name != MANIFEST]
        if paths:
            found[name] = "  ".join(map(str, paths))
    return found
