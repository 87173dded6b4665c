"""What `python -m workflow.jobs` shows and does, with stand-ins for SLURM's programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.launch.slurm.conftest import stand_in, words_in  # noqa: F401 fixture
from workflow import jobs
from workflow.artifacts import write_json, write_text
from workflow.errors import ToolError
from workflow.launch.slurm import Submitted, add_record
from workflow.pipeline.outcome import record_failure

StandIn = Callable[..., Path]
#: Three jobs: one done, an array of which one task runs and one failed, one that waits.
STATES = """
case "$4" in
    10) echo 'JobId=10 JobState=COMPLETED Reason=None RunTime=00:01:00 Restarts=0 ExitCode=0:0 NodeList=n1' ;;
    11) array='ArrayJobId=11 ArrayTaskId'
        echo "JobId=12 $array=0 JobState=RUNNING Reason=None RunTime=1-02:00:00 Restarts=2 NodeList=n[1-2]"
        echo "JobId=11 $array=1 JobState=FAILED Reason=NonZeroExitCode RunTime=00:00:07 ExitCode=2:0" ;;
    11_0) if [[ -e ended ]]; then state=COMPLETED; else state=RUNNING; fi; echo "JobId=12 JobState=$state" ;;
    11_1) echo 'JobId=11 JobState=FAILED' ;;
    13) echo 'JobId=13 JobState=PENDING Reason=Dependency RunTime=00:00:00 NodeList=(null)' ;;
    *) echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1 ;;
esac
"""


@pytest.fixture
def run(tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    stand_in("scontrol", STATES)
    stand_in("sacct", "exit 1")
    folder = tmp_path / "runs" / "a"
    (folder / "jobs").mkdir(parents=True)
    for number, stages, array in (
        ("10", ["prepare", "convert"], None),
        ("11", ["predict"], 2),
        ("13", ["predict"], None),
    ):
        after = ["10"] if array else []
        add_record(folder, Submitted(number, f"{number}-x", stages, array, after, "2030-01-01T00:00:00+00:00"))
    return folder


def say(capsys: pytest.CaptureFixture[str], *line: object) -> str:
    jobs.main([*map(str, line)])
    return capsys.readouterr().out


def test_status(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "prepare").mkdir()
    write_json(run / "prepare" / "manifest.json", {})
    record_failure(run, "predict", ToolError("no memory"))
    assert say(capsys, "status", run).splitlines() == [
        "job   makes             state      why              machines  elapsed     restarts",
        "10    prepare, convert  COMPLETED                   n1        00:01:00",
        "11_0  predict           RUNNING                     n[1-2]    1-02:00:00  2",
        "11_1  predict           FAILED     NonZeroExitCode            00:00:07",
        "13    predict           PENDING    Dependency                 00:00:00",
        "published: prepare",
        "failed in predict (tool): no memory",
    ]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("JobState=TIMEOUT Reason=TimeLimit", "launcher.slurm.signal_seconds"),
        ("JobState=OUT_OF_MEMORY Reason=OutOfMemory", "launcher.slurm.memory"),
        ("JobState=PENDING Reason=PartitionTimeLimit", "launcher.slurm.time"),
    ],
)
def test_way_out(
    run: Path,
    stand_in: StandIn,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    state: str,
    told: str,
) -> None:
    stand_in("scontrol", f"echo JobId=10 {state}")
    assert told in say(capsys, "status", run)


def test_log_of_what_runs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in ("10-x-10", "11-x-11_0", "11-x-11_1"):
        write_text(run / "jobs" / f"{task}.log", f"{task}\n")
    assert say(capsys, "log", run) == "11-x-11_0\n"
    assert say(capsys, "log", run, "--job", "11_1") == "11-x-11_1\n"
    assert say(capsys, "log", run, "--job", "10") == "10-x-10\n"


def test_log_is_followed_to_the_end(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is printed between the last look and the end, and a letter of two bytes that comes in halves."""
    path = run / "jobs" / "11-x-11_0.log"
    looks = iter([b"one\n", "\u00e9".encode()[:1], "\u00e9".encode()[1:] + b"\nlast\n"])

    def wait(seconds: float) -> None:
        with path.open("ab") as file:
            file.write(next(looks))
        if path.read_bytes().endswith(b"last\n"):
            Path("ended").touch()

    monkeypatch.setattr(jobs, "time", SimpleNamespace(sleep=wait))
    assert say(capsys, "log", run, "--follow") == "one\n\u00e9\nlast\n"


def test_errors_of_use(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        ("log", run, "--job", "99"): f"error: {run} has no job 99: `python -m workflow.jobs status {run}` lists them\n",
        ("log", run, "--job", "11"): f"error: job 11 of {run} is an array: give a task of it, such as 11_0\n",
        ("log", run, "--job", "13"): "error: job 13 has printed nothing yet (PENDING)\n",
        ("status", tmp_path): f"error: {tmp_path} has no jobs: nothing was submitted for it with launcher=slurm\n",
    }
    for line, told in cases.items():
        with pytest.raises(SystemExit) as caught:
            say(capsys, *line)
        assert (caught.value.code, capsys.readouterr().err) == (2, told)


def test_cancel(run: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    asked = stand_in("scancel")
    assert say(capsys, "cancel", run) == "cancelled: 11, 13\n"
    assert words_in(asked) == ["11", "13"]
    asked.unlink()
    assert say(capsys, "cancel", run, "--job", "11_0") == "cancelled: 11_0\n"
    assert words_in(asked) == ["11_0"]
    assert say(capsys, "cancel", run, "--job", "10") == f"no job of {run} waits or runs\n"
