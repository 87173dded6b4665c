"""What wandb, mlflow and TensorBoard are told, read back from their own files; and that none of them can do harm."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from tests.tracking.conftest import Configure
from tests.tracking.wandb_files import read_offline_runs
from workflow.artifacts import read_json, write_json
from workflow.config import Config
from workflow.errors import InputError
from workflow.tracking import MetricStream, log_evaluation, open_tracker, read_stream, relaying, tracker
from workflow.tracking.relay import open_sink, relay
from workflow.tracking.relaying import End
from workflow.tracking.tracked import TrackedRun

CANARY = "canary0123456789canary0123456789canary01"
METRICS = {
    "verdict": {"outcome": "better", "headline": "The adapted model is better."},
    "bases": 1000,
    "models": [
        {"model": "base", "repeats": "all bases", "nll": 1.3},
        {"model": "base", "repeats": "no repeats", "nll": 1.1},
        {"model": "adapted", "repeats": "all bases", "nll": 1.25},
    ],
    "differences": [
        {
            "model": "adapted",
            "reference": "base",
            "repeats": "all bases",
            "gain": 0.05,
            "gain_low": 0.04,
            "gain_high": None,
        }
    ],
    "forgetting": None,
}


def train_folder(config: Config) -> Path:
    """The folder of a training whose data and weights are there."""
    run = Path(config.runs_folder) / config.run_name
    for stage in ("prepare", "preprocess", "convert"):
        (run / stage).mkdir(parents=True, exist_ok=True)
        write_json(run / stage / "manifest.json", {"fingerprint": f"of {stage}"})
    (run / "train").mkdir(exist_ok=True)
    return run / "train"


def passed_on(config: Config, *lines: tuple[int, dict[str, float]], end: End = End(succeeded=True)) -> Path:  # noqa: B008
    """Log these lines and relay them in this process; returns the training's folder."""
    folder = train_folder(config)
    stream = MetricStream(folder / "stream.jsonl")
    for step, metrics in lines:
        stream.log(step, metrics)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as orders:
        os.write(writer, json.dumps(asdict(end)).encode() + b"\n")
        os.close(writer)
        run = TrackedRun.of(config, folder.parent)
        relay(run, open_sink(run), orders)
    return folder


def identifier(folder: Path) -> str:
    """What the tracker calls the run."""
    return str(read_json(folder / "tracking.json")["got"]["id"])


def mlflow_run(config: Config) -> Run:
    client = MlflowClient(tracking_uri=(Path(config.tracking.folder) / "mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name(config.tracking.project).experiment_id])
    return run


def test_without_a_tracker_there_is_the_stream_alone(configure: Configure) -> None:
    config = configure()
    folder = train_folder(config)
    with open_tracker(config, folder) as tracked:
        tracked.log(1, {"train_loss": 1.5})
    assert [path.name for path in folder.iterdir()] == ["stream.jsonl"]
    assert not Path(config.tracking.folder).exists()
    log_evaluation(config, folder.parent)
    assert not Path(config.tracking.folder).exists()


def test_wandb_keeps_a_run_offline(configure: Configure) -> None:
    config = configure("tracking=wandb", "tracking.project=cane", "tracking.tags=[a,b]", "train.steps=77")
    passed_on(config, (0, {"val_loss": 1.5}), (10, {"train_loss": 1.25, "grad_norm": float("nan")}))
    (run,) = read_offline_runs(Path(config.tracking.folder))
    assert (run.name, run.project, run.tags, run.group, run.exit_code) == ("rice", "cane", ["a", "b"], "", 0)
    assert run.config["train"]["steps"] == 77
    assert run.config["fingerprints"] == {stage: f"of {stage}" for stage in ("prepare", "preprocess", "convert")}
    assert [(point["step"], point.get("val_loss"), point.get("train_loss")) for point in run.history] == [
        (0, 1.5, None),
        (10, None, 1.25),
    ]
    assert np.isnan(run.history[1]["grad_norm"])


def test_a_training_that_goes_on_goes_on_in_the_same_run_of_wandb(configure: Configure) -> None:
    """Steps since the last state come again; wandb would drop what it takes for the past."""
    config = configure("tracking=wandb")
    passed_on(config, *((step, {"train_loss": float(step)}) for step in (1, 2, 3)), end=End(succeeded=False))
    time.sleep(1)  # wandb names a folder by the second
    folder = passed_on(config, *((step, {"train_loss": step / 10}) for step in (2, 3, 4)))
    first, second = read_offline_runs(Path(config.tracking.folder))
    assert first.identifier == second.identifier == identifier(folder)
    assert (first.exit_code, second.exit_code) == (1, 0)
    assert [point["_step"] for point in first.history + second.history] == [0, 1, 2, 3, 4, 5]
    assert [(point["step"], point["train_loss"]) for point in second.history] == [(2, 0.2), (3, 0.3), (4, 0.4)]


def test_mlflow_keeps_a_run_in_files(configure: Configure) -> None:
    config = configure("tracking=mlflow", "tracking.project=cane", "tracking.tags=[a]", "train.steps=77")
    passed_on(config, (0, {"val_loss": 1.5}), (10, {"val_loss": 1.25}))
    run = mlflow_run(config)
    assert (run.info.run_name, run.info.status) == ("rice", "FINISHED")
    assert run.data.params["train.steps"] == "77" and run.data.params["genome.name"] == "athaliana_plastid"
    assert run.data.tags["fingerprint.convert"] == "of convert" and run.data.tags["a"] == "true"
    client = MlflowClient(tracking_uri=(Path(config.tracking.folder) / "mlflow").as_uri())
    history = client.get_metric_history(run.info.run_id, "val_loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.5), (10, 1.25)]


def test_a_training_that_goes_on_goes_on_in_the_same_run_of_mlflow(configure: Configure) -> None:
    config = configure("tracking=mlflow")
    passed_on(config, (1, {"train_loss": 1.0}), end=End(succeeded=False))
    assert mlflow_run(config).info.status == "FAILED"
    passed_on(config, (2, {"train_loss": 0.5}))
    run = mlflow_run(config)
    assert (run.info.status, run.data.metrics["train_loss"]) == ("FINISHED", 0.5)


def test_a_run_that_the_store_has_lost_is_begun_again(configure: Configure) -> None:
    config = configure("tracking=mlflow")
    folder = passed_on(config)
    known = read_json(folder / "tracking.json")
    write_json(folder / "tracking.json", known | {"got": known["got"] | {"id": "0" * 32}})
    passed_on(config)
    assert identifier(folder) not in (known["got"]["id"], "0" * 32)


def test_another_tracker_or_project_is_another_run_and_gets_everything(configure: Configure) -> None:
    folder = passed_on(configure("tracking=mlflow"), (1, {"train_loss": 1.0}))
    first = identifier(folder)
    other = configure("tracking=mlflow", "tracking.project=other")
    passed_on(other)
    assert identifier(folder) != first
    assert mlflow_run(other).data.metrics == {"train_loss": 1.0}


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_trial_is_grouped_by_its_study(configure: Configure, tmp_path: Path, name: str) -> None:
    trials = tmp_path / "runs" / "search" / "trials"
    config = configure(f"tracking={name}", f"runs_folder={trials}", "run_name=0007", f"tracking.folder={tmp_path}/t")
    train_folder(config)
    write_json(trials.parent / "study.json", {})
    passed_on(config)
    if name == "wandb":
        (run,) = read_offline_runs(tmp_path)
        assert (run.name, run.group) == ("0007", "search")
    else:
        assert mlflow_run(config).data.tags["study"] == "search"


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_summary_joins_the_run_of_the_training(configure: Configure, name: str) -> None:
    config = configure(f"tracking={name}")
    passed_on(config, (1, {"train_loss": 1.0}))
    time.sleep(1 if name == "wandb" else 0)
    passed_on(config, end=End(succeeded=True, summary={"evaluation.gain": 0.05, "evaluation.verdict": "better"}))
    if name == "wandb":
        training, evaluation = read_offline_runs(Path(config.tracking.folder))
        assert training.identifier == evaluation.identifier
        told: Mapping[str, object] = evaluation.summary
    else:
        told = mlflow_run(config).data.metrics | mlflow_run(config).data.tags
    assert (told["evaluation.gain"], told["evaluation.verdict"]) == (0.05, "better")


def test_an_evaluation_without_a_training_has_a_run_of_its_own(configure: Configure) -> None:
    config = configure("tracking=mlflow", "train=none")
    run = Path(config.runs_folder) / config.run_name
    write_json_in(run / "evaluate" / "metrics.json", METRICS)
    log_evaluation(config, run)
    told = mlflow_run(config).data.metrics | mlflow_run(config).data.tags
    got = {key.removeprefix("evaluation."): value for key, value in told.items() if key.startswith("evaluation.")}
    assert got == {
        "nll_base": 1.3,
        "nll_adapted": 1.25,
        "gain": 0.05,
        "gain_low": 0.04,
        "gain_of": "adapted over base",
        "test_bases": 1000,
        "verdict": "better",
        "verdict_text": "The adapted model is better.",
    }
    assert (run / "tracking.json").exists()


def write_json_in(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True)
    write_json(path, value)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_no_secret_is_written(configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    for variable in ("WANDB_API_KEY", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN"):
        monkeypatch.setenv(variable, CANARY)
    config = configure(
        f"tracking={name}",
        f"genome.fasta='https://me:{CANARY}@host/genome.fa?token={CANARY}'",
        f"+launcher.environment.NGC_API_KEY={CANARY}",
    )
    passed_on(config, (1, {"train_loss": 1.0}), end=End(succeeded=True, summary={"a": 1.0}))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_nothing_is_told_of_the_machine(configure: Configure, tmp_path: Path, name: str) -> None:
    config = configure(f"tracking={name}")
    passed_on(config, (1, {"train_loss": 1.0}))
    names = {path.name for path in Path(config.tracking.folder).rglob("*") if path.is_file()}
    assert not names & {"wandb-metadata.json", "requirements.txt", "output.log", "diff.patch", "conda.yaml"}
    if name == "wandb":
        (run,) = read_offline_runs(Path(config.tracking.folder))
        assert run.host == "" and set(run.config) - set(asdict(config)) == {"fingerprints", "_wandb"}
        assert not run.config["_wandb"]


def test_a_tracker_that_is_not_installed_is_told_at_once(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    config = configure("tracking=wandb")
    with pytest.raises(InputError, match=r"needs the package wandb: install it with pip install -e '\.\[tracking\]'"):
        open_tracker(config, train_folder(config))


def test_without_a_login_wandb_is_not_asked(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would ask on the terminal, and wait."""
    for variable in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"no login for api\.wandb\.ai: set WANDB_API_KEY"):
        passed_on(configure("tracking=wandb", "tracking.mode=online"))


def test_a_server_that_never_answers_holds_up_nothing(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(relaying, "_SECONDS_TO_OPEN", 3.0)
    monkeypatch.setenv("WANDB_API_KEY", CANARY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config = configure("tracking=wandb", "tracking.mode=online", f"tracking.uri={uri}")
        folder = train_folder(config)
        began = time.monotonic()
        with open_tracker(config, folder) as tracked:
            for step in range(100):
                tracked.log(step, {"train_loss": 1.0})
            assert time.monotonic() - began < 1
        assert time.monotonic() - began < 4
    assert "given up, the run goes on" in capfd.readouterr().err
    assert len(read_stream(folder / "stream.jsonl")[0]) == 100


def test_what_could_not_be_sent_is_sent_by_the_next_start(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A place for the store that cannot be written to, as a network that is down."""
    config = configure("tracking=mlflow")
    folder = train_folder(config)
    store = Path(config.tracking.folder) / "mlflow"
    store.parent.mkdir()
    store.write_text("in the way")
    with open_tracker(config, folder) as tracked:
        tracked.log(1, {"train_loss": 1.0})
    told = capfd.readouterr().err
    assert told.count("WARNING tracking by mlflow is given up, the run goes on") == 1
    store.unlink()
    passed_on(config, (2, {"train_loss": 0.5}))
    client = MlflowClient(tracking_uri=store.as_uri())
    history = client.get_metric_history(mlflow_run(config).info.run_id, "train_loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]


def test_a_tracker_that_is_killed_is_told_of(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    config = configure("tracking=mlflow")
    folder = train_folder(config)
    with open_tracker(config, folder) as tracked:
        tracked.log(1, {"train_loss": 1.0})
        assert tracked._relay is not None
        tracked._relay._process.kill()
    assert "WARNING tracking by mlflow is given up, the run goes on: its process was killed" in capfd.readouterr().err
    assert [record.step for record in read_stream(folder / "stream.jsonl")[0]] == [1]


def test_a_relay_ends_with_the_process_that_started_it_and_not_before(configure: Configure) -> None:
    """Signals that a terminal or a scheduler sends to all processes do not end it; that nobody writes to it does."""
    config = configure("tracking=mlflow")
    tracked = open_tracker(config, train_folder(config))
    process = tracked._relay._process if tracked._relay else None
    assert process and process.stdin and process.stdout
    assert process.stdout.readline() == b"open\n"
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    tracked.log(1, {"train_loss": 1.0})
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()
    run = mlflow_run(config)
    assert (run.info.status, run.data.metrics) == ("FAILED", {"train_loss": 1.0})


def test_a_relay_without_its_starter_does_not_wait_for_a_tracker_for_ever(configure: Configure) -> None:
    config = configure("tracking=mlflow")
    run = TrackedRun.of(config, train_folder(config).parent)
    hanging = """
import sys, time
from workflow.tracking import relay
class Hanging:
    identifier = "x"
    def summarise(self, values): pass
    def close(self, succeeded): time.sleep(60)
relay.open_sink, relay.SECONDS_TO_END = lambda run: Hanging(), 1
sys.exit(relay.main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", hanging], input=json.dumps(asdict(run)).encode() + b"\n", capture_output=True, timeout=50
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGALRM, b"open\n")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("tracking.name=neptune",), "tracking.name=neptune is not a choice: use one of none, wandb, mlflow"),
        (("tracking.mode=cloud",), "tracking.mode=cloud is not a choice: use one of offline, online"),
        (("tracking=mlflow", "tracking.uri=https://me:pw@host"), "tracking.uri is a server, and tracking.mode=offline"),
        (("tracking=mlflow", "tracking.mode=online"), "needs a server: give tracking.uri=https://HOST:PORT"),
        (("tracking.project=''",), "tracking.project is empty"),
    ],
)
def test_settings_that_do_not_fit(configure: Configure, overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as told:
        configure(*overrides)
    assert message in str(told.value) and "pw" not in str(told.value)


def test_the_identifier_is_kept_without_secrets(configure: Configure) -> None:
    config = configure("tracking=mlflow")
    folder = passed_on(config)
    kept = json.loads((folder / "tracking.json").read_text())
    assert set(kept["where"]) == {"name", "project", "entity", "mode", "folder"}
    assert kept["got"] == {"id": mlflow_run(config).info.run_id, "offset": 0, "lines": 0}
