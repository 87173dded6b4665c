"""Which jobs a run is parted into, and what each of them types."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.launch.slurm.conftest import SMALL, Configure, configure, stand_in, words_in  # noqa: F401 fixtures
from workflow import submitting
from workflow.errors import InputError
from workflow.launch.slurm import read_records
from workflow.submitting import submit_array, submit_run

StandIn = Callable[..., Path]
TOOLS = ("backend=nemo2", "model=evo2_7b", "genome=phix174", "windows.length=8192", "train=lora")
GIVEN = ("launcher=slurm", "launcher.slurm.partition=gpu")
ALL = "stage=[prepare,preprocess,convert,train,predict,infer,evaluate]"


@dataclass
class Shown:
    """A script as `dry_run=true` shows it."""

    name: str
    text: str

    def asks(self, flag: str) -> str | None:
        found = re.search(rf"^#SBATCH --{flag}=(.*)$", self.text, re.MULTILINE)
        return found[1] if found else None

    @property
    def words(self) -> list[str]:
        """The words of its one command."""
        line = re.search(r"^srun (?:.*\\\n)*.* &$", self.text, re.MULTILINE)
        assert line is not None
        return shlex.split(line[0].removesuffix("&").replace("\\\n", ""))


@pytest.fixture
def shown(
    configure: Configure,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., list[Shown]]:
    """The scripts of what was typed."""

    def show(*typed: str) -> list[Shown]:
        typed = (*typed, *GIVEN, f"runs_folder={tmp_path}", "run_name=run")
        submit_run(configure(*typed, "dry_run=true"), [*typed, "dry_run=true"])
        parts = capsys.readouterr().out.split(f"--- {tmp_path}/run/jobs/")[1:]
        return [Shown(*part.split(".sbatch\n", 1)) for part in parts]

    return show


def test_embedded_engine_on_one_machine(shown: Callable[..., list[Shown]], tmp_path: Path) -> None:
    """What needs no model shares a job; the training has its own."""
    jobs = shown("genome=phix174", "windows.length=128", "model=tiny", "train=lora", ALL)
    assert [job.name for job in jobs] == [
        "01-download-to-convert",
        "02-train",
        "03-predict",
        "04-infer",
        "05-evaluate",
    ]
    assert [job.asks("gres") for job in jobs] == [None, "gpu:1", "gpu:1", "gpu:1", None]
    assert [job.asks("time") for job in jobs] == ["04:00:00", "24:00:00", "24:00:00", "24:00:00", "04:00:00"]
    assert all(job.asks("nodes") == "1" for job in jobs)
    first = jobs[0].words
    assert first[first.index("-m") - 1 :] == [
        *(sys.executable, "-m", "workflow.run", "genome=phix174", "windows.length=128", "model=tiny", "train=lora"),
        *(*GIVEN, f"runs_folder={tmp_path}", "run_name=run"),
        *("stage=[download,prepare,preprocess,convert]", "launcher.name=process"),
    ]
    assert not any(tmp_path.iterdir()), "a dry run leaves nothing"


def test_embedded_engine_without_gpu(shown: Callable[..., list[Shown]]) -> None:
    jobs = shown(*SMALL, ALL)
    assert [job.asks("gres") for job in jobs] == [None] * len(jobs)


def test_tools_on_two_machines(shown: Callable[..., list[Shown]]) -> None:
    sizes = ("parallel.nodes=2", "parallel.devices=4", "parallel.gpu=H100-80GB")
    jobs = shown(*TOOLS, ALL, *sizes, "gates.gpu_memory=warn", "gates.disk_space=warn")
    made = {job.name: (job.asks("nodes"), job.asks("gres")) for job in jobs}
    assert made == {
        "01-download-prepare-preprocess": ("1", None),
        "02-convert": ("1", "gpu:1"),
        "03-train": ("2", "gpu:4"),
        "04-predict": ("2", "gpu:4"),
        "05-infer": ("1", "gpu:4"),
        "06-evaluate": ("1", None),
    }
    train = jobs[2].words
    assert {"--nodes=2", "--ntasks=2", "launcher.name=torchrun"} <= set(train)
    assert train[-2:] == ["launcher.node_rank=${oc.env:SLURM_NODEID}", "launcher.rendezvous=$rendezvous"]


def test_rank_is_that_of_the_machine(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("SLURM_NODEID", "3")
    launcher = configure(
        "launcher=slurm", "launcher.name=torchrun", "launcher.node_rank=${oc.env:SLURM_NODEID}"
    ).launcher
    assert launcher.node_rank == 3 and launcher.follows


def test_shards_are_an_array_and_then_put_together(shown: Callable[..., list[Shown]]) -> None:
    jobs = shown(
        *SMALL[:-1], "train=none", "stage=[prepare,convert,predict]", "predict.shards=5", "backend.device=auto"
    )
    assert [job.name for job in jobs] == ["01-download-prepare-convert", "02-predict-tasks", "03-predict"]
    assert [(job.asks("array"), job.asks("gres")) for job in jobs] == [(None, None), ("0-4", "gpu:1"), (None, None)]
    assert 'predict.shard="$SLURM_ARRAY_TASK_ID"' in jobs[1].text
    assert not any(word.startswith("predict.shard=") for word in jobs[2].words)


def test_one_shard_is_no_job_of_its_own(configure: Configure, tmp_path: Path) -> None:  # noqa: F811
    typed = [*SMALL, *GIVEN, f"runs_folder={tmp_path}", "stage=predict", "predict.shards=5", "predict.shard=2"]
    with pytest.raises(InputError, match=r"^predict\.shard=2 with launcher=slurm, which makes an array of all shards"):
        submit_run(configure(*typed), typed)


def test_tasks_that_use_one_gpu_of_several(shown: Callable[..., list[Shown]]) -> None:
    """The embedded engine trains on all; a task of an array, and what generates, on one."""
    given = ("parallel.devices=4", "parallel.gpu=H100-80GB", "predict.shards=5")
    jobs = shown("genome=phix174", "windows.length=128", "model=tiny", "train=lora", ALL, *given)
    assert [(job.name, job.asks("gres")) for job in jobs] == [
        *(("01-download-to-convert", None), ("02-train", "gpu:4"), ("03-predict-tasks", "gpu:1")),
        *(("04-predict", None), ("05-infer", "gpu:1"), ("06-evaluate", None)),
    ]


def test_force_is_for_the_first_start(shown: Callable[..., list[Shown]]) -> None:
    (job,) = shown(*SMALL, "stage=[prepare]", "force=true")
    assert [word for word in job.words if word.startswith("force")] == ["force=$first"]


def test_interpreter(shown: Callable[..., list[Shown]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path.parent / "home"))
    (job,) = shown(*SMALL, "stage=[prepare]", "launcher.slurm.python=/opt/python")
    assert "/opt/python" in job.words
    (job,) = shown(*SMALL, "stage=[prepare]", "launcher.slurm.container=apptainer")
    words = job.words
    assert words[words.index("-m") - 1] == "python"
    project = Path(submitting.__file__).parents[1]
    assert {f"{place}:{place}" for place in (project, tmp_path, project / "data" / "demo")} <= set(words)


@pytest.mark.parametrize(
    "setting",
    [
        "genome.fasta=https://me:pass@host/a.fa",
        "+launcher.environment.HF_TOKEN=hf_x",
        "+launcher.environment={HF_TOKEN: hf_x}",
        "launcher.slurm.setup=['export HF_TOKEN=hf_x']",
        "genome.fasta='https://h/a?token=pass'",
    ],
)
def test_secrets_are_not_written(configure: Configure, tmp_path: Path, setting: str) -> None:  # noqa: F811
    typed = [*SMALL, *GIVEN, f"runs_folder={tmp_path}", "stage=[convert]", setting]
    with pytest.raises(InputError, match=r"^\S+ holds a secret, which the script of a job would show") as caught:
        submit_run(configure(*typed), typed)
    assert "pass" not in str(caught.value) and "hf_x" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_missing_stage_is_told_before_submission(configure: Configure, tmp_path: Path) -> None:  # noqa: F811
    typed = [*SMALL, *GIVEN, f"runs_folder={tmp_path}", "stage=[predict]"]
    with pytest.raises(InputError, match="has to run first"):
        submit_run(configure(*typed), typed)


# ---------------------------------------------------------------- handing over

#: Numbers its answers.
SBATCH = 'count=$(grep -c . "$0.count" 2> /dev/null); echo x >> "$0.count"; echo $((10 + ${count:-0}))'


def test_each_job_waits_for_the_one_before(
    configure: Configure,  # noqa: F811
    stand_in: StandIn,  # noqa: F811
    tmp_path: Path,
) -> None:
    asked = stand_in("sbatch", SBATCH)
    typed = [*SMALL, *GIVEN, f"runs_folder={tmp_path / 'runs'}", "run_name=run", ALL]
    done = submit_run(configure(*typed), typed)
    assert [record.id for record in done] == ["10", "11", "12", "13"]
    assert [record.after for record in done] == [[], ["10"], ["11"], ["12"]]
    assert read_records(tmp_path / "runs" / "run") == done
    assert [word for word in words_in(asked) if word.startswith("--dep")] == [
        *("--dependency=afterok:10", "--dependency=afterok:11", "--dependency=afterok:12"),
    ]
    scripts = sorted((tmp_path / "runs" / "run" / "jobs").glob("*.sbatch"))
    assert [script.stem for script in scripts] == [record.name for record in done]
    assert all(os.access(script, os.X_OK) for script in scripts)


def test_all_or_none(configure: Configure, stand_in: StandIn, tmp_path: Path) -> None:  # noqa: F811
    refuse = 'if [[ "$*" == *02-* ]]; then echo "sbatch: error: over quota" >&2; exit 1; fi; echo 10'
    stand_in("sbatch", refuse)
    cancelled = stand_in("scancel")
    typed = [*SMALL, *GIVEN, f"runs_folder={tmp_path / 'runs'}", ALL]
    with pytest.raises(InputError, match=r"sbatch refused .*/02-predict\.sbatch: over quota"):
        submit_run(configure(*typed), typed)
    assert words_in(cancelled) == ["10"]


def test_jobs_in_the_queue(configure: Configure, stand_in: StandIn, tmp_path: Path) -> None:  # noqa: F811
    stand_in("sbatch", SBATCH)
    stand_in("scontrol", "echo JobId=$4 JobState=PENDING Reason=Priority")
    typed = [*SMALL, *GIVEN, f"runs_folder={tmp_path / 'runs'}", "run_name=run", "stage=[prepare]"]
    submit_run(configure(*typed), typed)
    with pytest.raises(InputError, match=r"jobs 10 of \S+/run wait or run already: .*workflow\.jobs cancel"):
        submit_run(configure(*typed), typed)
    stand_in("scontrol", "echo JobId=$4 JobState=FAILED Reason=NonZeroExitCode")
    (again,) = submit_run(configure(*typed), typed)
    assert (again.id, again.name) == ("11", "02-download-prepare"), "scripts are not written over"


def test_workers(configure: Configure, stand_in: StandIn, tmp_path: Path) -> None:  # noqa: F811
    stand_in("sbatch", SBATCH)
    typed = ["genome=phix174", *GIVEN, "sweep.workers=8", "parallel.devices=2", "stage=[train]"]
    config = configure("genome=phix174", *GIVEN, "parallel.devices=2")
    settings = {"sweep.workers": "1"}
    (done,) = submit_array(
        config, typed, module="workflow.sweep", folder=tmp_path / "study", name="workers", tasks=8, settings=settings
    )
    job = Shown(done.name, (tmp_path / "study" / "jobs" / f"{done.name}.sbatch").read_text())
    assert (done.array, job.asks("array"), job.asks("gres")) == (8, "0-7", "gpu:2")
    words = job.words
    assert words[words.index("-m") + 1 :] == [
        *("workflow.sweep", "genome=phix174", *GIVEN, "parallel.devices=2", "stage=[train]"),
        *("sweep.workers=1", "launcher.name=process"),
    ]
    several = configure("genome=phix174", *GIVEN, "parallel.nodes=2")
    with pytest.raises(InputError, match=r"parallel\.nodes=2: each task has one machine"):
        submit_array(several, [], module="workflow.sweep", folder=tmp_path, name="workers", tasks=8, settings={})
