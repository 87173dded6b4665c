import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow.artifacts import PerBaseWriter, write_json
from workflow.config import Config
from workflow.errors import InputError
from workflow.sweeping.objectives import KNOWN, RANDOM_NLL, UNIFORM_NLL, Objective, measure
from workflow.sweeping.plan import Plan
from workflow.sweeping.settings import resolved


@pytest.fixture
def config(planned: Callable[..., Plan]) -> Config:
    return resolved(planned("genome.organism=Own_plant", "parallel.devices=2").settings, {})


def training(run: Path, rows: list[tuple[int, str, float]], best_step: int, seconds: float = 1.0) -> None:
    (run / "train").mkdir(parents=True)
    pd.DataFrame(rows, columns=["step", "name", "value"]).to_parquet(run / "train" / "metrics.parquet")
    write_json(run / "train" / "manifest.json", {"counts": {"best_step": best_step}, "timings": {"seconds": seconds}})


def test_loss_of_the_weights_that_were_kept(tmp_path: Path, config: Config) -> None:
    rows = [
        (5, "val_loss", 1.0),
        (5, "val_loss_nonrepeat", 1.2),
        (10, "val_loss", 1.1),
        (10, "val_loss_nonrepeat", 0.9),
    ]
    training(tmp_path, rows, best_step=5)
    assert measure(KNOWN["val_loss"], tmp_path, config) == 1.0
    assert measure(KNOWN["val_loss_nonrepeat"], tmp_path, config) == 1.2


def test_without_soft_masked_bases_both_losses_are_one(tmp_path: Path, config: Config) -> None:
    training(tmp_path, [(5, "val_loss", 1.0)], best_step=5)
    assert measure(KNOWN["val_loss_nonrepeat"], tmp_path, config) == 1.0


def test_device_hours_count_interrupted_attempts(tmp_path: Path, config: Config) -> None:
    training(tmp_path, [(5, "val_loss", 1.0)], best_step=5, seconds=1800)
    assert measure(KNOWN["gpu_hours"], tmp_path, config, seconds_before=1800) == 2.0  # 1 h on 2 devices


def predictions(folder: Path, bases: bytes, logprobs: np.ndarray) -> None:
    folder.mkdir(parents=True)
    table = pd.DataFrame(
        {
            "sequence_id": ["a"],
            "seqid": ["a"],
            "start": [0],
            "end": [len(bases)],
            "strand": ["+"],
            "length": [len(bases)],
        }
    )
    writer = PerBaseWriter(folder, table)
    writer.write(0, logprobs, np.frombuffer(bases, np.uint8))
    writer.close()


def test_scored_windows_with_and_without_repeats(
    tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow.sweeping.objectives._CHUNK", 2)  # chunks end inside the window
    logprobs = np.log(np.array([[0.5, 0.25, 0.125, 0.125]] * 6, np.float32))
    logprobs[4] = np.nan
    folder = tmp_path / "predict" / "adapted"
    predictions(folder, b"AcGNTT", logprobs)
    pd.DataFrame({"n": [4, 2], "sum": [-4.0, -5.0]}).to_parquet(folder / "scores.parquet")
    assert measure(KNOWN["predict.nll"], tmp_path, config) == 1.5
    # Upper case are A, G and the last T; c is soft-masked, N no base, the first T not scored.
    expected = -(math.log(0.5) + math.log(0.125) + math.log(0.125)) / 3
    assert measure(KNOWN["predict.nll_nonrepeat"], tmp_path, config) == pytest.approx(expected, abs=1e-3)


def test_nothing_scored_is_undefined(tmp_path: Path, config: Config) -> None:
    predictions(tmp_path / "predict" / "adapted", b"acgt", np.zeros((4, 4), np.float32))
    assert math.isnan(measure(KNOWN["predict.nll_nonrepeat"], tmp_path, config))


def test_forgetting_is_the_mean_over_other_organisms(tmp_path: Path, config: Config) -> None:
    names = ["Homo_sapiens|1", "Homo_sapiens|2", "phage|1", "own plant|1"]
    for model, sums in (("base", [-10.0, -10.0, -10.0, -10.0]), ("adapted", [-11.0, -13.0, -9.0, -99.0])):
        folder = tmp_path / "predict" / "forgetting" / model
        folder.mkdir(parents=True)
        table = pd.DataFrame({"sequence_id": names, "n": [10, 10, 10, 10], "sum": sums})
        table.to_parquet(folder / "scores.parquet")
    assert measure(KNOWN["forgetting"], tmp_path, config) == pytest.approx((0.2 - 0.1) / 2)


def evaluated(key: str) -> Objective:
    return Objective(f"evaluate.{key}", "maximize")


def test_numbers_of_the_evaluation(tmp_path: Path, config: Config) -> None:
    (tmp_path / "evaluate").mkdir()
    metrics = {"a": {"Homo sapiens": {"estimate": 0.5}}, "rows": [{"x": 1}, {"x": 2}], "none": None, "word": "better"}
    write_json(tmp_path / "evaluate" / "metrics.json", metrics)
    assert measure(evaluated("a.Homo sapiens.estimate"), tmp_path, config) == 0.5
    assert measure(evaluated("rows.1.x"), tmp_path, config) == 2
    assert math.isnan(measure(evaluated("none"), tmp_path, config))
    for key, message in (
        ("a.Homo sapiens.estimat", r"has no a\.Homo sapiens\.estimat; did you mean estimate\?"),
        ("nll", r"has no nll; there are a, rows, none, word"),
        ("rows.7.x", r"has no rows\.7; there are 0, 1"),
        ("word", r"word is no number"),
        ("a", r"a is no number"),
    ):
        with pytest.raises(InputError, match=message):
            measure(evaluated(key), tmp_path, config)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("val_loss", 1.2, None),
        ("val_loss", UNIFORM_NLL - 1e-6, None),
        ("val_loss", UNIFORM_NLL, "no better than a uniform guess"),
        ("val_loss", 1.5, "no better than a uniform guess"),
        ("val_loss", RANDOM_NLL + 0.01, "the checkpoint was not loaded"),
        ("val_loss", math.nan, "val_loss is nan"),
        ("predict.nll", math.inf, "predict.nll is inf"),
        ("gpu_hours", 100.0, None),
        ("forgetting", 2.0, None),
    ],
)
def test_values_that_mean_nothing(name: str, value: float, fault: str | None) -> None:
    told = KNOWN[name].fault(value)
    assert told is None if fault is None else fault in str(told)
