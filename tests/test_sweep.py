"""The command as a user runs it: real trainings of the tiny model, in worker processes of which one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from workflow.artifacts import read_json

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sweep")
    (place / "configs" / "sweep").mkdir(parents=True)
    (place / "configs" / "sweep" / "own.yaml").write_text(SPACE)
    return place


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "workflow.sweep", "--config-dir", str(folder / "configs"), "sweep=own", *SMALL]
    line += [f"runs_folder={folder / 'runs'}", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=ROOT, env=environment, text=True, **pipes)


def command(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = started(folder, *arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def table(study: Path) -> pd.DataFrame:
    return pd.read_parquet(study / "trials.parquet").set_index("number")


VALUE = "value.val_loss_nonrepeat"
STEPS = ("train.steps=4", "train.validate_every=4")


def test_a_real_study_finds_a_better_rate_than_chance(folder: Path) -> None:
    code, out, err = command(folder, *STEPS, "train.learning_rate=1e-7", "sweep.trials=20", "sweep.name=tpe")
    assert (code, err) == (0, "")
    study = folder / "runs" / "tpe"
    trials = table(study)
    assert len(trials) == 20 and (trials["state"] == "complete").all()
    assert "20 of 20 done" in out and out.splitlines()[-1].startswith(
        "trials in a browser: optuna-dashboard sqlite:///"
    )
    record = read_json(study / "study.json")
    best = record["best"]["params"]["train.learning_rate"]
    at_random = trials.iloc[1:10]  # TPE begins with as many random draws
    assert trials[VALUE].min() < at_random[VALUE].median()
    rates = trials["param.train.learning_rate"].map(json.loads).astype(float)
    # What was learnt is used: proposals after the random ones lie nearer to the best.
    distance = np.abs(np.log10(rates) - np.log10(best))
    assert distance[10:].median() < distance[1:10].median()
    # All shared one preparation, and each can be made again by hand from the line in its log.
    assert len(list((study / "shared").glob("prepare-*"))) == 1
    assert all((study / run / "prepare").is_symlink() for run in trials["run"])
    assert "python -m workflow.run" in (study / trials["run"][7] / "log.txt").read_text().splitlines()[0]
    again = command(folder, *STEPS, "train.learning_rate=1e-7", "sweep.trials=20", "sweep.name=tpe")
    assert again[0] == 0 and "trial 20" not in again[1]


def test_the_command_shows_what_it_would_do(folder: Path) -> None:
    code, out, _ = command(folder, "dry_run=true", "sweep.name=dry")
    assert code == 0 and "trial 0: python -m workflow.run" in out
    assert not (folder / "runs" / "dry").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sweep.objectives=[val_los]",), "error: sweep.objectives: val_los is no key"),
        (("sweep.sampler=best",), "error: sweep.sampler=best is not a choice: use one of tpe, random, gp, nsga2"),
        (("sweep.storage=postgresql://a:b@h/d",), "error: sweep.storage holds a password"),
    ],
)
def test_faults_are_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = command(folder, *arguments)
    assert code == 2 and err.startswith(message) and err.count("\n") == 1


LONG = ("train.steps=30", "train.validate_every=3", "sweep.pruner=none", "sweep.workers=2", "sweep.trials=3")


def test_two_workers_of_which_one_is_killed(folder: Path) -> None:
    process = started(folder, *LONG, "sweep.name=killed")
    study = folder / "runs" / "killed"
    states = wait_for(lambda: list(study.glob("trials/*/train/state/structure.json")), 2, process)
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[0].send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert "was ended by SIGKILL" in err
    trials = table(study)
    died = trials[trials["state"] == "interrupted"]
    assert list(died["reason"]) == ["its worker died"]
    again = trials[trials["kind"] == "retry"].iloc[0]
    assert (again["retry_of"], again["state"], again["run"]) == (died.index[0], "complete", died["run"].iloc[0])
    assert again["param.train.learning_rate"] == died["param.train.learning_rate"].iloc[0]
    assert (trials["state"] == "complete").sum() == 3
    log = (study / again["run"] / "log.txt").read_text()
    assert "train: goes on from its last state" in log
    # It went on from its checkpoint: the first steps were made once.
    steps = [json.loads(line)["step"] for line in (study / again["run"] / "train" / "stream.jsonl").open()]
    assert steps.count(1) == 1 and max(steps) == 30
    assert len(states) >= 2 and not left_behind(study)


def test_asked_to_end_workers_leave_nothing_behind_and_the_command_goes_on(folder: Path) -> None:
    process = started(folder, *LONG, "sweep.name=asked")
    study = folder / "runs" / "asked"
    wait_for(lambda: list(study.glob("trials/*/train/state/structure.json")), 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert err.count("the same command goes on") >= 1 and "Traceback" not in err
    assert not left_behind(study)
    code, out, err = command(folder, *LONG, "sweep.name=asked", "sweep.workers=1", "sweep.trials=2")
    assert code == 0, out + err
    trials = table(study)
    assert sorted(trials["state"]) == ["complete", "complete", "interrupted", "interrupted"]


def wait_for(look: object, count: int, process: subprocess.Popen[str]) -> list[Path]:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        found: list[Path] = look()  # type: ignore[operator]
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"nothing came: {process.communicate(timeout=5)}")


def left_behind(study: Path) -> list[str]:
    """Processes that still have something of the study open, a moment after its end."""
    time.sleep(1)
    return [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline", "open_files"])
        if any(str(study) in file.path for file in process.info["open_files"] or [])
    ]
