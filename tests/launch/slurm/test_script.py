"""What the script of a job says, and what bash does with it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launch.slurm.conftest import words_in
from workflow.config.launcher import LauncherConfig, SlurmConfig, seconds_of
from workflow.errors import InputError
from workflow.launch.slurm import Job, render

StandIn = Callable[..., Path]
IMAGE = "nvcr.io/nvidia/clara/bionemo-framework:2.7.1"


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_HOME", "BIONEMO_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


def job(folder: Path, **settings: object) -> Job:
    return Job(
        **{
            "name": "01-train",
            "title": "run:01-train",
            "stages": ("train",),
            "command": ("python", "-m", "workflow.run", "genome=R570", "stage=[train]"),
            "live": (),
            "folder": folder,
            "log": folder / "01-train-%j.log",
            "computes": True,
            **settings,
        }
    )


def directives(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")]


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SLURM_JOB_ID": "31000", "SLURM_NODEID": "0"} | variables
    return subprocess.run(["bash"], input=script, env=environment, capture_output=True, text=True, timeout=30)


# ---------------------------------------------------------------- what is asked for


def test_what_sbatch_reads(tmp_path: Path) -> None:
    slurm = SlurmConfig(
        partition="gpu",
        account="plants",
        qos="long",
        constraint="h100&nvlink",
        exclude="node[1-3]",
        time="2-00:00:00",
        gpu="h100",
        cpus=16,
        memory="500G",
        options=["--reservation=evo2", "--exclusive"],
    )
    assert directives(render(job(tmp_path, nodes=2, gpus=8, array=16), LauncherConfig(slurm=slurm))) == [
        "job-name=run:01-train",
        f'output="{tmp_path}/01-train-%j.log"',
        "open-mode=append",
        "export=ALL",
        "partition=gpu",
        "account=plants",
        "qos=long",
        "time=2-00:00:00",
        "nodes=2",
        "ntasks-per-node=1",
        "cpus-per-task=16",
        "mem=500G",
        "gres=gpu:h100:8",
        "constraint=h100&nvlink",
        "exclude=node[1-3]",
        "array=0-15",
        "signal=B:USR1@300",
        "kill-on-invalid-dep=yes",
        "requeue",
        "reservation=evo2",
        "exclusive",
    ]


def test_job_without_model(tmp_path: Path) -> None:
    slurm = SlurmConfig(partition="gpu", constraint="h100", cpu_time="01:00:00")
    plain = job(tmp_path, computes=False)
    told = directives(render(plain, LauncherConfig(slurm=slurm)))
    assert {"partition=gpu", "time=01:00:00"} <= set(told)
    assert not any(line.startswith(("gres", "constraint", "array", "mem")) for line in told)
    slurm.cpu_partition = "cpu"
    assert "partition=cpu" in directives(render(plain, LauncherConfig(slurm=slurm)))


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("10:30", 630), ("36:00:00", 129_600), ("1-12", 129_600), ("1-12:30", 131_400), ("2-00:00:05", 172_805)],
)
def test_time_limits(time: str, seconds: int) -> None:
    assert seconds_of(time) == seconds
    assert SlurmConfig(time=time).time == time


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"time": "86400"}, r"launcher\.slurm\.time='86400' is no time limit: .*in quotation marks"),
        ({"cpu_time": "01:00:00\n#SBATCH --x"}, r"cpu_time=.* is no time limit"),
        ({"time": "05:00"}, r"time=05:00 leaves no time to work in: launcher\.slurm\.signal_seconds=300"),
        ({"partition": "gpu --uid=0"}, r"launcher\.slurm\.partition='gpu --uid=0' must be one word"),
        ({"account": 'a"b'}, r"account=.* must be one word, without quotation marks"),
        ({"exclude": "a\nb"}, r"exclude='a\\nb' must be one word"),
        ({"memory": "lots"}, r"memory='lots' is no amount of memory"),
        ({"options": ["-p x"]}, r"options: '-p x' is not --flag or --flag=value"),
        ({"options": ["--wrap=a b"]}, r"options: '--wrap=a b' is not"),
        ({"setup": ["a\nb"]}, r"setup: 'a\\nb' must be one line"),
        ({"modules": ["cuda\r"]}, r"modules: 'cuda\\r' must be one line"),
        ({"python": "python\n"}, r"python: .* must be one line"),
        ({"container": "shifter"}, r"container=shifter is not a choice: use one of none, pyxis, apptainer"),
        ({"signal_seconds": 0}, r"signal_seconds=0 must be positive"),
        ({"requeue": -1}, r"requeue=-1 must not be negative"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        SlurmConfig(**settings)


# ---------------------------------------------------------------- what bash does


def test_words_reach_the_program_as_they_are(tmp_path: Path, stand_in: StandIn) -> None:
    """Whatever they hold: nothing of them is read by the shell."""
    folder = tmp_path / "a 'folder' $HOME"
    folder.mkdir()
    odd = ("genome.name=`id`", "x=$(touch harm)", "y=it's; touch harm", 'z="\\', "stage=[train]")
    srun, module = stand_in("srun"), stand_in("module")
    launcher = LauncherConfig(
        environment={"A": "$(touch harm) 'x'", "API_TOKEN": "hidden"},
        slurm=SlurmConfig(modules=["cuda; touch harm"], setup=['test "$A" = "\\$(touch harm) \'x\'"', "echo set up"]),
    )
    script = render(job(folder, command=("python", *odd), live=('rest="$rendezvous"',)), launcher)
    done = run(script)
    assert (done.returncode, done.stdout) == (0, "set up\n"), done.stderr
    words = words_in(srun)
    assert words[words.index("python") + 1 : -1] == list(odd)
    host = subprocess.run(["hostname"], capture_output=True, text=True).stdout.strip()
    assert words[-1] == f"rest={host}:16000"
    assert words_in(module) == ["load", "cuda; touch harm"]
    assert not list(tmp_path.rglob("harm"))
    assert "hidden" not in script and "API_TOKEN" not in script


def test_surroundings_that_fail_end_the_job(tmp_path: Path, stand_in: StandIn) -> None:
    srun = stand_in("srun")
    assert run(render(job(tmp_path), LauncherConfig(slurm=SlurmConfig(setup=["false"])))).returncode == 1
    assert run(render(job(tmp_path / "missing"), LauncherConfig())).returncode == 1
    assert not srun.exists()


@pytest.mark.parametrize(("code", "restarts", "requeued"), [(143, "1", True), (143, "20", False), (2, "0", False)])
def test_what_comes_back(tmp_path: Path, stand_in: StandIn, code: int, restarts: str, requeued: bool) -> None:
    stand_in("srun", f"exit {code}")
    scontrol = stand_in("scontrol", "echo JobId=1 JobState=RUNNING Reason=None")
    done = run(render(job(tmp_path), LauncherConfig()), SLURM_RESTART_COUNT=restarts)
    assert done.returncode == code
    asked = words_in(scontrol) if scontrol.exists() else []
    assert (asked[-2:] == ["requeue", "31000"]) == requeued


def test_only_the_first_start_begins_anew(tmp_path: Path, stand_in: StandIn) -> None:
    srun = stand_in("srun")
    script = render(job(tmp_path, live=('force="$first"',)), LauncherConfig())
    run(script)
    run(script, SLURM_RESTART_COUNT="1")
    assert [word for word in words_in(srun) if word.startswith("force=")] == ["force=true", "force=false"]


# ---------------------------------------------------------------- containers

#: Runs what comes after its own flags.
PASS_ON = 'while [[ $1 == --* ]]; do shift; done\nexec "$@"'


def test_pyxis(tmp_path: Path, stand_in: StandIn) -> None:
    srun = stand_in("srun")
    launcher = LauncherConfig(image=IMAGE, mounts=["/scratch:/data:ro"], slurm=SlurmConfig(container="pyxis"))
    done = run(render(job(tmp_path, gpus=8, nodes=2, mounts=(tmp_path / "runs",)), launcher))
    assert done.returncode == 0, done.stderr
    words = words_in(srun)
    home = tmp_path / "home" / ".cache"
    same = [tmp_path, tmp_path / "runs", home / "huggingface", home / "bionemo"]
    assert words[: words.index("python")] == [
        *("--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=8", "--kill-on-bad-exit=0", "--wait=300"),
        "--container-image=nvcr.io#nvidia/clara/bionemo-framework:2.7.1",
        f"--container-mounts={','.join(f'{place}:{place}' for place in same)},/scratch:/data:ro",
        f"--container-workdir={tmp_path}",
    ]


@pytest.mark.parametrize("image", ["/images/evo2.sqsh", "ubuntu", "nvidia/cuda:12", "docker://nvcr.io#x/y"])
def test_images_that_pyxis_takes_as_they_are(tmp_path: Path, image: str) -> None:
    script = render(job(tmp_path), LauncherConfig(image=image, slurm=SlurmConfig(container="pyxis")))
    assert f"--container-image={image} " in script.replace("'", "")


def test_apptainer(tmp_path: Path, stand_in: StandIn) -> None:
    stand_in("srun", PASS_ON)
    apptainer = stand_in("apptainer", 'test "$HF_HOME" = "$HOME/.cache/huggingface"')
    launcher = LauncherConfig(image=IMAGE, mounts=["/scratch:/data"], slurm=SlurmConfig(container="apptainer"))
    done = run(render(job(tmp_path, gpus=1), launcher))
    assert done.returncode == 0, done.stderr
    home = tmp_path / "home" / ".cache"
    assert words_in(apptainer) == [
        *("exec", "--nv", "--pwd", str(tmp_path)),
        *("--bind", f"{tmp_path}:{tmp_path}", "--bind", f"{home}/huggingface:{home}/huggingface"),
        *("--bind", f"{home}/bionemo:{home}/bionemo", "--bind", "/scratch:/data"),
        f"docker://{IMAGE}",
        *("python", "-m", "workflow.run", "genome=R570", "stage=[train]"),
    ]


def test_apptainer_of_a_file_and_without_gpus(tmp_path: Path) -> None:
    launcher = LauncherConfig(image="evo2.sif", slurm=SlurmConfig(container="apptainer"))
    script = render(job(tmp_path), launcher)
    assert " evo2.sif \\\n" in script
    assert "--nv" not in script


def test_comma_in_a_mount(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a,b:\S+ cannot be mounted by launcher=slurm: its name holds a comma"):
        render(job(tmp_path / "a,b"), LauncherConfig(slurm=SlurmConfig(container="pyxis")))


def test_logs_in_a_folder_with_a_backslash(tmp_path: Path) -> None:
    """SLURM would take the name of the log as it stands, without the number of the job."""
    with pytest.raises(InputError, match=r"cannot hold the logs of a job: its name holds a backslash"):
        render(job(tmp_path, log=tmp_path / "a\\b" / "01-train-%j.log"), LauncherConfig())


@pytest.mark.parametrize(
    "slurm",
    [
        SlurmConfig(setup=["export HF_TOKEN=hidden"]),
        SlurmConfig(setup=['export A=1 WANDB_API_KEY="hidden"']),
        SlurmConfig(setup=["curl https://me:hidden@host/file"]),
        SlurmConfig(options=["--export=ALL,HF_TOKEN=hidden"]),
    ],
)
def test_secrets_in_lines_of_the_settings(tmp_path: Path, slurm: SlurmConfig) -> None:
    with pytest.raises(InputError, match=r"setup and options: a line holds a secret") as caught:
        render(job(tmp_path), LauncherConfig(slurm=slurm))
    assert "hidden" not in str(caught.value)


def test_secrets_that_come_from_elsewhere(tmp_path: Path) -> None:
    """Lines that read one are no secrets; a login in the URL of a variable is one."""
    lines = ["export HF_TOKEN=$(cat ~/.token)", 'export HF_TOKEN="$OTHER"', "export TOKENIZERS_PARALLELISM=false"]
    proxy = {"HTTPS_PROXY": "http://me:hidden@proxy:3128", "NO_PROXY": "localhost"}
    script = render(job(tmp_path), LauncherConfig(environment=proxy, slurm=SlurmConfig(setup=lines)))
    assert all(f"\n{line}\n" in script for line in lines)
    assert "hidden" not in script and "export NO_PROXY=localhost" in script


def test_folder_of_two_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\\nb' cannot be the folder of a job: its name holds a line break"):
        render(job(tmp_path / "a\nb"), LauncherConfig())
