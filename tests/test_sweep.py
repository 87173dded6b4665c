"""The command as a user runs it: real trainings of the tiny model, and worker processes of which one is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import forkserver
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


@pytest.fixture(scope="module", autouse=True)
def own_forks() -> None:
    """The process from which this one forks others may have been begun by other tests, with other modules in it."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


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

    # The imports that take seconds are made once for all trials.
    assert {"torch", "lightning", "peft"} <= modules_of_a_trial(folder)

    assert command(*SHORT, "sweep.name=random", "sweep.trials=8", "sweep.sampler=random", "sweep.seed=7") == 0
    by_chance = table(folder / "runs" / "random")[VALUE][1:]
    best = read_json(study / "study.json")["best"]["values"][0]
    assert best == trials[VALUE].min() < by_chance.median()
    # The best of so many beats a median easily; that most proposals do shows that the study has learnt. The first ten
    # of TPE are random.
    assert trials[VALUE][10:].median() < by_chance.median()


def modules_of_a_trial(folder: Path) -> set[str]:
    """What the process of a trial has when it begins."""
    told = folder / "modules"
    code = f"import pathlib, sys; pathlib.Path({str(told)!r}).write_text(' '.join(sys.modules))"
    process = multiprocessing.get_context("forkserver").Process(target=exec, args=(code,))
    process.start()
    process.join()
    return set(told.read_text().split())


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


STEPS = 100
LONG = (f"train.steps={STEPS}", "train.validate_every=10", "sweep.pruner=none", "sweep.trials=3", "sweep.name=two")


def test_a_worker_is_killed_the_other_asked_to_end_and_the_command_given_again(folder: Path, command: Command) -> None:
    study = folder / "runs" / "two"
    process = started(folder, *LONG, "sweep.workers=2")
    wait_until(lambda: len(list(study.glob("trials/*/train/state/structure.json"))) == 2, process)
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[0].send_signal(signal.SIGKILL)
    # The other one first ends its own trial.
    wait_until(lambda: sum(count_of(GOES_ON, log) for log in study.glob("trials/*/log.txt")) == 1, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "the same command goes on" in err and "Traceback" not in err
    assert not left_behind(study)

    assert command(*LONG) == 0
    trials = table(study)
    ended = trials[trials["state"] == "interrupted"]
    assert list(ended["reason"]) == ["its worker died", "its worker was asked to end"]
    assert ended["run"].nunique() == 1
    attempts = trials[trials["run"] == ended["run"].iloc[0]]
    assert list(attempts["state"]) == ["interrupted", "interrupted", "complete"]
    assert list(attempts["retry_of"][1:]) == list(attempts.index[:-1])
    assert attempts["param.train.learning_rate"].nunique() == 1
    assert (trials["state"] == "complete").sum() == 3
    # It went on from its checkpoint each time: the first steps were made once.
    assert count_of(GOES_ON, study / attempts["run"].iloc[0] / "log.txt") == 2
    stream = (study / attempts["run"].iloc[0] / "train" / "stream.jsonl").read_text().splitlines()
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
