"""Jobs on a real SLURM: submitted, stopped, lost and brought back."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launch.slurm.cluster import SPARE, Cluster, asked, running_cluster, wait_until
from tests.launch.slurm.conftest import ROOT, SMALL, Configure
from workflow import jobs
from workflow.config.launcher import LauncherConfig, SlurmConfig
from workflow.errors import InputError
from workflow.launch.slurm import Job, TaskState, cancel, render, states_of, submit
from workflow.submitting import submit_run

#: Counts to a number in steps of a tenth of a second, and goes on from what it saved when it was told to end.
COUNTER = """
    import os, signal, sys, time
    from pathlib import Path

    saved, last = Path(sys.argv[1]), int(sys.argv[2])
    count = int(saved.read_text()) if saved.exists() else 0

    def save(signum, frame):
        saved.write_text(str(count))
        print("saved", count, flush=True)
        sys.exit(143)

    signal.signal(signal.SIGTERM, save)
    print("start", os.environ["WORKFLOW_ATTEMPT"], count, os.environ["SLURMD_NODENAME"], flush=True)
    while count < last:
        time.sleep(0.1)
        count += 1
    print("end", count, flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module", autouse=True)
def job_beyond_its_time(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Begins before all others, since SLURM looks at time limits twice a minute only."""
    folder = tmp_path_factory.mktemp("time")
    settings = {"time": "01:00", "signal_seconds": 55, "options": ["--nodelist=nodea"]}
    return folder, submit(write_job(folder, COUNTER, folder / "saved", 400, **settings))


@pytest.fixture(scope="module", autouse=True)
def job_on_a_lost_machine(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Also begun before the others: SLURM takes its time to believe that a machine is gone."""
    folder = tmp_path_factory.mktemp("lost")
    job = submit(write_job(folder, COUNTER, folder / "saved", 30, partition="spare"))
    wait_until(lambda: lines(folder, job))
    lost = state(job).nodes
    cluster.lose_node(lost)
    return folder, job, lost


@pytest.fixture(scope="module", autouse=True)
def job_that_makes_room(
    job_on_a_lost_machine: object, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, str]:
    """Begun early as well: SLURM waits before it starts a job again. A job on one machine, and a better one for it."""
    folder = tmp_path_factory.mktemp("room")
    where = {"options": ["--nodelist=nodec", "--exclusive"]}
    poor = submit(write_job(folder, COUNTER, folder / "saved", 30, name="poor", partition="gpu", **where))
    wait_until(lambda: lines(folder, poor, "poor"))
    return folder, poor, submit(write_job(folder, "print('end')", name="rich", partition="urgent", **where))


@pytest.fixture(scope="module", autouse=True)
def array_with_a_stopped_task(
    job_that_makes_room: object, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, list[str]]:
    """Three tasks of which the last has been told to make room. Its number is that of the whole array."""
    folder = tmp_path_factory.mktemp("array")
    script = write_job(folder, COUNTER, folder / "x", 40, array=3, exclude="nodec")
    text = script.read_text().replace(str(folder / "x"), f'{folder}/saved"$SLURM_ARRAY_TASK_ID"')
    script.write_text(text)
    job = submit(script)
    tasks = [f"{job}_{number}" for number in range(3)]
    wait_until(lambda: all(lines(folder, task) for task in tasks))
    assert asked("scontrol", "-o", "show", "job", tasks[2]).startswith(f"JobId={job} "), "as SLURM numbers them"
    asked("scancel", "--batch", "--signal=USR1", tasks[2])
    return folder, job, tasks


def write_job(folder: Path, code: str, *words: object, name: str = "job", **settings: object) -> Path:
    """Write the script of a job that runs Python code."""
    (folder / f"{name}.py").write_text(textwrap.dedent(code))
    slurm = SlurmConfig(
        **{key: settings.pop(key) for key in list(settings) if key in SlurmConfig.__dataclass_fields__} | {"cpus": 1}
    )
    job = Job(
        **{
            "name": name,
            "title": name,
            "stages": ("train",),
            "command": (sys.executable, "-S", "-u", str(folder / f"{name}.py"), *map(str, words)),
            "live": (),
            "folder": folder,
            "log": folder / f"{name}-{'%A_%a' if 'array' in settings else '%j'}.log",
            "computes": True,
            **settings,
        }
    )
    script = folder / f"{name}.sbatch"
    script.write_text(render(job, LauncherConfig(slurm=slurm)))
    return script


def state(job: str) -> TaskState:
    (found,) = states_of(job)
    return found


def wait_for(job: str, *wanted: str, seconds: float = 40.0) -> TaskState:
    wait_until(lambda: state(job).state in wanted, seconds, lambda: str(states_of(job)))
    return state(job)


def lines(folder: Path, job: str, name: str = "job") -> list[str]:
    """What the program of a job printed itself."""
    log = folder / f"{name}-{job}.log"
    told = log.read_text().splitlines() if log.exists() else []
    return [line for line in told if line.split()[0] in ("start", "saved", "end")]


# ---------------------------------------------------------------- one job


def test_job_runs_where_and_with_what_it_asks_for(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "a folder, 100% odd 'name'"
    folder.mkdir()
    code = """
        import os, sys
        print("end", os.getcwd(), sys.argv[1:], os.environ["SLURM_CPUS_ON_NODE"], os.environ["SLURM_GPUS_ON_NODE"])
    """
    job = submit(write_job(folder, code, "$HOME `x` 'y'", gpus=2, partition="urgent", memory="500M", exclude="nodea"))
    done = wait_for(job, "COMPLETED")
    assert lines(folder, job) == [f"end {folder} [\"$HOME `x` 'y'\"] 1 2"]
    assert done.nodes == "nodeb"
    assert (done.restarts, done.exit_code, done.reason) == (0, "0:0", "")


def test_failure_is_not_run_again(cluster: Cluster, tmp_path: Path) -> None:
    job = submit(write_job(tmp_path, "raise SystemExit(2)"))
    failed = wait_for(job, "FAILED")
    assert (failed.exit_code, failed.reason, failed.restarts) == ("2:0", "NonZeroExitCode", 0)
    assert failed.failed and not failed.unfinished


def test_setup_that_fails_ends_the_job(cluster: Cluster, tmp_path: Path) -> None:
    job = submit(write_job(tmp_path, "print('end')", setup=["false"]))
    wait_for(job, "FAILED")
    assert lines(tmp_path, job) == []


def test_what_sbatch_refuses(cluster: Cluster, tmp_path: Path) -> None:
    script = write_job(tmp_path, "", partition="nowhere")
    with pytest.raises(
        InputError, match=r"sbatch refused .*job\.sbatch: .*invalid partition specified: nowhere"
    ) as caught:
        submit(script)
    assert "\n" not in str(caught.value)


def test_job_that_nobody_knows(cluster: Cluster) -> None:
    assert states_of("4000000") == [TaskState("4000000", "UNKNOWN", "SLURM has forgotten it")]
    cancel(["4000000"])


# ---------------------------------------------------------------- chains and arrays


def test_chain_waits_and_falls_with_its_first(cluster: Cluster, tmp_path: Path) -> None:
    first = submit(write_job(tmp_path, COUNTER, tmp_path / "saved", 600, name="first"))
    second = submit(write_job(tmp_path, "print('end')", name="second"), after=[first])
    third = submit(write_job(tmp_path, "print('end')", name="third"), after=[second])
    wait_until(lambda: lines(tmp_path, first, "first"))
    assert (state(second).state, state(second).reason) == ("PENDING", "Dependency")
    cancel([first])
    assert wait_for(first, "CANCELLED").restarts == 0, "what is cancelled does not come back"
    for job in (second, third):
        assert wait_for(job, "CANCELLED").reason == "DependencyNeverSatisfied"
    assert lines(tmp_path, second, "second") == []


def test_chain_that_ends_well(cluster: Cluster, tmp_path: Path) -> None:
    first = submit(write_job(tmp_path, "print('end')", name="first"))
    second = submit(write_job(tmp_path, "print('end')", name="second"), after=[first])
    wait_for(second, "COMPLETED")
    assert lines(tmp_path, second, "second") == ["end"]


# ---------------------------------------------------------------- stopped and brought back


def test_restarts_are_limited(cluster: Cluster, tmp_path: Path) -> None:
    job = submit(write_job(tmp_path, COUNTER, tmp_path / "saved", 600, requeue=0))
    wait_until(lambda: lines(tmp_path, job))
    asked("scancel", "--batch", "--signal=USR1", job)
    assert wait_for(job, "FAILED").exit_code == "143:0"
    assert "stopped after 0 restarts (launcher.slurm.requeue)" in (tmp_path / f"job-{job}.log").read_text()


def test_program_that_ends_in_time_is_done(cluster: Cluster, tmp_path: Path) -> None:
    code = COUNTER.replace("sys.exit(143)", "sys.exit(0)")
    job = submit(write_job(tmp_path, code, tmp_path / "saved", 600))
    wait_until(lambda: lines(tmp_path, job))
    asked("scancel", "--batch", "--signal=USR1", job)
    assert wait_for(job, "COMPLETED").restarts == 0


# ---------------------------------------------------------------- several machines

#: What each machine of a job does: the first leads, the second follows.
MACHINE = """
    import os, sys
    from pathlib import Path

    sys.path.insert(0, sys.argv[1])
    from workflow.config import LauncherConfig, ParallelConfig
    from workflow.launch import prepare, run_program
    from workflow.launch.rendezvous import announced, follow, lead

    run, rendezvous, node = Path(sys.argv[2]), sys.argv[3], int(os.environ["SLURM_NODEID"])
    if node > 0:
        follow(run, node, {})
    else:
        launcher = LauncherConfig(name="torchrun", rendezvous=rendezvous)
        ranks = [sys.executable, str(run / "ranks.py")]
        program = prepare(
            launcher, ParallelConfig(nodes=2), ranks, {}, log=run / "ranks.log", processes=1
        )
        with lead(run), announced(run, program):
            run_program(program, on_line=lambda line: print(line, flush=True))
    print("end", node, os.environ["SLURMD_NODENAME"])
"""
RANKS = """
import torch
from torch import distributed

distributed.init_process_group("gloo")
total = torch.ones(1) * (distributed.get_rank() + 1)
distributed.all_reduce(total)
print("rank", distributed.get_rank(), "sum", int(total), flush=True)
distributed.destroy_process_group()
"""


def test_two_machines_meet(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranks of torchrun on two machines add up what they have."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "ranks.py").write_text(RANKS)
    script = write_job(tmp_path, MACHINE, ROOT, tmp_path, nodes=2, live=('"$rendezvous"',))
    script.write_text(script.read_text().replace(" -S ", " "))
    job = submit(script)
    wait_for(job, "COMPLETED", "FAILED", seconds=60)
    told = (tmp_path / f"job-{job}.log").read_text()
    assert "rank 0 sum 3" in told
    assert {line.split()[1] for line in lines(tmp_path, job)} == {"0", "1"}, told
    assert len({line.split()[2] for line in lines(tmp_path, job)}) == 2
    assert "rank 1 sum 3" in (tmp_path / "ranks-machine1.log").read_text()


# ---------------------------------------------------------------- a whole run

HERE = ("launcher=slurm", "launcher.slurm.partition=gpu", "launcher.slurm.cpus=1", "run_name=run")


@pytest.fixture
def typed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where a user types commands, with the project on Python's path. Returns that of the run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "runs" / "run"


def test_run_as_jobs(
    cluster: Cluster, configure: Configure, typed_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Submitted, followed to its end, and shown; then nothing is left to do."""
    typed = [*SMALL, *HERE, "stage=[prepare,preprocess]", f"runs_folder={typed_in.parent}"]
    (record,) = submit_run(configure(*typed), typed)
    with pytest.raises(InputError, match=f"jobs {record.id} of .* wait or run already"):
        submit_run(configure(*typed), typed)
    jobs.main(["log", str(typed_in), "--follow"])
    assert "preprocess: done in" in capsys.readouterr().out
    jobs.main(["status", str(typed_in)])
    _, row, published = capsys.readouterr().out.splitlines()
    assert row.split()[:5] == [record.id, "download,", "prepare,", "preprocess", "COMPLETED"]
    assert published == "published: download, prepare, preprocess"
    assert submit_run(configure(*typed), typed) == []


def test_run_that_fails(
    cluster: Cluster, configure: Configure, typed_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong table is seen when the job reads it; what waits for it falls, and the status tells why."""
    table = typed_in.parents[1] / "split.tsv"
    table.write_text("nonsense\n")
    typed = [*SMALL, *HERE, f"runs_folder={typed_in.parent}", "split.method=table", f"split.table={table}"]
    typed.append("stage=[prepare,preprocess,convert,predict]")
    first, second = submit_run(configure(*typed), typed)
    wait_for(first.id, "FAILED")
    wait_for(second.id, "CANCELLED")
    jobs.main(["status", str(typed_in)])
    status = capsys.readouterr().out
    assert "DependencyNeverSatisfied" in status
    assert "published: download" in status and "failed in prepare (input): " in status and "split.tsv" in status
    jobs.main(["cancel", str(typed_in)])
    assert capsys.readouterr().out == f"no job of {typed_in} waits or runs\n"


def test_array_in_which_one_task_is_stopped(array_with_a_stopped_task: tuple[Path, str, list[str]]) -> None:
    """Neither the signal nor the restart may reach the others."""
    folder, job, tasks = array_with_a_stopped_task
    for task in tasks:
        wait_for(task, "COMPLETED")
    assert [state(task).restarts for task in tasks] == [0, 0, 1]
    assert {task.id for task in states_of(job)} == set(tasks)
    counts = [line.split() for line in lines(folder, tasks[2])]
    assert [count[0] for count in counts] == ["start", "saved", "start", "end"]
    assert counts[1][1] == counts[2][2]
    assert [len(lines(folder, task)) for task in tasks] == [2, 2, 4]


def test_preemption(job_that_makes_room: tuple[Path, str, str]) -> None:
    """A job of a better partition takes the machine; the other comes back when it is done."""
    folder, poor, rich = job_that_makes_room
    wait_for(rich, "COMPLETED")
    assert wait_for(poor, "COMPLETED").restarts == 1
    told = [line.split() for line in lines(folder, poor, "poor")]
    assert [line[0] for line in told] == ["start", "saved", "start", "end"]
    assert told[1][1] == told[2][2]


def test_machine_that_is_lost(job_on_a_lost_machine: tuple[Path, str, str]) -> None:
    folder, job, lost = job_on_a_lost_machine
    done = wait_for(job, "COMPLETED", seconds=60)
    assert {done.nodes, lost} == set(SPARE)
    assert done.restarts == 1
    assert [line.split()[0] for line in lines(folder, job)] == ["start", "start", "end"]


def test_time_limit(job_beyond_its_time: tuple[Path, str]) -> None:
    """SLURM itself sends the signal; the job comes back as often as it must and ends what it began."""
    folder, job = job_beyond_its_time
    done = wait_for(job, "COMPLETED", seconds=90)
    told = [line.split() for line in lines(folder, job)]
    starts, ends = told[::2], told[1::2]
    assert [line[0] for line in ends] == ["saved"] * done.restarts + ["end"]
    assert [line[1] for line in starts] == [f"{job}.{restart}" for restart in range(done.restarts + 1)]
    assert [line[2] for line in starts] == ["0", *(line[1] for line in ends[:-1])]
    assert done.restarts >= 1
