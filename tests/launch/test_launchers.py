import os
import re
import subprocess
from pathlib import Path

import pytest

from workflow.config.backend import ParallelConfig
from workflow.config.launcher import LauncherConfig
from workflow.errors import InputError
from workflow.launch.launchers import prepare
from workflow.launch.process import Program, run_program

TRAIN = ["train_evo2", "--seq-length", "8192"]
CONVERT = ["evo2_convert_savanna_to_mbridge", "--model-size", "evo2_7b"]


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_HOME", "BIONEMO_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


def start(
    launcher: LauncherConfig, argv: list[str], parallel: ParallelConfig | None = None, **settings: object
) -> Program:
    settings = {"environment": {}, "log": Path("log.txt"), **settings}
    return prepare(launcher, parallel or ParallelConfig(), argv, **settings)


def values(program: Program, flag: str) -> list[str]:
    """What follows each of a flag."""
    return [value for before, value in zip(program.argv, program.argv[1:], strict=False) if before == flag]


# ---------------------------------------------------------------- this machine


def test_plain_start(tmp_path: Path) -> None:
    launcher = LauncherConfig(environment={"NCCL_DEBUG": "INFO", "A": "launcher"})
    program = start(launcher, TRAIN, environment={"PYTHONHASHSEED": "42", "A": "tool"}, folder=tmp_path)
    assert program == Program(
        argv=TRAIN,
        environment={"PYTHONUNBUFFERED": "1", "NCCL_DEBUG": "INFO", "A": "tool", "PYTHONHASHSEED": "42"},
        log=Path("log.txt"),
        folder=tmp_path,
        name="train_evo2",
    )


def test_ranks_of_this_machine() -> None:
    program = start(LauncherConfig(), TRAIN, ParallelConfig(devices=8), processes=8)
    assert program.argv == ["torchrun", "--standalone", "--nproc-per-node", "8", "--no-python", *TRAIN]
    assert program.label == "train_evo2"


@pytest.mark.parametrize("name", ["process", "docker"])
def test_several_machines_need_torchrun(name: str) -> None:
    with pytest.raises(InputError, match=rf"parallel.nodes=2 with launcher={name}, .* use launcher=torchrun"):
        start(LauncherConfig(name=name), TRAIN, ParallelConfig(nodes=2))


def test_variable_that_is_none() -> None:
    with pytest.raises(InputError, match=r"launcher\.environment\.NCCL-DEBUG is no name of an environment variable"):
        start(LauncherConfig(environment={"NCCL-DEBUG": "INFO"}), TRAIN)


# ---------------------------------------------------------------- several machines


def test_torchrun_on_two_machines() -> None:
    launcher = LauncherConfig(name="torchrun", rendezvous="node1:29501", node_rank=1)
    program = start(launcher, TRAIN, ParallelConfig(nodes=2, devices=8))
    assert program.argv == [
        *("torchrun", "--nnodes", "2", "--node-rank", "1", "--nproc-per-node", "8"),
        *("--master-addr", "node1", "--master-port", "29501", "--no-python"),
        *TRAIN,
    ]


def test_torchrun_with_ranks_given() -> None:
    program = start(LauncherConfig(name="torchrun", rendezvous="[::1]:5"), ["infer_evo2"], processes=4)
    assert values(program, "--nproc-per-node") == ["4"]
    assert values(program, "--master-addr") == ["::1"]


def test_torchrun_leaves_converters_alone() -> None:
    """On eight ranks they would write the same folder eight times."""
    program = start(LauncherConfig(name="torchrun"), CONVERT, ParallelConfig(nodes=2, devices=8))
    assert program.argv == CONVERT


@pytest.mark.parametrize("rendezvous", ["node1", "node1:", ":29500", "node1:port", "node1:0", "node1:65536"])
def test_bad_rendezvous(rendezvous: str) -> None:
    with pytest.raises(InputError, match=rf"launcher\.rendezvous={rendezvous} is not HOST:PORT"):
        start(LauncherConfig(name="torchrun", rendezvous=rendezvous), TRAIN)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_machines_that_would_each_wait_for_themselves(host: str) -> None:
    launcher = LauncherConfig(name="torchrun", rendezvous=f"{host}:29500")
    assert values(start(launcher, TRAIN, ParallelConfig(devices=8)), "--nnodes") == ["1"]
    with pytest.raises(InputError, match=r"is each machine itself: with parallel\.nodes=2 give the name of the first"):
        start(launcher, TRAIN, ParallelConfig(nodes=2, devices=8))


def test_bad_node_rank() -> None:
    with pytest.raises(InputError, match=r"launcher\.node_rank=2 counts from 0 and must be below parallel\.nodes=2"):
        start(LauncherConfig(name="torchrun", node_rank=2), TRAIN, ParallelConfig(nodes=2))


# ---------------------------------------------------------------- container


def test_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "a"
    home = tmp_path / "home"
    program = start(
        LauncherConfig(name="docker", image="bionemo:2.7.1", mounts=["/scratch:/data:ro"], environment={"A": "x y"}),
        TRAIN,
        environment={"PYTHONHASHSEED": "42"},
        mounts=[run],
    )
    name = values(program, "--name")[0]
    assert re.fullmatch(r"evo2-train_evo2-[0-9a-f]{8}", name)
    assert program.argv == [
        *("docker", "run", "--rm", "--name", name, "--init", "--gpus", "all", "--shm-size", "16g"),
        *("--ulimit", "memlock=-1", "--ulimit", "stack=67108864", "-u", f"{os.getuid()}:{os.getgid()}"),
        *("-v", f"{tmp_path}:{tmp_path}", "-v", f"{run}:{run}"),
        *("-v", f"{home}/.cache/huggingface:{home}/.cache/huggingface"),
        *("-v", f"{home}/.cache/bionemo:{home}/.cache/bionemo", "-v", "/scratch:/data:ro"),
        *("-w", str(tmp_path)),
        *("-e", "HF_TOKEN", "-e", "NGC_API_KEY", "-e", "NGC_CLI_API_KEY", "-e", "WANDB_API_KEY"),
        *("-e", "HOME=/tmp", "-e", f"HF_HOME={home}/.cache/huggingface"),
        *("-e", f"BIONEMO_CACHE_DIR={home}/.cache/bionemo", "-e", "USER=user"),
        *("-e", "PYTHONUNBUFFERED=1", "-e", "A=x y", "-e", "PYTHONHASHSEED=42"),
        "bionemo:2.7.1",
        *TRAIN,
    ]
    assert program.stop == ["docker", "stop", name]
    assert program.label == "train_evo2"
    assert (home / ".cache" / "huggingface").is_dir(), "docker would make it for root only"


def test_secrets_go_into_a_container_by_name() -> None:
    program = start(LauncherConfig(name="docker"), TRAIN, environment={"HF_TOKEN": "hf_hidden", "MY_KEY": "hidden_too"})
    assert program.environment == {"HF_TOKEN": "hf_hidden", "MY_KEY": "hidden_too"}
    assert not any("hidden" in part for part in program.argv)
    assert "hidden" not in program.typed
    assert {"HF_TOKEN", "MY_KEY"} <= set(values(program, "-e"))


def test_settings_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    launcher = LauncherConfig(name="docker", gpus="device=0,1", user=False, shm_size="", mounts=["~/genomes:/genomes"])
    program = start(launcher, CONVERT, folder=tmp_path)
    assert values(program, "--gpus") == ['"device=0,1"']
    assert "--ipc=host" in program.argv
    assert "--shm-size" not in program.argv
    assert "-u" not in program.argv
    assert "USER=user" not in program.argv
    assert f"HF_HOME={tmp_path}/hub" in program.argv
    assert f"{tmp_path}/home/genomes:/genomes" in values(program, "-v")
    assert values(program, "-w") == [str(tmp_path)]
    assert program.folder is None


@pytest.mark.parametrize("fault", [RuntimeError("Could not determine home directory."), PermissionError(13, "denied")])
def test_user_without_a_home(fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise fault

    for variable in ("HF_HOME", "BIONEMO_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(InputError, match=r"^a container keeps downloads in your home.*: set HF_HOME to a folder"):
        start(LauncherConfig(name="docker"), CONVERT)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("BIONEMO_CACHE_DIR", str(tmp_path / "bionemo"))
    assert f"{tmp_path}/hf:{tmp_path}/hf" in values(start(LauncherConfig(name="docker"), CONVERT), "-v")


def test_container_without_gpus() -> None:
    assert "--gpus" not in start(LauncherConfig(name="docker", gpus="none"), TRAIN).argv


def test_ranks_inside_a_container() -> None:
    program = start(LauncherConfig(name="docker", image="i"), TRAIN, ParallelConfig(devices=2), processes=2)
    inside = program.argv[program.argv.index("i") + 1 :]
    assert inside == ["torchrun", "--standalone", "--nproc-per-node", "2", "--no-python", *TRAIN]


def test_links_lead_somewhere_inside_too(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "scratch")
    program = start(LauncherConfig(name="docker"), TRAIN, mounts=[tmp_path / "runs"])
    assert {f"{tmp_path}/{name}:{tmp_path}/{name}" for name in ("runs", "scratch")} <= set(values(program, "-v"))


def test_colon_in_a_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a:b cannot be mounted in a container: its name holds a colon"):
        start(LauncherConfig(name="docker"), TRAIN, mounts=[tmp_path / "a:b"])


def test_line_of_docker_can_be_typed(tmp_path: Path) -> None:
    """A shell reads the line into the same arguments."""
    program = start(LauncherConfig(name="docker", gpus="device=0,1", environment={"A": "it's"}), TRAIN)
    line = program.typed.replace("docker run", "printf '%s\\0' run", 1)
    printed = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert printed.split("\0")[:-1] == program.argv[1:]


def test_container_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for docker that notes what it is asked, and whose `run` prints a line and waits."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$1" = run ] && echo ready && exec sleep 60\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    program = start(LauncherConfig(name="docker"), TRAIN, log=tmp_path / "log.txt")

    def refuse(line: str) -> None:
        raise InputError("loss is NaN")

    with pytest.raises(InputError, match="loss is NaN"):
        run_program(program, on_line=refuse)
    run, stop = (tmp_path / "asked").read_text().splitlines()
    assert run.startswith("run --rm --name evo2-train_evo2-")
    assert stop == f"stop {run.split()[3]}"
