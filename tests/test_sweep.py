"""The command as a user runs it: real trainings of the tiny model, and worker processes of which one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from hydra.core.global_hydra import GlobalHydra

from workflow.artifacts import read_json
from workflow.sweep import main

ROOT = Path(__file__).parent.parent
#: Steps of milliseconds, with all weights trained, so that the learning rate decides.
SMALL = (
    "genome=phix174",
    "train=full",
    "train.batch_size=1",
    "train.context_length=128",
    "train.validation_samples=4",
    "train.warmup_steps=0",
    "gates.context_length=warn",
    "gates.training_data=warn",
)
SPACE = "name: own\nrepeats: 0\nspace: {train.learning_rate: {low: 1.0e-7, high: 1.0e-2, log: true}}\n"
Command = Callable[..., int]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sweep")
    (place / "configs" / "sweep").mkdir(parents=True)
    (place / "configs" / "sweep" / "own.yaml").write_text(SPACE)
    return place


def arguments(folder: Path, *more: str) -> list[str]:
    return ["--config-dir", str(folder / "configs"), "sweep=own", *SMALL, f"runs_folder={folder / 'runs'}", *more]


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command with one worker, in this process; its trials still have processes of their own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run(*more: str) -> int:
        GlobalHydra.instance().clear()
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which the command sets
        monkeypatch.setattr(sys, "argv", ["workflow.sweep", *arguments(folder, *more)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def started(folder: Path, *more: str) -> subprocess.Popen[str]:
    """The command in a process of its own, for signals."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "workflow.sweep", *arguments(folder, *more)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=ROOT, env=environment, text=True, **pipes)


def table(study: Path) -> pd.DataFrame:
    return pd.read_parquet(study / "trials.parquet").set_index("number")


VALUE = "value.val_loss_nonrepeat"
SHORT = ("train.steps=4", "train.validate_every=4", "train.learning_rate=1e-7")


def test_a_real_study_finds_a_better_rate_than_chance(
    folder: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, "sweep.name=tpe", "sweep.trials=20") == 0
    told = capsys.readouterr()
    assert told.err == "" and "20 of 20 done" in told.out
    assert told.out.splitlines()[-1].startswith("trials in a browser: optuna-dashboard sqlite:///")
    study = folder / "runs" / "tpe"
    trials = table(study)
    assert len(trials) == 20 and (trials["state"] == "complete").all()
    # All shared one preparation, and each can be made again by hand from the line in its log.
    assert len(list((study / "shared").glob("prepare-*"))) == 1
    assert all((study / run / "prepare").is_symlink() for run in trials["run"])
    assert "python -m workflow.run" in (study / trials["run"][7] / "log.txt").read_text().splitlines()[0]
    assert command(*SHORT, "sweep.name=tpe", "sweep.trials=20") == 0
    assert "trial 20" not in capsys.readouterr().out

    assert command(*SHORT, "sweep.name=random", "sweep.trials=10", "sweep.sampler=random", "sweep.seed=7") == 0
    by_chance = table(folder / "runs" / "random")[VALUE][1:]
    best = read_json(study / "study.json")["best"]["values"][0]
    assert best == trials[VALUE].min() < by_chance.median()
    # The best of so many beats a median easily; that most proposals do shows that the study has learnt. The first ten
    # of TPE are random.
    assert trials[VALUE][10:].median() < by_chance.median()


def test_the_command_shows_what_it_would_do(folder: Path, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("dry_run=true", "sweep.name=dry") == 0
    assert "trial 0: python -m workflow.run" in capsys.readouterr().out
    assert not (folder / "runs" / "dry").exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sweep.objectives=[val_los]", "error: sweep.objectives: val_los is no key"),
        ("sweep.sampler=best", "error: sweep.sampler=best is not a choice: use one of tpe, random, gp, nsga2"),
        ("sweep.storage=postgresql://a:b@h/d", "error: sweep.storage holds a password"),
    ],
)
def test_faults_are_one_line(command: Command, argument: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(argument) == 2
    told = capsys.readouterr().err
    assert told.startswith(message) and told.count("\n") == 1


STEPS = 40
LONG = (f"train.steps={STEPS}", "train.validate_every=3", "sweep.pruner=none", "sweep.workers=2", "sweep.trials=3")


def test_two_workers_asked_to_end_and_then_one_of_them_killed(folder: Path) -> None:
    study = folder / "runs" / "two"
    process = started(folder, *LONG, "sweep.name=two")
    wait_until(lambda: len(list(study.glob("trials/*/train/state/structure.json"))) == 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "the same command goes on" in err and "Traceback" not in err
    assert not left_behind(study)

    process = started(folder, *LONG, "sweep.name=two")
    logs = [study / "trials" / name / "log.txt" for name in ("0000", "0001")]
    wait_until(lambda: all(count_of(GOES_ON, log) == 1 for log in logs), process)
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[0].send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert "was ended by SIGKILL" in err and not left_behind(study)

    trials = table(study)
    ended = trials[trials["state"] == "interrupted"]
    assert sorted(ended["reason"]) == ["its worker died", *["its worker was asked to end"] * 2]
    died = ended[ended["reason"] == "its worker died"].iloc[0]
    again = trials[trials["retry_of"] == died.name].iloc[0]
    assert (again["state"], again["run"]) == ("complete", died["run"])
    assert again["param.train.learning_rate"] == died["param.train.learning_rate"]
    assert (trials["state"] == "complete").sum() == 3
    assert count_of(GOES_ON, study / died["run"] / "log.txt") == 2
    for run in ("0000", "0001"):  # they went on from their checkpoints: the first steps were made once
        stream = (study / "trials" / run / "train" / "stream.jsonl").read_text().splitlines()
        steps = [json.loads(line)["step"] for line in stream]
        assert steps.count(1) == 1 and max(steps) == STEPS


GOES_ON = "train: goes on from its last state"


def count_of(text: str, path: Path) -> int:
    return path.read_text().count(text) if path.exists() else 0


def wait_until(look: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if look():
            return
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"nothing came: {process.communicate(timeout=60)}")


def left_behind(study: Path) -> list[str]:
    """Processes that still have something of the study open, a moment after its end."""
    time.sleep(1)
    return [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline", "open_files"])
        if any(str(study) in file.path for file in process.info["open_files"] or [])
    ]
