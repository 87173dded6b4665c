from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.classification.conftest import Open
from workflow.artifacts import read_json
from workflow.classification import training
from workflow.classification.forward import sequence_data
from workflow.classification.neural import train_method
from workflow.classification.training import Training
from workflow.classification.workshop import Workshop
from workflow.errors import GateError


class Killed(BaseException):
    """Ends a training between two steps, as a signal would."""


def probabilities(folder: Path) -> np.ndarray:
    found: np.ndarray = np.load(folder / "probabilities.species.npy")
    return found


def training_of(shop: Workshop, method: str, folder: Path) -> Training:
    folder.mkdir(exist_ok=True)
    made = shop.trainable(method)
    data = {split: sequence_data(made.classifier, examples) for split, examples in shop.examples.items()}
    levels = list(shop.encoding.levels)
    settings = {"config": shop.config, "seed": shop.seed, "folder": folder, "gates": shop.gates}
    return Training(made, data["train"], data["val"], shop.objective(), levels, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_training_that_was_killed_ends_as_one_that_was_not(
    workshop: Open, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = workshop()
    whole = training_of(shop, method, tmp_path / "whole").run()
    # 27 sequences, batches of 4: an epoch has 7 steps. Dropout draws from the generator in each.
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_STATES", 0)
    step = Training._step
    for deadline in (4, 7, 10):  # within an epoch, before the first validation, within the second epoch

        def until(self: Training, numbers: np.ndarray, deadline: int = deadline) -> None:
            if self.course.step == deadline:
                raise Killed
            step(self, numbers)

        monkeypatch.setattr(Training, "_step", until)
        with pytest.raises(Killed):
            training_of(shop, method, tmp_path / "killed").run()
    monkeypatch.setattr(Training, "_step", step)
    last = training_of(shop, method, tmp_path / "killed")
    course = last.run()
    assert course.step == whole.step == 14
    assert course.history == whole.history
    assert (course.best_loss, course.best_epoch) == (whole.best_loss, whole.best_epoch)
    one, other = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "killed"))
    assert one == other


def test_all_methods_learn_and_none_is_trained_twice(workshop: Open, capsys: pytest.CaptureFixture[str]) -> None:
    shop = workshop(learning_rate=3e-3, head_learning_rate=3e-2)
    for method in ("head", "lora", "ia3", "frozen", "random"):
        folder = train_method(shop, method)
        table = pd.read_parquet(folder / "test.parquet")
        assert table["id"].tolist() == [shop.data.ids[place] for place in shop.data.of("test")]
        assert (table["predicted.kingdom"] == table["true.kingdom"]).mean() > 0.7, method
        told = read_json(folder / "method.json")
        assert told["head_shift"] > 0 and (told["adapter_shift"] or 0) >= 0
        assert (told["adapter_shift"] is not None) == (method in ("lora", "ia3"))
        assert np.allclose(probabilities(folder).sum(1), 1, atol=1e-6)
        history = pd.read_parquet(folder / "history.parquet")
        kinds = {"train_loss", "learning_rate", "val_loss", "val_accuracy.kingdom", "val_accuracy.species"}
        assert set(history["name"]) == kinds and history["epoch"].max() == told["epochs"]
        validation = history[history["name"] == "val_loss"].set_index("epoch")["value"]
        assert validation.idxmin() == told["best_epoch"]
    assert "frozen: " in capsys.readouterr().out
    before = (folder / "method.json").stat().st_mtime_ns
    assert train_method(shop, "random") == folder and (folder / "method.json").stat().st_mtime_ns == before


def test_early_stopping_keeps_the_weights_of_the_best_epoch(workshop: Open, tmp_path: Path) -> None:
    shop = workshop(epochs=6, early_stopping=2)
    made = training_of(shop, "head", tmp_path / "stopped")
    losses = iter([0.5, 0.4, 0.6, 0.45, 0.1, 0.1])
    kept = []

    def assess() -> tuple[float, dict[str, float]]:
        kept.append({name: value.detach().clone() for name, value in made.trainable.trained.items()})
        return next(losses), {}

    made._assess = assess  # type: ignore[method-assign]
    course = made.run()
    assert (course.epoch, course.best_epoch, course.best_loss) == (4, 2, 0.4)
    for name, value in made.trainable.trained.items():
        assert torch.equal(value, kept[1][name]) and not torch.equal(value, kept[3][name])


def test_the_rate_warms_up_and_falls_to_nothing(workshop: Open, tmp_path: Path) -> None:
    made = training_of(workshop(epochs=4, warmup_share=0.25), "head", tmp_path / "rates")
    rates = [made._rate(step) for step in range(28)]
    assert rates[:7] == pytest.approx([(step + 1) / 7 for step in range(7)])
    assert rates[7] == 1 and rates[-1] == pytest.approx(1 / 21) and np.all(np.diff(rates[7:]) < 0)


def test_heads_have_a_rate_of_their_own_and_filters_do_not_decay(workshop: Open, tmp_path: Path) -> None:
    made = training_of(workshop(), "full", tmp_path / "groups")
    of_parameter = {id(p): group for group in made.optimizer.param_groups for p in group["params"]}
    assert len(of_parameter) == len(made.trainable.trained)
    for name, parameter in made.trainable.trained.items():
        group = of_parameter[id(parameter)]
        assert group["full_rate"] == (1e-2 if name.startswith("heads.") else 1e-3)
        assert (group["weight_decay"] > 0) == (parameter.ndim == 2 and ".filter." not in name)


def test_a_loss_that_is_not_finite_stops_the_method(workshop: Open, tmp_path: Path) -> None:
    made = training_of(workshop(), "head", tmp_path / "spoilt")
    with torch.no_grad():
        made.trainable.classifier.linear_heads[0].weight.fill_(float("nan"))
    with pytest.raises(GateError, match="finite loss"):
        made.run()


@pytest.mark.parametrize("task", ["regression", "per_base"])
def test_numbers_and_bases_are_learnt(workshop: Open, task: str) -> None:
    # One block is enough to see a neighbour, and quick.
    quick = {"layer": 0, "learning_rate": 3e-3, "head_learning_rate": 3e-2, "epochs": 6}
    shop = workshop(task, max_length=40, **quick)
    folder = train_method(shop, "full")
    table = pd.read_parquet(folder / "test.parquet")
    if task == "regression":
        true, predicted = table["true.activity"], table["predicted.activity"]
        assert set(true) == {3.0, 5.0, 7.0}  # as they were given, not standardised
        assert np.corrcoef(true, predicted)[0, 1] > 0.6 and abs(float((true - predicted).mean())) < 1
    else:
        lengths = [len(shop.data.sequences[place]) for place in shop.data.of("test")]
        assert len(table) == sum(lengths) and max(lengths) > 40  # some were read in pieces
        assert table["position"].tolist() == [position for length in lengths for position in range(length)]
        assert table["true.next"].isna().sum() == len(lengths)
        right = (table["predicted.next"] == table["true.next"])[table["true.next"].notna()]
        # From the left alone the share would be that of the more frequent label.
        assert right.mean() > 0.9
