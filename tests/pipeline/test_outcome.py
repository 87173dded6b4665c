from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workflow.config import Config
from workflow.errors import GateError, InputError, MemoryShortageError, ToolError
from workflow.launch import PreemptedError
from workflow.pipeline import PIPELINE, Run
from workflow.pipeline.outcome import read_failure, record_failure
from workflow.stages.context import StageContext


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GateError("gate finite_loss: saw nan", "finite_loss"), "gate"),
        (MemoryShortageError("train_evo2 ended: out of GPU memory"), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "out_of_memory",
        ),
        (MemoryError(), "out_of_memory"),
        (PreemptedError("train_evo2 was asked to stop"), "preempted"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(143), "interrupted"),
        (ToolError("train_evo2 ended with exit code 1"), "tool"),
        (InputError("genome.fa does not exist"), "input"),
        (OSError(28, "No space left on device"), "input"),
        (RuntimeError("sizes do not match"), "bug"),
        (AssertionError(), "bug"),
    ],
)
def test_kinds_of_failures(error: BaseException, kind: str, tmp_path: Path) -> None:
    record_failure(tmp_path, "train", error)
    failure = read_failure(tmp_path)
    assert failure is not None
    assert (failure.stage, failure.kind) == ("train", kind)
    assert failure.gate == ("finite_loss" if kind == "gate" else None)
    assert failure.message and "\n" not in failure.message


def test_secrets_are_masked(tmp_path: Path) -> None:
    record_failure(tmp_path, "download", InputError("https://me:hunter2@host/genome.fa cannot be read"))
    assert "hunter2" not in (tmp_path / "failed.json").read_text()


def failing(error: Exception) -> Callable[[StageContext], dict[str, object]]:
    def run(context: StageContext) -> dict[str, object]:
        raise error

    return run


def test_a_run_tells_why_it_failed_until_it_is_started_again(
    settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(settings, stage="all")
    works = PIPELINE["train"]
    run = Run(asked)
    monkeypatch.setitem(PIPELINE, "train", replace(works, run=failing(GateError("gate x: saw y", "adapters_move"))))
    with pytest.raises(GateError):
        run.execute()
    failure = read_failure(run.folder)
    assert failure is not None and (failure.stage, failure.gate) == ("train", "adapters_move")
    monkeypatch.setitem(PIPELINE, "train", works)
    Run(asked).execute()
    assert read_failure(run.folder) is None


def test_a_stage_that_leaves_at_a_signal_has_not_succeeded(
    settings: Config, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning ends a training that got SIGTERM by SystemExit without a code."""

    def leaves(context: StageContext) -> dict[str, object]:
        raise SystemExit

    monkeypatch.setitem(PIPELINE, "prepare", replace(PIPELINE["prepare"], run=leaves))
    run = Run(settings)
    with pytest.raises(SystemExit) as left:
        run.execute()
    assert left.value.code == 143
    failure = read_failure(run.folder)
    assert failure is not None and failure.kind == "interrupted"
