"""The backend before it starts anything: versions, refusals, scripts, and what makes a stage run again."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.backends.nvidia.conftest import Configure
from workflow.backends.base import Workplace
from workflow.backends.nvidia.backend import NvidiaBackend
from workflow.errors import InputError, ToolError
from workflow.gates import GateLog
from workflow.pipeline import PIPELINE, Run, Step
from workflow.stages.context import StageContext

TINY = ("backend.tokenizer=/tok", "+model.tool_sizes.nemo2=test", "+model.tool_sizes.mbridge=striped_hyena_test")


@pytest.fixture(autouse=True)
def _no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the tools is installed."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("nvcr.io/nvidia/clara/bionemo-framework:2.6.3", "2.6.3"),
        ("bionemo-framework:2.6.3-ours", "2.6.3"),
        ("localhost:5000/evo2", "2.7.1"),
        ("evo2:nightly", "2.7.1"),
        ("evo2@sha256:9ab3", "2.7.1"),
    ],
)
def test_the_version_in_a_tag(configure: Configure, tmp_path: Path, image: str, version: str) -> None:
    """The newest release, where the image names none: neither a port nor a digest is a version."""
    config = configure("backend=nemo2", "launcher=docker", f"launcher.image={image}")
    assert NvidiaBackend(config, Workplace(tmp_path)).contract.version == version


def test_an_image_of_the_other_generation(configure: Configure, tmp_path: Path) -> None:
    config = configure("backend=mbridge", "launcher=docker")
    with pytest.raises(InputError, match=r"launcher.image=\S+:2.7.1: .*or give the image of mbridge$"):
        NvidiaBackend(config, Workplace(tmp_path))


def test_remarks_are_told_once(configure: Configure, tmp_path: Path) -> None:
    """A stage asks for a backend for each model."""
    place = Workplace(tmp_path)
    for _ in range(2):
        NvidiaBackend(configure("backend=nemo2"), place)
    assert len(place.notes) == 1 and "not installed here" in place.notes[0]


def test_other_machines_do_not_run_this_program(nemo2: Configure, tmp_path: Path) -> None:
    """They would write what the first one writes."""
    machines = ("launcher=torchrun", "parallel.nodes=2", "launcher.node_rank=1", "launcher.rendezvous=first:29500")
    backend = NvidiaBackend(nemo2(*machines), Workplace(tmp_path))
    backend.is_there = True
    with pytest.raises(InputError, match=r"launcher.node_rank=1: only the first machine.*follows it") as caught:
        backend.train(nemo2(*machines), tmp_path, tmp_path, tmp_path, GateLog())
    assert "\n" not in str(caught.value)
    assert "--node-rank 1" in "".join(Run(nemo2(*machines)).script("train")[0])


# ---------------------------------------------------------------- scripts


@pytest.mark.parametrize("method", ["none", "lora", "full", "scratch"])
@pytest.mark.parametrize("backend", ["nemo2", "mbridge"])
def test_scripts_are_bash(configure: Configure, tmp_path: Path, backend: str, method: str) -> None:
    """Also where the files of prompts that are not known yet are several lines of comments."""
    config = configure(f"backend={backend}", f"train={method}", f"runs_folder='{tmp_path}/a place'", *TINY)
    lines = [line for stage in ("convert", "predict", "infer") for line in Run(config).script(stage)[0]]
    text = "\n".join(lines)
    checked = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    comments = Run(config).script("infer")[0]
    assert all(line.startswith("#") for line in "\n".join(comments).split("\n"))


@pytest.mark.parametrize("backend", ["nemo2", "mbridge"])
def test_generation_by_hand(configure: Configure, tmp_path: Path, backend: str) -> None:
    """Each model has files of its own, and adapters are merged before they are given to a tool that reads none."""
    settings = ("train=lora", "infer.prompts=[ACGT]", f"runs_folder={tmp_path}", *TINY)
    lines = Run(configure(f"backend={backend}", *settings)).script("infer")[0]
    starts = [line for line in lines if " infer_evo2 " in line]
    files = [line.split("--output-file ")[1].split()[0] for line in starts]
    assert len(starts) == 2 and len(set(files)) == 2
    made = {line.removeprefix("mkdir -p ") for line in lines if line.startswith("mkdir")}
    assert {str(Path(file).parent) for file in files} == made
    assert not any("$ADAPTED" in line for line in starts)
    (merge,) = (number for number, line in enumerate(lines) if "workflow.checkpoint merge" in line)
    (convert,) = (number for number, line in enumerate(lines) if " evo2_convert_" in line)
    assert '"$ADAPTED"' in lines[merge] and merge < convert < lines.index(starts[1])
    assert starts[1].split("--ckpt-dir ")[1].split()[0] in lines[convert]


def test_a_checkpoint_of_this_project_is_found_from_any_folder(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = Run(configure("backend=nemo2", *TINY)).script("convert")[0]
    assert lines[0].startswith("mkdir -p ") and "/data/tiny/model.safetensors" in lines[1]


# ---------------------------------------------------------------- what makes a stage run again


def identity(configure: Configure, stage: str, *overrides: str) -> dict[str, Any]:
    run = Run(configure(*TINY, *overrides))
    return run._step(PIPELINE[stage], {}).identity


@pytest.mark.parametrize(
    ("tool", "stage", "others"),
    [
        ("train_evo2", "train", ("convert", "predict", "infer")),
        ("predict_evo2", "predict", ("convert", "train", "infer")),
        ("infer_evo2", "infer", ("convert", "train", "predict")),
        ("evo2_convert_to_nemo2", "convert", ("train", "predict", "infer")),
    ],
)
def test_flags_of_a_tool_make_its_stage_run_again(
    configure: Configure, tool: str, stage: str, others: tuple[str, ...]
) -> None:
    more = f"+backend.extra.{tool}={{--flag: '1'}}"
    assert identity(configure, stage, "backend=nemo2") != identity(configure, stage, "backend=nemo2", more)
    for other in others:
        assert identity(configure, other, "backend=nemo2") == identity(configure, other, "backend=nemo2", more)


@pytest.mark.parametrize("setting", ["launcher=docker", "backend.keep_raw=true", "backend.tokenizer=/elsewhere/tok"])
@pytest.mark.parametrize("stage", ["convert", "train", "predict", "infer"])
def test_what_changes_no_number_runs_nothing_again(configure: Configure, stage: str, setting: str) -> None:
    assert identity(configure, stage, "backend=mbridge") == identity(configure, stage, "backend=mbridge", setting)


def test_checkpoints_in_parts_are_told_apart(configure: Configure, tmp_path: Path) -> None:
    for name in ("a", "b"):
        for part in range(2):
            (tmp_path / f"{name}.pt.part{part}").write_text(f"{name} {part}")
    found = [identity(configure, "convert", "backend=nemo2", f"model.checkpoint={tmp_path}/{n}.pt") for n in "ab"]
    assert [len(one["files"]) for one in found] == [2, 2] and found[0] != found[1]


# ---------------------------------------------------------------- logs


def working_step(fails: bool) -> Step:
    """A stage that starts a tool which ends so."""

    def run(context: StageContext) -> dict[str, object]:
        context.place.logs.mkdir(parents=True, exist_ok=True)
        with (context.place.logs / "tool.log").open("a") as log:
            log.write("failed\n" if fails else "went well\n")
        if fails:
            raise ToolError(f"the whole log: {context.place.logs / 'tool.log'}")
        return {}

    stage = replace(PIPELINE["predict"], run=run)
    return Step(stage, "not done yet", False, [], {"version": 1, "config": {}, "files": [], "stages": {}})


def test_the_log_of_a_stage_that_failed_is_kept(configure: Configure, tmp_path: Path) -> None:
    """And lies beside what the stage made once it went well."""
    run = Run(configure(f"runs_folder={tmp_path}", "run_name=logs"))
    with pytest.raises(ToolError) as caught:
        run._run(working_step(fails=True), GateLog(), run.folder / "predict")
    named = Path(str(caught.value).rpartition(" ")[2])
    assert named.read_text() == "failed\n" and not (run.folder / "predict").exists()
    run._run(working_step(fails=False), GateLog(), run.folder / "predict")
    assert (run.folder / "predict" / "logs" / "tool.log").read_text() == "failed\nwent well\n"
    assert [path.name for path in run.folder.iterdir()] == ["predict"]
