"""What SLURM's programs answer, where a real one does not answer so on demand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launch.slurm.conftest import words_in
from workflow.errors import InputError
from workflow.launch.slurm import Submitted, TaskState, add_record, cancel, read_records, states_of, submit

StandIn = Callable[..., Path]
FORGOTTEN = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"


def test_submission(tmp_path: Path, stand_in: StandIn) -> None:
    asked = stand_in("sbatch", "echo '17;cluster'")
    assert submit(tmp_path / "a.sbatch", after=["3", "4"]) == "17"
    assert words_in(asked) == ["--parsable", "--dependency=afterok:3:4", str(tmp_path / "a.sbatch")]


def test_job_submitted_by_a_job_is_another(tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its array, its restarts and the rest would be taken for those of the new one."""
    stand_in("sbatch", "echo $SLURM_CONF:$SLURM_HINT:$SLURM_ARRAY_JOB_ID:$SLURM_RESTART_COUNT")
    for name in ("CONF", "HINT", "ARRAY_JOB_ID", "RESTART_COUNT"):
        monkeypatch.setenv(f"SLURM_{name}", name)
    assert submit(tmp_path / "a.sbatch") == "CONF:HINT:ARRAY_JOB_ID:RESTART_COUNT"
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert submit(tmp_path / "a.sbatch") == "CONF:::"


def test_no_slurm_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"^sbatch is not on PATH: use launcher=slurm on a login node of SLURM$"):
        submit(tmp_path / "a.sbatch")


def test_refusal_in_one_line(tmp_path: Path, stand_in: StandIn) -> None:
    stand_in("sbatch", "printf 'sbatch: error: no account\\nsbatch: error: failed\\n' >&2; exit 1")
    with pytest.raises(InputError, match=r"^sbatch refused \S+a\.sbatch: no account; failed$"):
        submit(tmp_path / "a.sbatch")


def test_controller_that_does_not_answer(stand_in: StandIn) -> None:
    stand_in("scontrol", "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(InputError, match=r"^SLURM does not tell the state of job 7: slurm_load_jobs error: Unable"):
        states_of("7")
    stand_in("scancel", "echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(InputError, match=r"^scancel refused 7 8: Unable to contact slurm controller$"):
        cancel(["7", "8"])


def test_accounting_remembers(stand_in: StandIn) -> None:
    stand_in("scontrol", FORGOTTEN)
    asked = stand_in(
        "sacct", "echo '7_0|COMPLETED|None|n1|00:01:00|0:0'; echo '7_1|CANCELLED by 0|None|n2|00:02:00|0:15'"
    )
    assert states_of("7") == [
        TaskState("7_0", "COMPLETED", "", "n1", "00:01:00", 0, "0:0"),
        TaskState("7_1", "CANCELLED", "", "n2", "00:02:00", 0, "0:15"),
    ]
    assert "--jobs=7" in words_in(asked)


@pytest.mark.parametrize("lines", ["echo 'Slurm accounting storage is disabled' >&2; exit 1", ""])
def test_nobody_remembers(stand_in: StandIn, lines: str) -> None:
    stand_in("scontrol", FORGOTTEN)
    stand_in("sacct", lines)
    assert states_of("7") == [TaskState("7", "UNKNOWN", "SLURM has forgotten it")]
    assert not states_of("7")[0].unfinished and not states_of("7")[0].failed


def test_tasks_that_wait(stand_in: StandIn) -> None:
    stand_in(
        "scontrol", "echo 'JobId=9 ArrayJobId=9 ArrayTaskId=3-7 JobName=a JobState=PENDING Reason=Priority NodeList='"
    )
    assert states_of("9") == [TaskState("9_[3-7]", "PENDING", "Priority")]


def test_records(tmp_path: Path) -> None:
    assert read_records(tmp_path) == []
    (tmp_path / "jobs").mkdir()
    records = [Submitted(str(n), f"0{n}-train", ["train"], None, [], "2030-01-01T00:00:00+00:00") for n in (1, 2)]
    for record in records:
        add_record(tmp_path, record)
    assert read_records(tmp_path) == records
    assert records[0].log(tmp_path, "1") == tmp_path / "jobs" / "01-train-1.log"
