"""Training of the local engine: Lightning's loop over the samples of the token files.

One Lightning epoch is the stretch between two validations. State is saved at its end, and everything
random inside it is seeded by its number, so that a run that was killed ends as one that was not.
"""

from __future__ import annotations

import itertools
import logging
import math
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from peft import PeftModel
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from workflow.artifacts import publish, read_json, recover, write_json
from workflow.backends.adaptation import Adaptation
from workflow.backends.metric_log import read_tensorboard
from workflow.backends.training_gates import check_adapters_move, check_finite, check_first_validation_loss
from workflow.backends.training_state import SafeCheckpointIO
from workflow.config import TrainConfig
from workflow.console import Progress
from workflow.dataset.samples import TrainingSamples
from workflow.gates import GateLog
from workflow.striped_hyena.adapters import adapter_shifts
from workflow.striped_hyena.checkpoints import save_checkpoint
from workflow.striped_hyena.model import StripedHyena2
from workflow.striped_hyena.tokens import pad

STATE, BEST, TENSORBOARD = "state", "best", "tensorboard"


class _Stretch(IterableDataset[Tensor]):
    """The samples of one stretch between validations."""

    def __init__(self, samples: TrainingSamples, first: int, count: int) -> None:
        self.samples, self.first, self.count = samples, first, count

    def __iter__(self) -> Iterator[Tensor]:
        for sample in itertools.islice(self.samples.from_position(self.first), self.count):
            yield torch.tensor(self.samples[sample], dtype=torch.long)


class _Batches(lightning.LightningDataModule):
    """Training batches by position in the run, and the fixed validation batches."""

    def __init__(self, samples: TrainingSamples, validation: list[Any], config: TrainConfig) -> None:
        super().__init__()
        self.samples, self.validation, self.settings = samples, validation, config

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Batches from the step that the trainer has reached up to the next validation."""
        config, trainer = self.settings, cast(lightning.Trainer, self.trainer)
        samples_of_step = config.batch_size * config.accumulate
        steps = min(config.validate_every, config.steps - trainer.global_step)
        stretch = _Stretch(self.samples, trainer.global_step * samples_of_step, steps * samples_of_step)
        return DataLoader(stretch, batch_size=config.batch_size, collate_fn=pad)

    def val_dataloader(self) -> DataLoader[Tensor]:
        """All validation samples."""
        sequences = [torch.tensor(sequence, dtype=torch.long) for sequence in self.validation]
        return DataLoader(cast(Any, sequences), batch_size=self.settings.batch_size, collate_fn=pad)


class _Keeper(Callback):
    """Seeds each stretch, checks the gates, keeps the best weights and the state, shows progress."""

    def __init__(self, folder: Path, config: TrainConfig, gates: GateLog, seed: int) -> None:
        self.folder, self.settings, self.gates, self.seed = folder, config, gates, seed
        self.kept: dict[str, Any] = {"best_loss": math.inf, "best_step": 0}
        self._progress: Progress | None = None

    def state_dict(self) -> dict[str, Any]:
        return self.kept

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.kept = dict(state_dict)
        self.gates.restore(self.kept["gates"])

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._progress = Progress("training", self.settings.steps, "steps")

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self._progress is not None and trainer.global_step:
            self._progress.skip(trainer.global_step)
            cast(Adaptation, pl_module).bases_seen = self.kept["bases_seen"]

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        torch.manual_seed(self.seed * 1_000_003 + trainer.global_step)

    def on_train_batch_end(self, trainer: lightning.Trainer, *unused: Any) -> None:
        if self._progress is not None and trainer.global_step > self._progress.done:
            loss = trainer.callback_metrics.get("val_loss")
            note = f"val_loss {loss:.4f}" if loss is not None else ""
            self._progress.advance(trainer.global_step - self._progress.done, note)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Runs after the validation that ends the stretch."""
        if trainer.global_step == self.kept.get("step"):
            return  # After a restart Lightning ends the stretch once more whose end was saved.
        adaptation = cast(Adaptation, pl_module)
        check_adapters_move(adapter_shifts(adaptation.model), self.gates, trainer.global_step)
        loss = float(trainer.callback_metrics["val_loss"])
        check_finite(loss, self.gates, trainer.global_step, "validation")
        if loss < self.kept["best_loss"]:
            self.kept |= {"best_loss": loss, "best_step": trainer.global_step}
            save_trained(adaptation.model, self.folder / BEST)
        finished = trainer.should_stop or trainer.global_step >= self.settings.steps
        self.kept |= {"step": trainer.global_step, "bases_seen": adaptation.bases_seen, "finished": finished}
        self.kept["gates"] = self.gates.as_records()
        trainer.save_checkpoint(self.folder / STATE)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self._progress is not None:
            self._progress.close()


def save_trained(model: StripedHyena2 | PeftModel, folder: Path) -> None:
    """Write the adapter in peft's format, or all weights as `model.safetensors`."""
    with publish(folder) as out:
        if isinstance(model, PeftModel):
            model.save_pretrained(str(out), safe_serialization=True)
            (out / "README.md").unlink(missing_ok=True)
            # peft keeps the names in a set, whose order changes from process to process.
            settings = read_json(out / "adapter_config.json")
            write_json(out / "adapter_config.json", settings | {"target_modules": sorted(settings["target_modules"])})
        else:
            save_checkpoint(model, out / "model.safetensors")


def fit(
    model: StripedHyena2 | PeftModel,
    samples: TrainingSamples,
    validation: list[Any],
    *,
    config: TrainConfig,
    seed: int,
    accelerator: str,
    folder: Path,
    gates: GateLog,
) -> dict[str, Any]:
    """Train, or go on with the training that `folder` holds.

    Leaves in `folder`: `best/` (weights of the lowest validation loss), `state/` (everything needed to go on),
    `tensorboard/` and `metrics.parquet`.

    Returns
    -------
    dict
        Counts: steps, bases seen, share of the training bases covered, losses.

    Raises
    ------
    GateError
        The first validation loss is no better than a uniform guess (not with random weights), or adapters
        do not move.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    keeper = _Keeper(folder, config, gates, seed)
    callbacks: list[Callback] = [keeper]
    if config.early_stopping:
        callbacks.insert(0, EarlyStopping("val_loss", patience=config.early_stopping, check_on_train_epoch_end=False))
    trainer = lightning.Trainer(
        accelerator=accelerator,
        devices=1,
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        max_steps=config.steps,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=1,
        callbacks=callbacks,
        # One process, also inside a SLURM job, which Lightning would else take charge of.
        plugins=[LightningEnvironment(), SafeCheckpointIO()],
        default_root_dir=folder,
        logger=TensorBoardLogger(folder, name=TENSORBOARD, version="", default_hp_metric=False),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        inference_mode=True,
    )
    adaptation = Adaptation(model, config)
    batches = _Batches(samples, validation, config)
    state = folder / STATE
    recover(state)
    if not state.exists():
        # Without a state nothing here can be gone on with.
        shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
        trainer.validate(adaptation, datamodule=batches, verbose=False)
        if config.method != "scratch":
            check_first_validation_loss(float(trainer.callback_metrics["val_loss"]), gates)
        trainer.fit(adaptation, datamodule=batches)
    elif _kept(state)["finished"]:
        gates.restore(_kept(state)["gates"])
    else:
        trainer.fit(adaptation, datamodule=batches, ckpt_path=str(state))
    cast(TensorBoardLogger, trainer.logger).finalize("success")
    metrics = read_tensorboard(folder / TENSORBOARD)
    metrics.to_parquet(folder / "metrics.parquet", index=False)
    kept = _kept(state)
    if not kept["finished"]:
        raise RuntimeError(f"the training ended at step {kept['step']} of {config.steps}")
    consumed = kept["step"] * config.batch_size * config.accumulate
    validation_losses = metrics[metrics["name"] == "val_loss"]["value"]
    return {
        "steps": kept["step"],
        "bases_seen": kept["bases_seen"],
        "train_bases": samples.bases,
        "share_of_train_bases_covered": samples.bases_covered(consumed) / samples.bases,
        "trainable_parameters": sum(p.numel() for p in adaptation.parameters() if p.requires_grad),
        "first_validation_loss": float(validation_losses.iloc[0]),
        "best_validation_loss": kept["best_loss"],
        "best_step": kept["best_step"],
    }


def _kept(state: Path) -> dict[str, Any]:
    """What `_Keeper` wrote into a saved state."""
    kept: dict[str, Any] = SafeCheckpointIO().load_checkpoint(state)["callbacks"][_Keeper.__qualname__]
    return kept
