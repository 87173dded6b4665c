from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch.utils.tensorboard import SummaryWriter

from workflow.backends.nvidia.training_results import list_checkpoints, read_metrics
from workflow.errors import ToolError

#: Results of six training steps by both generations: batches of 2 samples of 128 tokens, validated every 3 steps.
NVIDIA = Path(__file__).parents[2] / "data" / "nvidia"
NEMO2, MBRIDGE = NVIDIA / "nemo2-2.7.1", NVIDIA / "mbridge-2026.05"
#: What mbridge prints of the first steps of a LoRA training, its validations, and the test at the end.
LOG = """\
> building train, validation, and test datasets ...
 [2026-11-20 23:55:12] iteration        1/       6 | consumed samples:            2 | elapsed time per iteration (ms): 177.0 | learning rate: 3.000000E-03 | global batch size:     2 | lm loss: 6.349130E+00 | loss scale: 1.0 | grad norm: 9.335 | number of skipped iterations:   0 | number of nan iterations:   0 |
 [2026-11-20 23:55:13] iteration        3/       6 | consumed samples:            6 | elapsed time per iteration (ms): 59.3 | learning rate: 1.974000E-03 | global batch size:     2 | lm loss: 5.659443E+00 | loss scale: 1.0 | grad norm: 5.130 | number of skipped iterations:   0 | number of nan iterations:   0 |
-------------------------------------------------------------------------------------------
 validation loss at iteration 3 | lm loss value: 5.100283E+00 | lm loss PPL: 1.640683E+02 |
-------------------------------------------------------------------------------------------
 [2026-11-20 23:55:14] iteration        6/       6 | consumed samples:           12 | elapsed time per iteration (ms): 52.1 | learning rate: 3.000000E-05 | global batch size:     2 | lm loss: 4.674565E+00 | loss scale: 1.0 | grad norm: 3.946 | number of skipped iterations:   0 | number of nan iterations:   0 |
 validation loss at iteration 6 | lm loss value: 4.620889E+00 | lm loss PPL: 1.015843E+02 |
 validation loss at iteration 6 on validation set | lm loss value: 4.630380E+00 | lm loss PPL: 1.025532E+02 |
 validation loss at iteration 6 on test set | lm loss value: 4.641054E+00 | lm loss PPL: 1.036533E+02 |
"""  # noqa: E501


def column(metrics: pd.DataFrame, name: str) -> dict[int, float]:
    return metrics[metrics["name"] == name].set_index("step")["value"].to_dict()


def write_events(folder: Path, opened: int, values: Sequence[tuple[str, int, float]]) -> None:
    """An event file that was opened at a time."""
    with SummaryWriter(str(folder)) as writer:
        for tag, step, value in values:
            writer.add_scalar(tag, value, step)
    (path,) = (path for path in folder.glob("events.out.tfevents.*") if "host" not in path.name)
    path.rename(folder / f"events.out.tfevents.{opened}.host.1.0")


# ---------------------------------------------------------------- metrics


@pytest.mark.parametrize(
    ("folder", "toolchain", "validation", "last_loss"),
    [
        (NEMO2 / "train_tensorboard", "nemo2", {3: 5.123434, 6: 4.811177}, 4.820608),
        (NEMO2 / "lora_tensorboard", "nemo2", {3: 5.698454, 6: 5.556450}, 5.591655),
        (MBRIDGE / "train_tensorboard", "mbridge", {3: 5.100283, 6: 4.620889}, 4.674565),
    ],
)
def test_metrics_that_the_tools_wrote(
    folder: Path, toolchain: str, validation: dict[int, float], last_loss: float
) -> None:
    metrics = read_metrics(folder, toolchain, context_length=128)
    assert metrics.columns.tolist() == ["step", "bases_seen", "name", "value"]
    assert set(metrics["name"]) == {"train_loss", "val_loss", "learning_rate", "grad_norm", "step_seconds"}
    # The loss on the test set, 4.641 for mbridge, is not among them.
    assert column(metrics, "val_loss") == pytest.approx(validation, abs=1e-5)
    assert list(column(metrics, "train_loss")) == [1, 2, 3, 4, 5, 6]
    assert column(metrics, "train_loss")[6] == pytest.approx(last_loss, abs=1e-5)
    assert (metrics["bases_seen"] == metrics["step"] * 2 * 128).all()
    assert not metrics.duplicated(["step", "name"]).any()


def test_both_generations_count_steps_alike() -> None:
    nemo2 = read_metrics(NEMO2 / "train_tensorboard", "nemo2", context_length=128)
    mbridge = read_metrics(MBRIDGE / "train_tensorboard", "mbridge", context_length=128)
    losses = (np.array(list(column(metrics, "train_loss").values())) for metrics in (nemo2, mbridge))
    np.testing.assert_allclose(*losses, atol=0.15)


def test_a_log_says_the_same_as_tensorboard(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(LOG)
    of_log = read_metrics(tmp_path, "mbridge", log, context_length=128)
    of_events = read_metrics(MBRIDGE / "train_tensorboard", "mbridge", context_length=128)
    assert set(of_log["name"]) == set(of_events["name"])
    assert column(of_log, "val_loss") == pytest.approx({3: 5.100283, 6: 4.620889})
    joined = of_log.merge(of_events, on=["step", "name"], validate="1:1")
    assert len(joined) == len(of_log) == 14
    np.testing.assert_allclose(joined["value_x"], joined["value_y"], rtol=2e-3)
    assert (joined["bases_seen_x"] == joined["bases_seen_y"]).all()


def test_the_end_of_a_training_may_be_its_only_validation_of_that_step(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(LOG.replace(" validation loss at iteration 6 | ", " something else | "))
    assert column(read_metrics(tmp_path, "mbridge", log, context_length=128), "val_loss")[6] == pytest.approx(4.63038)


def test_of_a_log_that_was_gone_on_with_the_later_run_counts(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(LOG + LOG.replace("4.620889E+00", "4.500000E+00").replace("5.659443E+00", "nan"))
    metrics = read_metrics(tmp_path, "mbridge", log, context_length=128)
    assert column(metrics, "val_loss") == pytest.approx({3: 5.100283, 6: 4.5})
    assert np.isnan(column(metrics, "train_loss")[3])


def test_a_log_that_was_cut_short_is_read_up_to_there(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(LOG.encode()[: LOG.index("1.974000E-03") + 3] + b"\xff\n")
    metrics = read_metrics(tmp_path, "mbridge", log, context_length=128)
    assert column(metrics, "train_loss") == {1: pytest.approx(6.34913)}
    assert np.isnan(column(metrics, "learning_rate")[3])


@pytest.mark.parametrize("toolchain", ["nemo2", "mbridge"])
def test_steps_that_were_made_again_count_once(tmp_path: Path, toolchain: str) -> None:
    train, val, batch, shift = {
        "nemo2": ("reduced_train_loss", "val_loss", "global_batch_size", 0),
        "mbridge": ("lm loss", "lm loss validation", "batch-size", 1),
    }[toolchain]
    # A resumed nemo2 moves the older files into a folder below; times tell the order.
    write_events(
        tmp_path / "evo2" / "dev" / "run_0",
        1000,
        [(tag, shift + step, 9.0 + step) for step in range(4) for tag in (train, val)] + [(batch, shift, 4.0)],
    )
    write_events(
        tmp_path / "evo2" / "dev", 2000, [(tag, shift + step, 1.0 + step) for step in (2, 3, 4) for tag in (train, val)]
    )
    metrics = read_metrics(tmp_path, toolchain, context_length=10)
    for name in ("train_loss", "val_loss"):
        assert column(metrics, name) == {1: 9, 2: 10, 3: 3, 4: 4, 5: 5}
    assert metrics["bases_seen"].tolist() == [40 * step for step in metrics["step"]]


def test_of_several_validations_of_a_step_mbridge_logs_that_of_the_training_first(tmp_path: Path) -> None:
    tag = "lm loss validation"
    write_events(tmp_path, 1000, [(tag, 3, 5.0), (tag, 6, 4.1), (tag, 6, 4.2), (tag, 6, 4.9), ("batch-size", 6, 1.0)])
    write_events(tmp_path, 2000, [(tag, 6, 3.1), (tag, 6, 3.2), (tag, 6, 3.9)])
    assert column(read_metrics(tmp_path, "mbridge", context_length=10), "val_loss") == pytest.approx({3: 5.0, 6: 3.1})


@pytest.mark.parametrize("toolchain", ["nemo2", "mbridge"])
def test_a_training_without_a_step_is_told(tmp_path: Path, toolchain: str) -> None:
    (tmp_path / "train.log").write_text("starting\n")
    for log in (None, tmp_path / "train.log", tmp_path / "absent.log"):
        with pytest.raises(ToolError, match="holds no metrics of a training step") as caught:
            read_metrics(tmp_path, toolchain, log, context_length=128)
        assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- checkpoints


def nemo2_checkpoint(result_dir: Path, step: int, suffix: str = "") -> Path:
    """A folder as nemo2 lays it out, which counts steps from 0."""
    folder = result_dir / "evo2" / "checkpoints" / f"epoch=0-step={step}-consumed_samples={2 * (step + 1)}.0{suffix}"
    for name in ("context/model.yaml", "weights/.metadata", "weights/metadata.json", "weights/__0_0.distcp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 10)
    return folder


def mbridge_checkpoint(result_dir: Path, step: int, latest: int | None = None) -> Path:
    """A folder as mbridge lays it out."""
    folder = result_dir / "evo2" / "checkpoints" / f"iter_{step:07d}"
    folder.mkdir(parents=True)
    for name in (".metadata", "metadata.json", "run_config.yaml", "__0_0.distcp"):
        (folder / name).write_bytes(b"x" * 10)
    shutil.copy(MBRIDGE / "train_state.pt", folder)
    (folder.parent / "latest_checkpointed_iteration.txt").write_text(str(step if latest is None else latest))
    return folder


def row_of(table: pd.DataFrame, flag: str) -> str:
    (path,) = table.loc[table[flag], "path"]
    return Path(path).name


@pytest.fixture
def nemo2_results(tmp_path: Path) -> Path:
    """A training of six steps with a checkpoint at each validation, and the copy that nemo2 makes of the last."""
    for step, suffix in ((2, ""), (5, ""), (5, "-last")):
        nemo2_checkpoint(tmp_path, step, suffix)
    shutil.copytree(NEMO2 / "train_tensorboard", tmp_path / "evo2" / "dev")
    return tmp_path


def test_checkpoints_of_nemo2(nemo2_results: Path) -> None:
    table = list_checkpoints(nemo2_results, "nemo2")
    assert table.columns.tolist() == [
        "step",
        "path",
        "val_loss",
        "consumed_samples",
        "bytes",
        "complete",
        "last",
        "best",
    ]
    assert table["step"].tolist() == [3, 6, 6]
    # Steps of TensorBoard and of the folders are those of the same weights.
    assert table["val_loss"].tolist() == pytest.approx([5.123434, 4.811177, 4.811177], abs=1e-5)
    assert table["consumed_samples"].tolist() == [6, 12, 12]
    assert table["bytes"].tolist() == [40, 40, 40]
    assert table["complete"].all()
    assert row_of(table, "last") == "epoch=0-step=5-consumed_samples=12.0-last"
    assert row_of(table, "best") == "epoch=0-step=5-consumed_samples=12.0"


def test_the_best_is_the_lowest_loss_of_the_same_step_not_of_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "evo2" / "checkpoints"
    # The name holds the loss of the validation before: by it the last would be best.
    for step, named in ((9, "9.0000"), (19, "1.0000"), (29, "0.5000")):
        nemo2_checkpoint(tmp_path, step).rename(
            folder / f"evo2--val_loss={named}-epoch=0-step={step}-consumed_samples=2.0"
        )
    write_events(tmp_path / "evo2" / "dev", 1000, [("val_loss", 9, 1.0), ("val_loss", 19, 0.5), ("val_loss", 29, 0.9)])
    table = list_checkpoints(tmp_path, "nemo2")
    assert table["val_loss"].tolist() == pytest.approx([1.0, 0.5, 0.9])
    assert table["best"].tolist() == [False, True, False]
    assert table["last"].tolist() == [False, False, True]


def unfinished(folder: Path) -> None:
    folder.with_name(folder.name + "-unfinished").touch()


def removed(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


@pytest.mark.parametrize(
    "damage",
    [
        unfinished,
        removed("context"),
        removed("weights"),
        removed("weights/.metadata"),
        removed("weights/metadata.json"),
        removed("weights/__0_0.distcp"),
    ],
)
def test_what_nemo2_did_not_finish_is_neither_last_nor_best(
    nemo2_results: Path, damage: Callable[[Path], None]
) -> None:
    for suffix in ("", "-last"):
        damage(nemo2_results / "evo2" / "checkpoints" / f"epoch=0-step=5-consumed_samples=12.0{suffix}")
    table = list_checkpoints(nemo2_results, "nemo2")
    assert table["complete"].tolist() == [True, False, False]
    assert table["last"].tolist() == table["best"].tolist() == [True, False, False]


def test_checkpoints_of_mbridge(tmp_path: Path) -> None:
    mbridge_checkpoint(tmp_path, 3)
    mbridge_checkpoint(tmp_path, 6)
    shutil.copytree(MBRIDGE / "train_tensorboard", tmp_path / "evo2" / "tb_logs")
    table = list_checkpoints(tmp_path, "mbridge")
    assert table["step"].tolist() == [3, 6]
    assert table["val_loss"].tolist() == pytest.approx([5.100283, 4.620889], abs=1e-5)
    assert table["consumed_samples"].tolist() == [12, 12]
    assert (row_of(table, "last"), row_of(table, "best")) == ("iter_0000006", "iter_0000006")


def test_losses_of_a_log(tmp_path: Path) -> None:
    for step in (3, 6):
        mbridge_checkpoint(tmp_path, step)
    log = tmp_path / "train.log"
    log.write_text(LOG.replace("4.620889E+00", "9.000000E+00"))
    table = list_checkpoints(tmp_path, "mbridge", log)
    assert table["val_loss"].tolist() == pytest.approx([5.100283, 9.0])
    assert (row_of(table, "last"), row_of(table, "best")) == ("iter_0000006", "iter_0000003")


def unnoted(folder: Path) -> None:
    (folder.parent / "latest_checkpointed_iteration.txt").write_text("3")


@pytest.mark.parametrize(
    "damage",
    [unnoted, removed(".metadata"), removed("metadata.json"), removed("run_config.yaml"), removed("__0_0.distcp")],
)
def test_what_mbridge_did_not_finish_is_neither_last_nor_best(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    mbridge_checkpoint(tmp_path, 3)
    damage(mbridge_checkpoint(tmp_path, 6))
    table = list_checkpoints(tmp_path, "mbridge")
    assert table["complete"].tolist() == [True, False]
    assert table["last"].tolist() == table["best"].tolist() == [True, False]


def test_without_a_note_files_tell(tmp_path: Path) -> None:
    folder = mbridge_checkpoint(tmp_path, 6)
    (folder.parent / "latest_checkpointed_iteration.txt").unlink()
    (folder / "train_state.pt").write_bytes(b"x")
    table = list_checkpoints(tmp_path, "mbridge")
    assert table["complete"].tolist() == [True]
    assert np.isnan(table["consumed_samples"][0])


def test_without_losses_none_is_the_best(nemo2_results: Path) -> None:
    table = list_checkpoints(nemo2_results, "nemo2", with_losses=False)
    assert table["val_loss"].isna().all()
    assert not table["best"].any()
    assert row_of(table, "last") == "epoch=0-step=5-consumed_samples=12.0-last"


def test_what_was_put_aside_is_not_listed(nemo2_results: Path) -> None:
    folder = nemo2_results / "evo2" / "checkpoints"
    (folder / "epoch=0-step=2-consumed_samples=6.0").rename(folder / "incomplete-1-epoch=0-step=2-consumed_samples=6.0")
    (nemo2_results / "incomplete").mkdir()
    (folder / "epoch=0-step=5-consumed_samples=12.0").rename(
        nemo2_results / "incomplete" / "epoch=0-step=5-consumed_samples=12.0"
    )
    assert row_of(list_checkpoints(nemo2_results, "nemo2"), "last") == "epoch=0-step=5-consumed_samples=12.0-last"
    assert len(list_checkpoints(nemo2_results, "nemo2")) == 1


@pytest.mark.parametrize("toolchain", ["nemo2", "mbridge"])
def test_a_training_that_saved_nothing_has_an_empty_list(tmp_path: Path, toolchain: str) -> None:
    table = list_checkpoints(tmp_path / "absent", toolchain)
    assert table.empty
    assert table[table["complete"]].empty
    assert (~table["complete"]).empty
