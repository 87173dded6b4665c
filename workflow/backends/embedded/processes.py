"""A training of several processes, as seen by the one that starts them: torchrun, and what the processes tell."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from workflow.artifacts import read_json, write_json
from workflow.backends.base import Workplace
from workflow.backends.embedded.keeping import kept_in
from workflow.backends.embedded.places import STATE
from workflow.config import Config
from workflow.console import say
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.launch import Program, prepare, run_program
from workflow.launch.rendezvous import announced
from workflow.provenance import mask_secrets

#: Beginnings of lines by which a process tells something: what to show, and the error that ended it.
SAID, FAILED = "training| ", "training failed| "
_RANK_MODULE = "workflow.backends.embedded.rank"
_LOG = "training"


@dataclass(frozen=True)
class Job:
    """What each process is given.

    Attributes
    ----------
    config : Config
        Without secrets.
    base, tokens, out : Path
        As in `take_part`.
    gates : list of dict
        What the gates have recorded so far.
    """

    config: Config
    base: Path
    tokens: Path
    out: Path
    gates: list[dict[str, Any]]

    def write(self, path: Path) -> None:
        """Write it for the processes."""
        settings = mask_secrets(asdict(self.config))
        places = {name: str(getattr(self, name).absolute()) for name in ("base", "tokens", "out")}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"config": settings, "gates": self.gates, **places})

    @classmethod
    def read(cls, path: Path) -> Job:
        """What `write` wrote."""
        told = read_json(path)
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), told["config"]))
        assert isinstance(config, Config)
        return cls(config, Path(told["base"]), Path(told["tokens"]), Path(told["out"]), told["gates"])


def program(config: Config, place: Workplace) -> Program:
    """The torchrun line of this machine.

    Raises
    ------
    InputError
        The launcher does not start such processes, or its settings do not go together.
    """
    launcher, parallel = config.launcher, config.parallel
    if launcher.name == "docker":
        raise InputError(
            "launcher=docker starts NVIDIA's tools: the local backend trains with parallel.devices="
            f"{parallel.devices} where this program runs; use launcher=process"
        )
    dressed = prepare(
        launcher,
        parallel,
        [sys.executable, "-m", _RANK_MODULE, str(_job_file(place))],
        _threads(config),
        log=place.logs / f"{_LOG}.log",
        processes=parallel.devices,
    )
    # The torchrun of this Python, which need not be on PATH.
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    return replace(dressed, argv=[*torchrun, *dressed.argv[1:]], name="the training")


def train(job: Job, gates: GateLog, place: Workplace) -> None:
    """Start the processes, show what they tell, and take up what their gates saw.

    Raises
    ------
    GateError, InputError
        As a process raised it.
    ToolError
        A process was killed, or failed otherwise.
    """
    started = program(job.config, place)
    job.write(_job_file(place))
    say(f"  {started.typed}")
    place.commands.append({"command": started.typed, "version": f"torch {torch.__version__}", "why": {}})
    with announced(job.out.parent, started):
        run_program(started, on_line=_hear, silence_minutes=job.config.backend.silence_minutes)
    gates.restore(kept_in(job.out / STATE)["gates"])


def _job_file(place: Workplace) -> Path:
    """Where the processes find what they are given; it stays beside their log."""
    return place.logs.absolute() / f"{_LOG}.json"


def _hear(line: str) -> None:
    """Act on a line that a process has printed; what libraries print is in the log."""
    if line.startswith(SAID):
        say(line.removeprefix(SAID))
    elif line.startswith(FAILED):
        raise _error(json.loads(line.removeprefix(FAILED)))


def tell_error(error: InputError) -> str:
    """The line by which a process tells what ended it."""
    gate = error.gate if isinstance(error, GateError) else None
    return FAILED + json.dumps({"message": str(error), "gate": gate}) + "\n"


def _error(told: dict[str, Any]) -> InputError:
    return InputError(told["message"]) if told["gate"] is None else GateError(told["message"], told["gate"])


def _threads(config: Config) -> dict[str, str]:
    """Threads of each process: torchrun's own choice is one."""
    name = "OMP_NUM_THREADS"
    if name in os.environ or name in config.launcher.environment:
        return {}
    return {name: str(max(1, len(os.sched_getaffinity(0)) // config.parallel.devices))}
