"""One run in one small file: `RUN/run.json`, made of the manifests of its stages, and made again when these change.

The manifests are the truth. The file spares whoever lists thousands of runs the reading of ten times as many.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from workflow.artifacts import MANIFEST, fingerprint, read_json, write_json
from workflow.errors import InputError
from workflow.registry.headline import PRUNED, headline
from workflow.registry.places import membership
from workflow.registry.settings import computing, flatten

RECORD, FAILURE = "run.json", "failed.json"
#: What a stage that works in place writes when it begins.
IN_PLACE = "in_place.json"
#: What is looked for in a stage's folder, in this order, and what it says of the stage.
_STATES = {MANIFEST: "done", PRUNED: "pruned", IN_PLACE: "unfinished"}
#: What files of other versions, or half of one, may raise.
BROKEN = (ValueError, LookupError, TypeError, AttributeError, OSError)


@dataclass(frozen=True)
class StageRecord:
    """One stage of a run.

    Attributes
    ----------
    name : str
    state : str
        `done`, `unfinished` (it works in place and has not ended), `pruned` (done, its weights removed) or `damaged`.
    started, finished : str or None
        UTC, ISO 8601.
    seconds : float or None
    fingerprint : str or None
    bytes : int or None
        Of what it published.
    shared : bool
        Whether its folder is a link to one that several runs have in common.
    outdated : bool
        Whether a stage that it was made of has been made anew since.
    """

    name: str
    state: str
    started: str | None = None
    finished: str | None = None
    seconds: float | None = None
    fingerprint: str | None = None
    bytes: int | None = None
    shared: bool = False
    outdated: bool = False


@dataclass(frozen=True)
class RunRecord:
    """What the registry knows of a run.

    Attributes
    ----------
    name : str
        Of its folder.
    study, role : str or None
        The study that it belongs to, and what it is there: `trial`, `repeat` or `final`.
    genome, model, backend, method : str or None
        Names, and how the model is trained.
    started, updated : str or None
        When its first stage began, and when something last ended (UTC, ISO 8601).
    data, test_set, config : str or None
        Fingerprints of the prepared genome, of the windows that are scored, and of all settings that say what is
        computed.
    stages : list of StageRecord
        In the order in which they were made.
    headline : dict
        From `workflow.registry.headline`.
    gates_fired : list of str
        As `stage: gate`.
    failure : dict or None
        What `failed.json` holds.
    damage : list of str
        What could not be read, one line each.
    stamps : dict
        Modification times (ns) of what this was read from.
    """

    name: str
    study: str | None = None
    role: str | None = None
    genome: str | None = None
    model: str | None = None
    backend: str | None = None
    method: str | None = None
    started: str | None = None
    updated: str | None = None
    data: str | None = None
    test_set: str | None = None
    config: str | None = None
    stages: list[StageRecord] = field(default_factory=list)
    headline: dict[str, Any] = field(default_factory=dict)
    gates_fired: list[str] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    damage: list[str] = field(default_factory=list)
    stamps: dict[str, int] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """`damaged`, `failed`, `unfinished`, `outdated` or `done`; whether a process works on it, files do not say."""
        if self.damage:
            return "damaged"
        if self.failure:
            return "failed"
        if any(stage.state == "unfinished" for stage in self.stages):
            return "unfinished"
        return "outdated" if any(stage.outdated for stage in self.stages) else "done"

    @property
    def bytes(self) -> int:
        """Of what the run's own stages published."""
        return sum(stage.bytes or 0 for stage in self.stages if not stage.shared)


def refresh(run: Path) -> None:
    """Write a run's `run.json` from its manifests and its failure.

    Never raises for what it finds there: what cannot be read is part of the record.
    """
    write_json(run / RECORD, asdict(describe(run)))


def read_record(run: Path) -> RunRecord:
    """What `run.json` says, or the manifests where they are newer or it does not exist."""
    return kept_record(run) or describe(run)


def kept_record(run: Path) -> RunRecord | None:
    """What `run.json` says; None where it does not exist, is damaged, or is older than what it was made of."""
    try:
        with open(f"{run}/{RECORD}", "rb") as file:  # noqa: PTH123 - of thousands, each microsecond counts
            value = json.loads(file.read())
        if value["stamps"] == _stamps(run) and value["name"] == run.name:
            return RunRecord(stages=[StageRecord(**stage) for stage in value.pop("stages")], **value)
    except BROKEN:
        pass
    return None


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / RECORD).exists() or bool(_stamps(folder))


def describe(run: Path) -> RunRecord:
    """The record of a run, from its manifests and its failure."""
    damage: list[str] = []
    stages, manifests = [], {}
    stamps = _stamps(run)
    for place in sorted(stamps, key=lambda place: stamps[place]):
        name, _, file = place.partition("/")
        if not file:
            continue
        try:
            stage, manifest = _stage(run / name, file)
        except BROKEN as error:
            damage.append(_told(run / place, error))
            stage, manifest = StageRecord(name, "damaged"), None
        stages.append(stage)
        if manifest:
            manifests[name] = manifest
    # Those that began in the same second stay in the order in which they were published.
    stages.sort(key=lambda stage: (stage.started is None, stage.started or ""))
    outdated = _outdated(manifests, {stage.name: stage.fingerprint for stage in stages})
    stages = [replace(stage, outdated=stage.name in outdated) for stage in stages]
    found = [manifests[stage.name] for stage in stages if stage.name in manifests]
    failure: dict[str, Any] | None = None
    numbers: dict[str, Any] = {}
    try:
        failure = read_json(run / FAILURE) if FAILURE in stamps else None
        numbers = headline(run)
    except BROKEN as error:
        damage.append(_told(run, error))
    settings = settings_of(found)
    belongs = membership(run)
    known = {stage.name: stage.fingerprint for stage in stages}
    ended = [stage.finished for stage in stages if stage.finished] + ([failure["time"]] if failure else [])
    return RunRecord(
        name=run.name,
        study=belongs.study if belongs else None,
        role=belongs.role if belongs else None,
        genome=settings.get("genome.name"),
        model=settings.get("model.name"),
        backend=settings.get("backend.name"),
        method=settings.get("train.method"),
        started=min((stage.started for stage in stages if stage.started), default=None),
        updated=max(ended, default=None),
        data=known.get("prepare"),
        test_set=_test_set(manifests.get("predict")),
        config=fingerprint(settings) if settings else None,
        stages=stages,
        headline=numbers,
        gates_fired=_fired(found),
        failure=failure,
        damage=damage,
        stamps=stamps,
    )


def settings_of(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """The settings that say what a run computes, by dotted key.

    Those that a stage was made with stand before what a later command, which did not make it again, was given.

    Parameters
    ----------
    manifests : list of dict
        Of the run's stages, in the order in which they were made.
    """
    settings = flatten(computing(manifests[-1]["config"])) if manifests else {}
    for manifest in manifests:
        settings |= flatten(manifest["identity"]["config"])
    return settings


def _outdated(manifests: Mapping[str, dict[str, Any]], now: Mapping[str, str | None]) -> set[str]:
    """Stages made of another state of a stage than that which is there, or of one that is outdated itself."""
    read = {name: manifest["identity"]["stages"] for name, manifest in manifests.items()}
    found = {name for name, of in read.items() if any(now.get(stage, past) != past for stage, past in of.items())}
    while more := {name for name, of in read.items() if name not in found and found & of.keys()}:
        found |= more
    return found


def _stage(folder: Path, file: str) -> tuple[StageRecord, dict[str, Any] | None]:
    """The record of a stage, and its manifest where it was done."""
    content = read_json(folder / file)
    if _STATES[file] == "unfinished":
        return StageRecord(folder.name, "unfinished", fingerprint=content["fingerprint"]), None
    timings = content["timings"]
    finished = datetime.fromisoformat(timings["started"]) + timedelta(seconds=timings["seconds"])
    flatten(content["config"]), flatten(content["identity"]["config"])  # what is no mapping is damaged
    dict(content["identity"]["stages"])
    record = StageRecord(
        folder.name,
        _STATES[file],
        timings["started"],
        finished.isoformat(timespec="seconds"),
        timings["seconds"],
        content["fingerprint"],
        sum(output["bytes"] for output in content["outputs"]),
        folder.is_symlink(),
    )
    return record, content


def _stamps(run: Path) -> dict[str, int]:
    """Modification times of what a record is made of, by path within the run; cheap, as a list asks it of each run."""
    found: dict[str, int] = {}
    folder = str(run)
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return found
    for name in names:
        if name == FAILURE:
            found[name] = os.stat(f"{folder}/{name}").st_mtime_ns  # noqa: PTH116
        if "." in name:  # a file, something hidden, or a stage that was put aside
            continue
        for file in _STATES:
            try:
                found[f"{name}/{file}"] = os.stat(f"{folder}/{name}/{file}").st_mtime_ns  # noqa: PTH116
                break
            except OSError:
                continue
    return found


def _test_set(predict: Mapping[str, Any] | None) -> str | None:
    """What makes the scored windows those they are."""
    if predict is None:
        return None
    config = flatten(predict["identity"]["config"])
    windows = {key: config.get(key) for key in ("predict.windows", "predict.split", "windows.length")}
    return fingerprint(windows | {"prepare": predict["identity"]["stages"].get("prepare")})


def _fired(manifests: list[dict[str, Any]]) -> list[str]:
    gates = [(manifest["stage"], gate) for manifest in manifests for gate in manifest["gates"]]
    return list(dict.fromkeys(f"{stage}: {gate['name']}" for stage, gate in gates if not gate["passed"]))


def _told(place: Path, error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    return f"{place}: damaged, or of a version that is not known here ({type(error).__name__} {error})"
