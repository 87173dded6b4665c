"""How the last command on a run failed, for what started it: a study, a scheduler, the list of runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from workflow import provenance
from workflow.artifacts import read_json, write_json
from workflow.errors import GateError, InputError, MemoryShortageError, ToolError
from workflow.launch import PreemptedError, is_out_of_memory
from workflow.registry.records import FAILURE

#: What comes first counts.
_KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (GateError, "gate"),
    ((MemoryError, MemoryShortageError), "out_of_memory"),
    (PreemptedError, "preempted"),
    ((KeyboardInterrupt, SystemExit), "interrupted"),
    (ToolError, "tool"),
    ((InputError, OSError), "input"),
)


@dataclass(frozen=True)
class Failure:
    """Why a command ended before its work was done.

    Attributes
    ----------
    stage : str
        The one that was working.
    kind : str
        `gate`, `out_of_memory`, `preempted` (it saved its state), `interrupted` (by a signal), `tool`, `input`, or
        `bug` for what no user can mend.
    gate : str, optional
        Name of the gate that fired.
    message : str
        One line for people.
    time : str
        UTC, ISO 8601.
    """

    stage: str
    kind: str
    gate: str | None
    message: str
    time: str


def record_failure(run: Path, stage: str, error: BaseException) -> None:
    """Write `failed.json` into the run folder. A process that is killed at once leaves none."""
    gate = error.gate if isinstance(error, GateError) else None
    message = str(provenance.mask_secrets(" ".join(str(error).split()) or type(error).__name__))
    write_json(run / FAILURE, asdict(Failure(stage, _kind(error), gate, message, provenance.now())))


def forget_failure(run: Path) -> None:
    """Remove what an earlier command has left."""
    (run / FAILURE).unlink(missing_ok=True)


def read_failure(run: Path) -> Failure | None:
    """What `record_failure` wrote; None where the last command has not failed, or was killed at once."""
    return Failure(**read_json(run / FAILURE)) if (run / FAILURE).exists() else None


def _kind(error: BaseException) -> str:
    if isinstance(error, RuntimeError) and is_out_of_memory(str(error).splitlines(), 0):
        return "out_of_memory"  # as PyTorch tells it
    return next((kind for errors, kind in _KINDS if isinstance(error, errors)), "bug")
