import math
from collections.abc import Iterator

import pytest

from workflow import console
from workflow.launch.progress import StepLine, TrainingProgress, parse_step

NEMO = (
    "Training epoch 0, iteration 5/5 | lr: 3e-05 | global_batch_size: 2 | global_step: 5 | reduced_train_loss: 4.821"
    " | train_step_timing in s: 0.05943 | consumed_samples: 12 | val_loss: 5.123"
)
BRIDGE = (
    " [2026-11-20 23:55:12] iteration        3/       6 | consumed samples:            6 | elapsed time per iteration"
    " (ms): 59.3 | throughput per GPU (TFLOP/s/GPU): 0.0 | learning rate: 1.974737E-03 | global batch size:     2 |"
    " lm loss: 5.659441E+00 | loss scale: 1.0 | grad norm: 5.130 | params norm: 32.014 |"
    " number of skipped iterations:   1 | number of nan iterations:   0 |"
)


def test_line_of_nemo() -> None:
    assert parse_step(NEMO) == StepLine(
        step=6,
        total=6,
        loss=4.821,
        learning_rate=3e-5,
        seconds_per_step=0.05943,
        consumed_samples=12,
        validation_loss=5.123,
    )


def test_first_line_of_nemo() -> None:
    told = parse_step("Training epoch 0, iteration 0/99 | lr: 0 | global_step: 0 | reduced_train_loss: 6.329")
    assert told == StepLine(step=1, total=100, loss=6.329, learning_rate=0.0)


def test_later_epoch_of_nemo_counts_on() -> None:
    told = parse_step("Training epoch 2, iteration 3/99 | global_step: 43 | reduced_train_loss: 1.2")
    assert told is not None
    assert (told.step, told.total) == (44, 100)


def test_line_of_megatron_bridge() -> None:
    assert parse_step(BRIDGE) == StepLine(
        step=3,
        total=6,
        loss=5.659441,
        learning_rate=1.974737e-3,
        seconds_per_step=pytest.approx(0.0593),
        consumed_samples=6,
        grad_norm=5.13,
        skipped_steps=1,
    )


def test_line_of_megatron_without_time() -> None:
    told = parse_step(" iteration        3/       6 | consumed samples:  6 | lm loss: 5.6E+00 |")
    assert told == StepLine(step=3, total=6, consumed_samples=6, loss=5.6)


def test_line_behind_the_name_of_its_rank() -> None:
    told = parse_step("[default0]:" + NEMO)
    assert told is not None and told.step == 6


@pytest.mark.parametrize("where", ["", " on validation set"])
def test_validation_of_megatron_bridge(where: str) -> None:
    line = f" validation loss at iteration 6{where} | lm loss value: 4.620890E+00 | lm loss PPL: 1.015843E+02 | "
    assert parse_step(line) == StepLine(step=6, validation_loss=4.62089)


def test_test_loss_is_no_validation() -> None:
    line = " validation loss at iteration 6 on test set | lm loss value: 4.641050E+00 | lm loss PPL: 1.036533E+02 | "
    told = parse_step(line)
    assert told == StepLine(step=6, test_loss=4.64105)
    assert not told.is_training


def test_nan_of_nemo() -> None:
    told = parse_step(
        "Training epoch 0, iteration 3/9 | global_step: 3 | reduced_train_loss: nan | consumed_samples: nan"
    )
    assert told is not None and told.loss is not None
    assert math.isnan(told.loss)
    assert (told.nan_steps, told.consumed_samples) == (1, None)


def test_nan_of_megatron_bridge() -> None:
    """Its line then has no loss at all."""
    line = BRIDGE.replace(" lm loss: 5.659441E+00 |", "").replace("nan iterations:   0", "nan iterations:   1")
    told = parse_step(line)
    assert told is not None and told.loss is not None
    assert math.isnan(told.loss)
    assert told.nan_steps == 1


def test_nan_of_a_validation() -> None:
    told = parse_step(" validation loss at iteration 3 | lm loss value: NAN | lm loss PPL: NAN | ")
    assert told is not None and told.validation_loss is not None
    assert math.isnan(told.validation_loss)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Validation: iteration 2/2",
        "Sanity checking Validation: iteration 1/2",
        "saving checkpoint at iteration       3 to /x in torch_dist format",
        "[NeMo I 2026-11-20 23:50:06 utils:674] > total number of samples: 137",
        "Evaluating iter 2/2",
    ],
)
def test_other_lines(line: str) -> None:
    assert parse_step(line) is None


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The clock: its only item is the time in seconds."""
    clock = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    return clock


def bridge(step: int, loss: float = 1.5) -> str:
    return (
        f" [2026-11-20 23:55:12] iteration {step:8d}/     100 | elapsed time per iteration (ms): 2000.0 |"
        f" learning rate: 3.000000E-04 | lm loss: {loss:.6E} | number of nan iterations:   0 |"
    )


def test_progress_is_shown(capsys: pytest.CaptureFixture[str], pass_time: list[float]) -> None:
    with TrainingProgress(tokens_per_step=65_536) as progress:
        assert progress.feed("loading the model") is None
        pass_time[0] += 500
        for step in range(1, 5):
            pass_time[0] += 2
            progress.feed(bridge(step))
        progress.feed(" validation loss at iteration 4 | lm loss value: 1.250000E+00 | lm loss PPL: 3.5E+00 | ")
        for step in range(5, 8):
            pass_time[0] += 2
            told = progress.feed(bridge(step, loss=1.25))
    assert told is not None and told.step == 7
    # The first step and what comes before it say nothing of the speed.
    assert capsys.readouterr().out.splitlines() == [
        "  training: 4/100 steps, 192 s left, loss 1.5000, lr 3.00e-04, 32,768 bases/s",
        "  training: 7/100 steps, 186 s left, loss 1.2500, validation 1.2500, lr 3.00e-04, 32,768 bases/s",
    ]


def test_progress_of_a_training_that_goes_on(capsys: pytest.CaptureFixture[str], pass_time: list[float]) -> None:
    progress = TrainingProgress()
    for step in (81, 82, 83, 84):
        progress.feed(bridge(step))
        pass_time[0] += 2
    assert capsys.readouterr().out == "  training: 84/100 steps, 32 s left, loss 1.5000, lr 3.00e-04\n"
    progress.close()


def test_test_loss_is_not_shown(capsys: pytest.CaptureFixture[str], pass_time: list[float]) -> None:
    with TrainingProgress() as progress:
        progress.feed(" validation loss at iteration 4 | lm loss value: 1.25E+00 | ")
        progress.feed(" validation loss at iteration 4 on test set | lm loss value: 9.99E+00 | ")
        assert progress.validation_loss == 1.25
    assert capsys.readouterr().out == ""
