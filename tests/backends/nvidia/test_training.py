"""What is asked of a training that goes on, and of the build of the index before one."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.backends.nvidia.conftest import Configure
from workflow.backends.contracts import Command
from workflow.backends.nvidia.training import TrainingWatch, index_command, remove_index_leftovers
from workflow.config import Config
from workflow.errors import GateError
from workflow.gates import GateLog
from workflow.tracking import StreamRecord, open_tracker, read_stream

STEP = " [2026-05-01 10:00:00] iteration {step:8d}/     100 | global batch size:     8 | lm loss: 1.2E+00 |\n"
VALIDATION = " validation loss at iteration {step} | lm loss value: {loss:E} | lm loss PPL: 3.0E+00 | \n"


NEMO = (
    "Training epoch 0, iteration {before}/99 | lr: 1e-05 | global_batch_size: 8 | global_step: {before} | "
    "reduced_train_loss: 1.31 | train_step_timing in s: 0.5{told}\n"
)


def watching(config: Config, folder: Path, gates: GateLog) -> TrainingWatch:
    return TrainingWatch(config, folder, gates, open_tracker(config, folder))


def streamed(folder: Path) -> list[tuple[int, dict[str, float]]]:
    records: list[StreamRecord] = read_stream(folder / "stream.jsonl")[0]
    return [(record.step, record.metrics) for record in records]


def log_of(path: Path, *validations: tuple[int, float]) -> Path:
    """The log of a LoRA training by mbridge, which is all that it leaves of its losses."""
    path.write_text("".join(STEP.format(step=s) + VALIDATION.format(step=s, loss=v) for s, v in validations))
    return path


def test_a_training_that_a_gate_stopped_does_not_pass_it_when_it_goes_on(mbridge: Configure, tmp_path: Path) -> None:
    """The next validation may be a fair one, of weights that were random at the start."""
    watch = watching(mbridge("train=lora"), tmp_path, GateLog())
    with pytest.raises(GateError, match=r"saw 6\.2400 nats per base after 10 steps"):
        watch.recall(log_of(tmp_path / "log", (10, 6.24)))


def test_the_first_validation_is_that_of_the_first_attempt(mbridge: Configure, tmp_path: Path) -> None:
    gates = GateLog()
    watch = watching(mbridge("train=lora"), tmp_path, gates)
    watch.recall(log_of(tmp_path / "log", (10, 1.25), (20, 1.20)))
    watch.on_line(VALIDATION.format(step=30, loss=1.10))
    (saw,) = [result.saw for result in gates.results if result.name == "first_validation_loss"]
    assert saw == "1.2500 nats per base after 10 steps"


def test_nothing_to_recall(mbridge: Configure, tmp_path: Path) -> None:
    """Then the next validation is the first."""
    gates = GateLog()
    watch = watching(mbridge("train=lora"), tmp_path, gates)
    watch.recall(tmp_path / "absent")
    assert not gates.results
    with pytest.raises(GateError, match="first_validation_loss"):
        watch.on_line(VALIDATION.format(step=10, loss=6.24))


def test_from_random_weights_a_guess_is_no_fault(mbridge: Configure, tmp_path: Path) -> None:
    gates = GateLog()
    watch = watching(mbridge("train=scratch"), tmp_path, gates)
    watch.on_line(VALIDATION.format(step=10, loss=6.24))
    assert not [result for result in gates.results if result.name == "first_validation_loss"]


def test_a_gate_that_warns_is_told_once(mbridge: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gates = GateLog({"first_validation_loss": "warn"})
    watch = watching(mbridge("train=lora"), tmp_path, gates)
    for step in (10, 20):
        watch.on_line(VALIDATION.format(step=step, loss=6.24))
    watch.know_first_validation(6.24, 10)
    assert capsys.readouterr().out.count("gate first_validation_loss") == 1


def test_mbridge_tells_the_stream_and_tensorboard(mbridge: Configure, tmp_path: Path) -> None:
    """Its tool writes no event files while it trains adapters."""
    config = mbridge("train=lora")
    with open_tracker(config, tmp_path) as tracker:
        watch = TrainingWatch(config, tmp_path, GateLog(), tracker)
        for line in (STEP.format(step=10), VALIDATION.format(step=10, loss=1.25)):
            watch.on_line(line)
        # The last one comes twice: as all others do, and once more at the end.
        watch.on_line(VALIDATION.format(step=10, loss=1.25).replace("iteration 10", "iteration 10 on validation set"))
        watch.on_line(VALIDATION.format(step=10, loss=1.5).replace("iteration 10", "iteration 10 on test set"))
    assert streamed(tmp_path) == [(10, {"train_loss": 1.2}), (10, {"val_loss": 1.25})]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("val_loss")] == [(10, 1.25)]


def test_nemo_tells_each_validation_once_and_at_its_step(nemo2: Configure, tmp_path: Path) -> None:
    """It repeats the latest one in every line after it, and tells the last one to TensorBoard alone."""
    config = nemo2("train.validate_every=2", "train.steps=6", "train.warmup_steps=1")
    watch = watching(config, tmp_path, GateLog())
    for step, told in enumerate(("", "", " | val_loss: 1.25", " | val_loss: 1.25", " | val_loss: 1.25"), 1):
        watch.on_line(NEMO.format(before=step - 1, told=told))
    watch.track_validations(pd.DataFrame({"step": [2, 4, 6], "name": "val_loss", "value": [1.2512, 1.2496, 1.2]}))
    told_of = [(step, metrics["val_loss"]) for step, metrics in streamed(tmp_path) if "val_loss" in metrics]
    assert told_of == [(2, 1.25), (4, 1.25), (6, 1.2)]
    assert [step for step, metrics in streamed(tmp_path) if "train_loss" in metrics] == [1, 2, 3, 4, 5]
    assert not (tmp_path / "tensorboard").exists()


def test_a_loss_that_stops_the_training_is_in_the_stream(mbridge: Configure, tmp_path: Path) -> None:
    watch = watching(mbridge("train=lora"), tmp_path, GateLog())
    with pytest.raises(GateError, match="finite_loss"):
        watch.on_line(VALIDATION.format(step=10, loss=float("nan")))
    ((step, metrics),) = streamed(tmp_path)
    assert step == 10 and math.isnan(metrics["val_loss"])


@pytest.mark.parametrize("backend", ["nemo2", "mbridge"])
def test_the_index_is_that_of_the_training(configure: Configure, backend: str, tmp_path: Path) -> None:
    """What its file names depend on stays; what needs several GPUs, the weights or their size goes."""
    overrides = (f"backend={backend}", "model=evo2_7b", "train=full", "parallel.devices=4", "train.accumulate=2")
    kept = {"--seq-length": 4096, "--max-steps": 70, "--seed": 3, "--dataset-config": "data.yaml"}
    gone = {"--tensor-parallel-size": 2, "--devices": 4, "--num-nodes": 1, "--ckpt-dir": "a", "--fp8": True}
    gone |= {"--finetune-ckpt-dir": "a", "--lora-finetune": True, "--context-parallel-size": 2}
    command = Command("train_evo2", kept | gone, {"A": "b"}, processes=4)
    begun = index_command(command, configure(*overrides, "train.batch_size=3"), tmp_path)
    assert kept.items() <= begun.options.items() and not gone.keys() & begun.options.keys()
    assert begun.options["--global-batch-size"] == 3 * 2 * 4 and begun.options["--micro-batch-size"] == 1
    assert begun.options["--result-dir"] == tmp_path and "test" in str(begun.options["--model-size"])
    assert begun.environment == command.environment and begun.processes == 1


def test_what_a_killed_build_of_the_index_has_left(tmp_path: Path) -> None:
    (tmp_path / ".index-x1" / "checkpoints").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    remove_index_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
