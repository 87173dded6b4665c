"""What is asked of a training that goes on, and of the build of the index before one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.nvidia.conftest import Configure
from workflow.backends.contracts import Command
from workflow.backends.nvidia.training import TrainingWatch, index_command, remove_index_leftovers
from workflow.errors import GateError
from workflow.gates import GateLog

STEP = " [2026-05-01 10:00:00] iteration {step:8d}/     100 | global batch size:     8 | lm loss: 1.2E+00 |\n"
VALIDATION = " validation loss at iteration {step} | lm loss value: {loss:E} | lm loss PPL: 3.0E+00 | \n"


def log_of(path: Path, *validations: tuple[int, float]) -> Path:
    """The log of a LoRA training by mbridge, which is all that it leaves of its losses."""
    path.write_text("".join(STEP.format(step=s) + VALIDATION.format(step=s, loss=v) for s, v in validations))
    return path


def test_a_training_that_a_gate_stopped_does_not_pass_it_when_it_goes_on(mbridge: Configure, tmp_path: Path) -> None:
    """The next validation may be a fair one, of weights that were random at the start."""
    watch = TrainingWatch(mbridge("train=lora"), tmp_path, GateLog())
    with pytest.raises(GateError, match=r"saw 6\.2400 nats per base after 10 steps"):
        watch.recall(log_of(tmp_path / "log", (10, 6.24)))


def test_the_first_validation_is_that_of_the_first_attempt(mbridge: Configure, tmp_path: Path) -> None:
    gates = GateLog()
    watch = TrainingWatch(mbridge("train=lora"), tmp_path, gates)
    watch.recall(log_of(tmp_path / "log", (10, 1.25), (20, 1.20)))
    watch.on_line(VALIDATION.format(step=30, loss=1.10))
    (saw,) = [result.saw for result in gates.results if result.name == "first_validation_loss"]
    assert saw == "1.2500 nats per base after 10 steps"


def test_nothing_to_recall(mbridge: Configure, tmp_path: Path) -> None:
    """Then the next validation is the first."""
    gates = GateLog()
    watch = TrainingWatch(mbridge("train=lora"), tmp_path, gates)
    watch.recall(tmp_path / "absent")
    assert not gates.results
    with pytest.raises(GateError, match="first_validation_loss"):
        watch.on_line(VALIDATION.format(step=10, loss=6.24))


def test_from_random_weights_a_guess_is_no_fault(mbridge: Configure, tmp_path: Path) -> None:
    gates = GateLog()
    watch = TrainingWatch(mbridge("train=scratch"), tmp_path, gates)
    watch.on_line(VALIDATION.format(step=10, loss=6.24))
    assert not [result for result in gates.results if result.name == "first_validation_loss"]


def test_a_gate_that_warns_is_told_once(mbridge: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gates = GateLog({"first_validation_loss": "warn"})
    watch = TrainingWatch(mbridge("train=lora"), tmp_path, gates)
    for step in (10, 20):
        watch.on_line(VALIDATION.format(step=step, loss=6.24))
    watch.know_first_validation(6.24, 10)
    assert capsys.readouterr().out.count("gate first_validation_loss") == 1


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
