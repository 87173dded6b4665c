"""Trainings of two processes against those of one: a small model, without dropout, in float32."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.backends.embedded import many_ranks
from tests.dataset.conftest import write_token_file
from workflow.artifacts import read_json
from workflow.backends.base import Workplace
from workflow.backends.embedded import processes
from workflow.backends.embedded.places import WEIGHTS
from workflow.backends.embedded.processes import Job
from workflow.backends.embedded.training import conclude, make_ready
from workflow.backends.embedded.work import open_samples
from workflow.backends.local import LocalBackend
from workflow.config import (
    BackendConfig,
    Config,
    GatesConfig,
    GenomeConfig,
    LauncherConfig,
    LoraConfig,
    ModelConfig,
    ParallelConfig,
    SweepConfig,
    TrainConfig,
    WindowsConfig,
)
from workflow.dataset.nvidia import DATASET_SPLIT, TRAINING_CONFIG
from workflow.errors import GateError, InputError, ToolError
from workflow.gates import GateLog
from workflow.striped_hyena import ModelConfig as Shape
from workflow.striped_hyena import StripedHyena2, load_checkpoint, save_checkpoint
from workflow.tracking import STREAM, read_stream

ROOT = Path(__file__).parent.parent.parent.parent
#: Every kind of filter that trains in its own way, and attention; nothing divides by two but by chance.
SHAPE = Shape("DH*", width=18, heads=3, mlp_width=27, filter_groups=3)
#: What all trainings agree in.
COMPARED = ("train_loss", "val_loss", "val_loss_nonrepeat", "grad_norm", "learning_rate", "adapter_shift")
TWO = ParallelConfig(devices=2)
SHARDED = ParallelConfig(devices=2, strategy="fsdp")


def configured(method: str = "lora", parallel: ParallelConfig | None = None, **changes: Any) -> Config:
    values: dict[str, Any] = {
        "method": method,
        "context_length": 128,
        "steps": 12,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "warmup_steps": 2,
        "validate_every": 4,
        "validation_samples": 7,
        "clip": 0.5,
        "seed": 3,
        "lora": LoraConfig(rank=3, alpha=8, dropout=0.0),
    }
    return Config(
        genome=GenomeConfig(name="toy", fasta="toy.fa"),
        model=ModelConfig(name="small", architecture="tiny", context_length=1024),
        backend=BackendConfig(name="local", device="cpu"),
        parallel=parallel or ParallelConfig(),
        train=TrainConfig(**(values | changes)),
        windows=WindowsConfig(length=128),
        gates=GatesConfig(first_validation_loss="warn"),
        sweep=SweepConfig(name="toy"),
        run_name="toy",
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `convert` publishes: random weights."""
    folder = tmp_path_factory.mktemp("convert")
    torch.manual_seed(0)
    save_checkpoint(StripedHyena2(SHAPE), folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `preprocess` publishes: a motif with errors, some of it soft-masked; documents of unequal lengths."""
    folder, rng = tmp_path_factory.mktemp("preprocess"), np.random.default_rng(0)
    entries, rows = [], []
    for split, lengths in (("train", (2200, 900, 333)), ("val", (700, 150))):
        documents = []
        for length in lengths:
            bases = np.resize(np.frombuffer(b"ACGTTGCAAGGCTTAacgtagg", np.uint8), length)
            errors = rng.random(length) < 0.05
            documents.append(np.where(errors, rng.choice(np.frombuffer(b"ACGT", np.uint8), length), bases).tobytes())
        write_token_file(folder / split, documents)
        entries.append({"dataset_prefix": split, "dataset_split": DATASET_SPLIT[split], "dataset_weight": 1.0})
        rows += [{"file": split, "tag": 0}] * len(lengths)
    (folder / TRAINING_CONFIG).write_text(yaml.safe_dump(entries))
    pd.DataFrame(rows).to_parquet(folder / "documents.parquet", index=False)
    return folder


class Trainings:
    """Folders of trainings by name."""

    def __init__(self, folder: Path, base: Path, tokens: Path) -> None:
        self.folder, self.base, self.tokens = folder, base, tokens

    def job(self, name: str, config: Config) -> Job:
        (self.folder / name).mkdir(exist_ok=True)
        make_ready(self.folder / name)
        return Job(config, self.base, self.tokens, self.folder / name, [])

    def here(self, name: str, config: Config, until: int | None = None) -> None:
        """In this process."""
        many_ranks.train(self.job(name, config), until)

    def in_two(self, *trainings: tuple[str, Config, int | None]) -> None:
        """In two processes, one training after another."""
        jobs = []
        for number, (name, config, until) in enumerate(trainings):
            path = self.folder / f"{number}-{name}.json"
            self.job(name, config).write(path)
            jobs.append((path, until))
        assert many_ranks.start(jobs, 2, self.folder / "meeting") == [0, 0]

    def curves(self, name: str) -> pd.DataFrame:
        """All that was logged, once the training has ended: a row for each step and name."""
        config = configured()
        conclude(self.folder / name, open_samples(config, self.tokens), config.step_plan)
        return pd.read_parquet(self.folder / name / "metrics.parquet")


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory, base: Path, tokens: Path) -> Trainings:
    """All trainings that the tests compare."""
    made = Trainings(tmp_path_factory.mktemp("trainings"), base, tokens)
    half = {"batch_size": 4}
    recomputed = half | {"activation_checkpointing": True}
    ramp = {"batch_ramp": 0.5, "batch_ramp_start": 4, "accumulate": 4}
    for method in ("lora", "full"):
        made.here(method, configured(method))
    made.here("bf16", configured(precision="bf16"))
    made.here("lora-accumulated", configured(batch_size=2, accumulate=4))
    made.here("ramp", configured(batch_size=4, **ramp))
    # Killed in the third stretch: what remains is the state of step 8.
    made.here("lora-1-to-ddp", configured(), until=10)
    made.here("ramp-1-to-ddp", configured(batch_size=4, **ramp), until=5)
    made.in_two(
        ("lora-ddp", configured("lora", TWO, batch_size=2, accumulate=2), None),
        ("full-ddp", configured("full", TWO, **half), None),
        ("lora-fsdp", configured("lora", SHARDED, **half), None),
        ("full-fsdp", configured("full", SHARDED, **recomputed), None),
        ("lora-1-to-ddp", configured("lora", TWO, **half), None),
        ("lora-ddp-to-1", configured("lora", TWO, **half), 10),
        ("full-ddp-to-fsdp", configured("full", TWO, **half), 6),
        ("full-ddp-to-fsdp", configured("full", SHARDED, **half), None),
        ("full-fsdp-to-1", configured("full", SHARDED, **half), 10),
        ("ramp-1-to-ddp", configured("lora", TWO, batch_size=2, **ramp), None),
        ("still", configured("lora", SHARDED, learning_rate=0.0, **half), None),
        ("bf16-fsdp", configured("lora", SHARDED, precision="bf16", **half), None),
    )
    made.here("lora-ddp-to-1", configured())
    made.here("full-fsdp-to-1", configured("full"))
    return made


@pytest.mark.parametrize(
    ("name", "alone"),
    [
        ("lora-accumulated", "lora"),
        ("lora-ddp", "lora"),
        ("lora-fsdp", "lora"),
        ("full-ddp", "full"),
        ("full-fsdp", "full"),
        ("lora-1-to-ddp", "lora"),
        ("lora-ddp-to-1", "lora"),
        ("full-ddp-to-fsdp", "full"),
        ("full-fsdp-to-1", "full"),
        ("ramp-1-to-ddp", "ramp"),
    ],
)
def test_the_losses_are_those_of_one_process(trainings: Trainings, name: str, alone: str) -> None:
    expected, found = trainings.curves(alone), trainings.curves(name)
    assert set(expected["name"]) <= set(COMPARED) and set(expected["step"]) == set(range(13))
    pd.testing.assert_frame_equal(found[["step", "bases_seen", "name"]], expected[["step", "bases_seen", "name"]])
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-5)


def test_float32_adapters_on_bfloat16_weights_are_spread_too(trainings: Trainings) -> None:
    """Samples share a batch with others, so that sums of bfloat16 round otherwise."""
    alone, two = (trainings.curves(name).query("name == 'val_loss'")["value"] for name in ("bf16", "bf16-fsdp"))
    np.testing.assert_allclose(two, alone, rtol=1e-3)
    assert alone.iloc[-1] < alone.iloc[0] - 0.1


def test_the_seven_validation_samples_are_counted_once(trainings: Trainings) -> None:
    """A mean over processes, or a sample in two of them, would be another number."""
    alone, two = (trainings.curves(name).query("name == 'val_loss'")["value"] for name in ("full", "full-fsdp"))
    np.testing.assert_allclose(two, alone, rtol=1e-6)


@pytest.mark.parametrize("name", ["full-ddp", "full-fsdp", "full-ddp-to-fsdp", "full-fsdp-to-1"])
def test_weights_are_saved_whole_with_poles_that_decay(trainings: Trainings, name: str) -> None:
    ours, expected = (
        load_checkpoint(trainings.folder / n / "best" / "model.safetensors").state_dict() for n in (name, "full")
    )
    assert float(ours["blocks.1.filter.log_poles"].max()) < 0
    for key, tensor in expected.items():
        torch.testing.assert_close(ours[key], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["lora-ddp", "lora-fsdp"])
def test_adapters_are_saved_whole(trainings: Trainings, name: str) -> None:
    ours, expected = (load_file(trainings.folder / n / "best" / "adapter_model.safetensors") for n in (name, "lora"))
    assert ours.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(ours[key], tensor, rtol=1e-3, atol=1e-4)
    settings = [read_json(trainings.folder / n / "best" / "adapter_config.json") for n in (name, "lora")]
    assert settings[0] == settings[1]


def test_a_ramp_reads_each_sample_once(trainings: Trainings) -> None:
    """Twelve steps, six of them in the ramp: 4, 4, 8, 12, 12, 16 samples, then 16; all of 128 bases."""
    plan = configured(batch_size=4, batch_ramp=0.5, accumulate=4).step_plan
    sizes = [plan.samples_of(step) for step in range(12)]
    assert sizes == [4, 4, 8, 12, 12, 16, *[16] * 6]
    losses = trainings.curves("ramp").query("name == 'train_loss'")
    assert losses["bases_seen"].tolist() == (128 * np.cumsum(sizes)).tolist()


# ---------------------------------------------------------------- as the backend starts them


def train(config: Config, out: Path, base: Path, tokens: Path, gates: GateLog | None = None) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    place = Workplace(out)
    gates = gates or GateLog(vars(config.gates))
    counts = LocalBackend(config.backend, place).train(config, base, tokens, out, gates)
    assert [told["command"].count("--nproc-per-node 2") for told in place.commands] == [1]
    return counts


@pytest.fixture
def single_threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.usefixtures("single_threaded")
def test_a_killed_process_ends_the_training_and_the_next_start_goes_on(
    trainings: Trainings,
    tmp_path: Path,
    base: Path,
    tokens: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, config = tmp_path / "run" / "train", configured("lora", TWO, batch_size=4)
    with monkeypatch.context() as patch:
        patch.setattr(processes, "_RANK_MODULE", "tests.backends.embedded.dying_rank")
        with pytest.raises(ToolError, match=r"the training ended with exit code 1: killed by SIGKILL") as caught:
            train(config, out, base, tokens)
    assert "\n" not in str(caught.value) and str(out / "logs" / "training.log") in str(caught.value)
    assert (out / "state").exists() and not (out / "metrics.parquet").exists()
    gates = GateLog(vars(config.gates))
    counts = train(config, out, base, tokens, gates)
    shutil.copytree(out, trainings.folder / "killed")
    expected, found = trainings.curves("lora"), trainings.curves("killed")
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-5)
    assert (counts["steps"], counts["bases_seen"]) == (12, int(expected["bases_seen"].max()))
    assert {result.name: result.passed for result in gates.results} == {
        "context_length": True,
        "first_validation_loss": False,
        "adapters_move": True,
        "finite_loss": True,
    }
    told = capsys.readouterr().out
    assert told.count("WARNING gate first_validation_loss") == 1
    records = read_stream(out / STREAM)[0]
    assert [record.step for record in records if "val_loss" in record.metrics] == [0, 4, 8, 12]
    assert [record.step for record in records if "train_loss" in record.metrics] == [1, 2, 3, 4, *range(5, 13)]


def test_a_gate_fires_in_all_processes(trainings: Trainings) -> None:
    told = [(trainings.folder / "still" / f"stopped-{rank}").read_text() for rank in range(2)]
    assert told[0] == told[1] and "gate adapters_move: saw 15 of 15 adapters unmoved after 4 steps" in told[0]


@pytest.mark.usefixtures("single_threaded")
def test_a_gate_that_fires_in_the_processes_is_one_error(tmp_path: Path, base: Path, tokens: Path) -> None:
    out = tmp_path / "run" / "train"
    # Two of them stop alike, see above; one is started sooner.
    config = replace(configured("full"), gates=GatesConfig())
    with pytest.raises(GateError, match=r"^gate first_validation_loss: saw 6\.\d+ nats per base before") as caught:
        processes.train(Job(config, base, tokens, out, []), GateLog(), Workplace(out))
    assert caught.value.gate == "first_validation_loss" and "\n" not in str(caught.value)
    assert not (out / "state").exists()


def test_an_error_survives_the_way_to_the_one_who_started_the_process() -> None:
    for error in (InputError("lower train.learning_rate"), GateError("gate x: saw é", "x")):
        with pytest.raises(type(error)) as caught:
            processes._hear(processes.tell_error(error).rstrip("\n"))
        assert str(caught.value) == str(error)
        assert getattr(caught.value, "gate", None) == getattr(error, "gate", None)


def test_a_job_is_read_as_it_was_written_but_for_secrets(tmp_path: Path) -> None:
    config = configured("lora", SHARDED, batch_size=4, tokens=20_000, batch_ramp=0.3)
    config.launcher.environment["HF_TOKEN"] = "hf_secret"
    config.genome.fasta = "https://me:word@example.org/g.fa"
    job = Job(config, tmp_path / "a", tmp_path / "b", tmp_path / "c", [{"name": "x"}])
    job.write(tmp_path / "logs" / "job.json")
    assert "hf_secret" not in (tmp_path / "logs" / "job.json").read_text()
    assert "me:word" not in (tmp_path / "logs" / "job.json").read_text()
    again = Job.read(tmp_path / "logs" / "job.json")
    assert again.config.train == config.train and again.config.parallel == SHARDED
    assert (again.base, again.out, again.gates) == (tmp_path / "a", tmp_path / "c", [{"name": "x"}])


def test_the_line_of_several_machines(tmp_path: Path) -> None:
    launcher = LauncherConfig(name="torchrun", rendezvous="node1:29400")
    config = replace(configured("lora", ParallelConfig(nodes=2, devices=4), batch_size=1), launcher=launcher)
    (line,) = LocalBackend(config.backend, Workplace(tmp_path)).script(config, "train", tmp_path)
    assert "--nnodes 2 --node-rank 0 --nproc-per-node 4 --master-addr node1 --master-port 29400" in line
    assert line.endswith(f"-m workflow.backends.embedded.rank {tmp_path}/train/logs/training.json")
    assert LocalBackend(config.backend, Workplace(tmp_path)).script(config, "predict", tmp_path) == []
    alone = replace(config, launcher=LauncherConfig())
    with pytest.raises(InputError, match=r"parallel\.nodes=2 with launcher=process"):
        processes.program(alone, Workplace(tmp_path))
    with pytest.raises(InputError, match=r"launcher=docker starts NVIDIA's tools"):
        processes.program(replace(config, launcher=LauncherConfig(name="docker")), Workplace(tmp_path))


def test_each_process_gets_its_share_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    config = configured("lora", ParallelConfig(devices=4), batch_size=1)
    assert processes.program(config, Workplace(tmp_path)).environment["OMP_NUM_THREADS"] == "4"
    config.launcher.environment["OMP_NUM_THREADS"] = "3"
    assert processes.program(config, Workplace(tmp_path)).environment["OMP_NUM_THREADS"] == "3"
