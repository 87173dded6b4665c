"""The decision to run, skip or go on with each stage, and the manifest of what it made.

A stage's fingerprint covers its part of the configuration, the files it reads from outside the run, the
fingerprints of the stages before it, and the version of its format. A published stage with the same
fingerprint is skipped.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from workflow import provenance
from workflow.artifacts import (
    MANIFEST,
    describe_outputs,
    fingerprint,
    publish,
    read_json,
    read_manifest,
    run_lock,
    waiting_lock,
    write_json,
)
from workflow.config import Config
from workflow.console import say, summary_table
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.genome.web import hide_secrets
from workflow.identity import are_awaited, describe_inputs, difference
from workflow.launch.rendezvous import ATTEMPT
from workflow.pipeline.outcome import forget_failure, record_failure
from workflow.pipeline.table import OPTIONAL, PIPELINE, Stage
from workflow.preflight import preflight
from workflow.registry import refresh
from workflow.stages import convert
from workflow.stages.context import StageContext
from workflow.tracking import log_evaluation, require_tracker

#: Written into a stage's folder while it works in place.
_IN_PLACE = "in_place.json"
#: Where the logs of tools are until their stage is published, and stay when it fails.
LOGS = "logs"
#: What trials of a study have in common, unless their parameters say otherwise.
_SHARED = ("download", "prepare", "preprocess", "convert")
#: A scheduler starts a job anew before a file system on the network has noticed that the machine is gone which held
#: the lock.
_PATIENCE_SECONDS = 300.0
_UNCHANGED = "done with the same settings and inputs"


@dataclass(frozen=True)
class Step:
    """What will happen to one stage, and why.

    Attributes
    ----------
    stage : Stage
    reason : str
    skip : bool
    inputs : list of dict
        Descriptions of the files read from outside the run; of one that is yet to be downloaded, its path.
    identity : dict
        What the fingerprint is of, so that a difference can be told.
    """

    stage: Stage
    reason: str
    skip: bool
    inputs: list[dict[str, Any]]
    identity: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """What the stage's artefacts carry."""
        return fingerprint(self.identity)

    @property
    def waits(self) -> bool:
        """Whether a file that it reads is yet to be downloaded."""
        return are_awaited(self.inputs)

    def with_downloads(self) -> Step:
        """The step once it ran, with a description of what it has downloaded."""
        inputs = describe_inputs([Path(item["path"]) for item in self.inputs], {i["path"]: i for i in self.inputs})
        return replace(self, inputs=inputs, identity=self.identity | {"files": self.stage.tell_files(inputs)})


class Run:
    """The run folder that a configuration names.

    Parameters
    ----------
    config : Config
        Resolved and checked.
    shared : Path, optional
        Folder in which the stages before the training are made and kept by their fingerprints, so that runs which
        differ only in what comes after have them once. The run folder gets links to them.
    """

    def __init__(self, config: Config, shared: Path | None = None) -> None:
        self.config, self.shared = config, shared
        self.folder = Path(config.runs_folder) / config.run_name
        # `prepare` begins with the download of what it reads.
        self._asked = ("download", *config.stages) if "prepare" in config.stages else config.stages
        # A secret in a URL is not part of what makes a genome, and may be another each day.
        fasta, annotation = config.genome.fasta, config.genome.annotation
        shown = replace(
            config.genome, fasta=hide_secrets(fasta), annotation=hide_secrets(annotation) if annotation else annotation
        )
        self._settings = asdict(replace(config, genome=shown))

    def plan(self) -> list[Step]:
        """What each stage that is asked for would do.

        Raises
        ------
        InputError
            An input file is missing; or a stage that is not asked for has to be there, and is not, or was
            made with other settings.
        """
        steps: dict[str, Step] = {}
        for name in self._wanted_and_needed():
            step = self._step(PIPELINE[name], steps)
            if step.skip or name in self._asked or name not in OPTIONAL:
                steps[name] = step
        missing = [name for name, step in steps.items() if name not in self._asked and not step.skip]
        if missing:
            raise InputError(
                f"stage {missing[0]} has to run first in {self.folder} ({steps[missing[0]].reason}): "
                f"use stage=[{','.join(name for name in PIPELINE if name in (*missing, *self.config.stages))}]"
            )
        planned = [step for name, step in steps.items() if name in self._asked]
        if not planned:
            raise InputError(f"train=none leaves nothing to do for stage={self.config.stage}")
        return planned

    def preflight(self, steps: list[Step]) -> dict[str, GateLog]:
        """The gate log of each stage that would run, with what can be told before anything does.

        Raises
        ------
        GateError
            One fired and its action is `stop`.
        """
        wanted = [step.stage.name for step in steps if not step.skip]
        gates = {name: preflight(self.config, name) for name in wanted}
        if "train" in wanted or "evaluate" in wanted:
            require_tracker(self.config)
        for name in wanted:
            if self.config.starts_programs(name):
                self.script(name)
        return gates

    def script(self, stage: str) -> tuple[list[str], list[str]]:
        """The shell lines of the tools that a stage would start, checked against what they accept; and notes on them.

        Raises
        ------
        InputError
            The backend is none, or its tools would refuse a command.
        """
        from workflow.backends import Workplace, open_backend

        config = self.config
        if stage == "convert" and (found := convert.checkpoint(config)):
            config = replace(config, model=replace(config.model, checkpoint=found))
        place = Workplace(self.folder / stage)
        return open_backend(config, place).script(config, stage, self.folder), place.notes

    def execute(self) -> None:
        """Run or skip the stages that are asked for.

        Raises
        ------
        InputError
            As `plan` and `preflight`; or another process works on this run; or a stage's own.
        """
        steps = self.plan()
        gates = self.preflight(steps)
        if self.config.shard is not None:
            self._make_shard(*self.config.shard, steps, gates)
            return
        with run_lock(self.folder, _PATIENCE_SECONDS if ATTEMPT in os.environ else 0):
            forget_failure(self.folder)
            while steps:
                step, *steps = steps
                if step.skip:
                    say(f"{step.stage.name}: skipped, {step.reason}")
                    continue
                say(f"{step.stage.name}: {step.reason}")
                with self._failures_told(step):
                    self._make(step, gates[step.stage.name])
                if step.waits:  # only now is known what was downloaded, and so what is to be done with it
                    steps = self.plan()[1:]

    # ------------------------------------------------------------ planning

    def _wanted_and_needed(self) -> list[str]:
        """The stages asked for and those before them, in order; what `_after` leaves out is not needed."""
        needed = set(self._applicable(self._asked))
        for name in reversed(PIPELINE):
            if name in needed:
                needed |= set(self._after(PIPELINE[name]))
        return [name for name in PIPELINE if name in needed]

    def _applicable(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if self.config.has_work(name)]

    def _after(self, stage: Stage) -> list[str]:
        """Stages that `stage` reads, where the run has them."""
        return [name for name in self._applicable(stage.after) if self.config.reads(stage.name, name)]

    def _step(self, stage: Stage, before: dict[str, Step]) -> Step:
        folder = self.folder / stage.folder(self.config)
        manifest = read_manifest(folder) if (folder / MANIFEST).exists() else None
        known = {item["path"]: item for item in manifest["inputs"]} if manifest else {}
        inputs = describe_inputs(stage.files(self.config) if stage.files else [], known)
        identity = {
            "version": stage.version,
            "config": stage.settings(self.config, self._settings),
            "files": stage.tell_files(inputs),
            "stages": {name: before[name].fingerprint for name in self._after(stage) if name in before},
        }
        if stage.names and (names := stage.names(self.config)):
            identity["files"] = names
        awaited = "a file is not downloaded yet" if are_awaited(inputs) else None
        reason = awaited or self._reason_to_run(stage, manifest, identity, before)
        return Step(stage, _UNCHANGED if reason is None else reason, reason is None, inputs, identity)

    def _reason_to_run(
        self, stage: Stage, manifest: dict[str, Any] | None, identity: dict[str, Any], before: dict[str, Step]
    ) -> str | None:
        if self.config.force and stage.name in self.config.stages:
            return "force=true"
        if manifest is None:
            unfinished = stage.in_place and self._marker(stage) == fingerprint(identity)
            return "goes on from its last state" if unfinished else "not done yet"
        if any(not before[name].skip for name in identity["stages"]):
            return "a stage before it runs"
        if manifest["fingerprint"] != fingerprint(identity):
            return difference(manifest["identity"], provenance.mask_secrets(identity))
        return None

    # ------------------------------------------------------------ running

    @contextmanager
    def _failures_told(self, step: Step) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            record_failure(self.folder, step.stage.name, error)
            refresh(self.folder)
            if isinstance(error, SystemExit) and not error.code:
                # As Lightning leaves at SIGTERM; a scheduler would take it for the end of the work.
                raise SystemExit(128 + signal.SIGTERM) from error
            raise
        refresh(self.folder)

    def _make_shard(self, name: str, number: int, steps: list[Step], gates: dict[str, GateLog]) -> None:
        """Make one part of a stage, beside other processes of this run: it takes no lock."""
        step, *others = steps
        if others or step.stage.name != name:
            asked = ",".join(self.config.stages)
            raise InputError(f"{name}.shard={number} makes a part of one stage: use stage={name}, not [{asked}]")
        if step.skip:
            say(f"{name}: skipped, {step.reason}")
            return
        assert step.stage.make_shard is not None
        logs, target = self.folder / LOGS / name, self.folder / name
        step.stage.make_shard(self._context(step, gates[name], self.folder, logs, target))

    def _make(self, step: Step, gates: GateLog) -> None:
        """Make a stage in the run folder, or in `shared`, where another run may have made it already."""
        target = self.folder / step.stage.folder(self.config)
        if self.shared is None or step.stage.name not in _SHARED:
            self._run(step, gates, target)
            return
        place = self.shared / f"{step.stage.name}-{step.fingerprint[:12]}"
        with waiting_lock(place):
            if (place / MANIFEST).exists():
                say(f"  another run has made it in {place}")
            else:
                self._run(step, gates, place)
        _link(target, place)

    def _run(self, step: Step, gates: GateLog, target: Path) -> None:
        stage = step.stage
        started, clock = provenance.now(), time.monotonic()
        building = self._in_place(step) if stage.in_place else publish(target)
        with building as out:
            logs = None if stage.in_place else self.folder / LOGS / stage.name
            context = self._context(step, gates, out, logs, target)
            counts = stage.run(context)
            _publish_logs(logs, out)
            step = step.with_downloads()
            seconds = round(time.monotonic() - clock, 3)
            manifest = {
                "stage": stage.name,
                "status": "done",
                "run_name": self.config.run_name,
                "fingerprint": step.fingerprint,
                "identity": provenance.mask_secrets(step.identity),
                "config": provenance.mask_secrets(self._settings),
                "inputs": provenance.mask_secrets(step.inputs),
                "outputs": describe_outputs(out),
                "counts": counts,
                "gates": gates.as_records(),
                "commands": [hide_secrets(shlex.join(provenance.command_line()))],
                # As they would be typed now: the folder that was built in has its final name.
                "tools": [
                    tool | {"command": tool["command"].replace(str(out.absolute()), str(target.absolute()))}
                    for tool in provenance.mask_secrets(context.place.commands)
                ],
                "notes": context.place.notes,
                "timings": {"started": started, "seconds": seconds},
                **provenance.environment(),
            }
            write_json(out / MANIFEST, manifest)
        if stage.tidy is not None:
            stage.tidy(self.folder)
        if stage.name == "evaluate":
            log_evaluation(self.config, self.folder)
        say(summary_table(f"{stage.name}: done in {seconds:.1f} s, in {target}", counts))

    def _context(self, step: Step, gates: GateLog, out: Path, logs: Path | None, target: Path) -> StageContext:
        return StageContext(self.config, out, self.folder, gates, logs, target, step.fingerprint)

    @contextmanager
    def _in_place(self, step: Step) -> Iterator[Path]:
        """The stage's own folder, with what an interrupted run of the same settings left in it.

        Anything else that lies there is put aside, not deleted: it may be days of work of a GPU.
        """
        folder = self.folder / step.stage.name
        goes_on = self._marker(step.stage) == step.fingerprint and not (folder / MANIFEST).exists()
        if folder.exists() and all(path.name.startswith(".") for path in folder.iterdir()):
            shutil.rmtree(folder)  # killed before any work began
        elif folder.exists() and (self.config.force or not goes_on):
            aside = next(p for n in count(1) if not (p := folder.with_name(f"{folder.name}.superseded-{n}")).exists())
            os.replace(folder, aside)
            say(f"  the earlier {step.stage.name} is kept in {aside}")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _IN_PLACE, {"fingerprint": step.fingerprint})
        yield folder

    def _marker(self, stage: Stage) -> str | None:
        """Fingerprint of the work that lies in the stage's folder."""
        path = self.folder / stage.name / _IN_PLACE
        return read_json(path)["fingerprint"] if path.exists() else None


def _publish_logs(logs: Path | None, out: Path) -> None:
    """Put the logs of a stage that ended well beside what it made."""
    if logs is not None and logs.exists():
        os.replace(logs, out / LOGS)
        if not any(logs.parent.iterdir()):
            logs.parent.rmdir()


def _link(link: Path, place: Path) -> None:
    """Let a folder of the run be that which lies in `place`, whatever it was before."""
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        shutil.rmtree(link)
    link.symlink_to(os.path.relpath(place.resolve(), link.parent.resolve()))
