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
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from peft import PeftModel
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader, IterableDataset

from workflow.artifacts import publish
from workflow.backends.training_state import SafeCheckpointIO
from workflow.config import TrainConfig
from workflow.console import Progress
from workflow.dataset.samples import TrainingSamples
from workflow.gates import GateLog
from workflow.striped_hyena.adapters import adapter_shifts
from workflow.striped_hyena.checkpoints import save_checkpoint
from workflow.striped_hyena.model import HyenaBlock, StripedHyena2
from workflow.striped_hyena.objectives import base_nll, base_weights
from workflow.striped_hyena.tokens import is_lower, model_inputs, pad

STATE, BEST, TENSORBOARD = "state", "best", "tensorboard"
_UNIFORM_NLL = math.log(4)
_POINTS_OF_CURVE = 1000


class NegativeExponential(nn.Module):
    """log_poles = −exp θ: training θ keeps the poles decaying; a positive pole explodes."""

    def forward(self, theta: Tensor) -> Tensor:
        """θ → log poles."""
        return -torch.exp(theta)

    def right_inverse(self, log_poles: Tensor) -> Tensor:
        """Log poles → θ."""
        return torch.log(-log_poles)


def make_filters_trainable(model: StripedHyena2) -> None:
    """Put the long filters' poles under `NegativeExponential`."""
    for block in model.blocks:
        if isinstance(block, HyenaBlock) and hasattr(block.filter, "log_poles"):
            parametrize.register_parametrization(block.filter, "log_poles", NegativeExponential())


class Adaptation(lightning.LightningModule):
    """Loss, optimizer and schedule of one training.

    Parameters
    ----------
    model : StripedHyena2 or PeftModel
        What is trained: every parameter with `requires_grad`.
    config : TrainConfig
        Rates, schedule, weights of the loss.
    """

    def __init__(self, model: StripedHyena2 | PeftModel, config: TrainConfig) -> None:
        super().__init__()
        self.model = model
        self.settings = config
        # Frozen weights are in the base checkpoint already.
        self.strict_loading = False
        self.bases_seen = 0
        self._step_loss = self._step_weight = 0.0
        self._validation: dict[str, float] = {}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Weighted NLL in nats.

        It is divided by the positions of a full batch, not by the weights of this one: each base then counts
        alike over the whole run, and accumulated gradients are those of one large batch.
        """
        targets, mask = batch
        nll = base_nll(self.model(model_inputs(targets), mask).logits, targets)
        weights = base_weights(targets, mask, self.settings.repeat_weight)
        total = (nll * weights).sum()
        self._step_loss += float(total.detach())
        self._step_weight += float(weights.sum())
        self.bases_seen += int((weights > 0).sum())
        return total / (self.settings.batch_size * self.settings.context_length)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the step that is about to be made."""
        step = self.global_step + 1
        if step % max(1, self.settings.steps // _POINTS_OF_CURVE) == 0:
            gradients = [p.grad for p in self.parameters() if p.grad is not None]
            self._log(
                step,
                train_loss=self._step_loss / max(self._step_weight, 1e-9),
                grad_norm=float(nn.utils.get_total_norm(gradients)),
                learning_rate=optimizer.param_groups[0]["lr"],
            )
        if not math.isfinite(self._step_loss):
            raise RuntimeError(f"the training loss is {self._step_loss} at step {step}: lower train.learning_rate")
        self._step_loss = self._step_weight = 0.0

    def on_validation_epoch_start(self) -> None:
        """Begin the sums."""
        self._validation = {"nll": 0.0, "bases": 0.0, "nll_nonrepeat": 0.0, "bases_nonrepeat": 0.0}

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Add up the NLL over all bases, and over those that are not soft-masked."""
        targets, mask = batch
        nll = base_nll(self.model(model_inputs(targets), mask).logits, targets).double()
        everywhere = base_weights(targets, mask, repeat_weight=1.0) > 0
        for suffix, kept in (("", everywhere), ("_nonrepeat", everywhere & ~is_lower(targets))):
            self._validation["nll" + suffix] += float(nll[kept].sum())
            self._validation["bases" + suffix] += float(kept.sum())

    def on_validation_epoch_end(self) -> None:
        """Log the validation losses in nats per base."""
        sums = self._validation
        losses = {"val_loss": sums["nll"] / max(sums["bases"], 1)}
        if sums["bases_nonrepeat"]:
            losses["val_loss_nonrepeat"] = sums["nll_nonrepeat"] / sums["bases_nonrepeat"]
        self.log("val_loss", losses["val_loss"], logger=False)
        if shifts := adapter_shifts(self.model):
            losses["adapter_shift"] = sum(shifts.values()) / len(shifts)
        self._log(self.global_step, **losses)

    def _log(self, step: int, **values: float) -> None:
        cast(TensorBoardLogger, self.logger).log_metrics(values | {"bases_seen": self.bases_seen}, step)

    def configure_optimizers(self) -> Any:
        """AdamW, linear warm-up, cosine. No decay on filters, norms and biases."""
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                is_matrix = parameter.ndim == 2 and ".filter." not in name
                (decayed if is_matrix else plain).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self.settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=self.settings.learning_rate, betas=(0.9, 0.95)
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _rate(self, step: int) -> float:
        """Share of the learning rate for the step after `step` steps."""
        config = self.settings
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        progress = min((step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return config.min_learning_rate_share + (1 - config.min_learning_rate_share) * cosine

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what is trained; drop the frozen base."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: tensor for name, tensor in state.items() if name in trained}


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
        adaptation = cast(Adaptation, pl_module)
        check_adapters_move(adaptation.model, self.gates, trainer.global_step)
        loss = float(trainer.callback_metrics["val_loss"])
        if loss < self.kept["best_loss"]:
            self.kept |= {"best_loss": loss, "best_step": trainer.global_step}
            save_trained(adaptation.model, self.folder / BEST)
        finished = trainer.should_stop or trainer.global_step >= self.settings.steps
        self.kept |= {"step": trainer.global_step, "bases_seen": adaptation.bases_seen, "finished": finished}
        trainer.save_checkpoint(self.folder / STATE)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self._progress is not None:
            self._progress.close()


def check_adapters_move(model: nn.Module, gates: GateLog, step: int) -> None:
    """Gate `adapters_move`: every adapter must have left its initial value of zero."""
    shifts = adapter_shifts(model)
    if not shifts:
        return
    unmoved = [name for name, shift in shifts.items() if shift == 0]
    gates.check(
        "adapters_move",
        not unmoved,
        saw=f"{len(unmoved)} of {len(shifts)} adapters unmoved after {step} steps"
        + (f", such as {unmoved[0]}" if unmoved else ""),
        limit="0 unmoved",
        why="An adapter that stays at zero changes nothing: the score would be that of the base model.",
    )


def check_first_validation_loss(loss: float, gates: GateLog) -> None:
    """Gate `first_validation_loss`: the base model must know more of the genome than nothing."""
    gates.check(
        "first_validation_loss",
        loss < _UNIFORM_NLL,
        saw=f"{loss:.4f} nats per base before the first step",
        limit=f"below ln 4 = {_UNIFORM_NLL:.4f}, a uniform guess",
        why="The base weights were not loaded, do not fit the precision, or know nothing of such sequence"
        " (6.24 = ln 512 means random weights).",
    )


def save_trained(model: StripedHyena2 | PeftModel, folder: Path) -> None:
    """Write the adapter in peft's format, or all weights as `model.safetensors`."""
    with publish(folder) as out:
        if isinstance(model, PeftModel):
            model.save_pretrained(str(out), safe_serialization=True)
            (out / "README.md").unlink(missing_ok=True)
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
        plugins=[SafeCheckpointIO()],
        logger=TensorBoardLogger(folder, name=TENSORBOARD, version="", default_hp_metric=False),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        inference_mode=True,
    )
    adaptation = Adaptation(model, config)
    batches = _Batches(samples, validation, config)
    state = folder / STATE
    if not state.exists():
        # Without a state nothing here can be gone on with.
        shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
        trainer.validate(adaptation, datamodule=batches, verbose=False)
        if config.method != "scratch":
            check_first_validation_loss(float(trainer.callback_metrics["val_loss"]), gates)
        trainer.fit(adaptation, datamodule=batches)
    elif not _kept(state)["finished"]:
        trainer.fit(adaptation, datamodule=batches, ckpt_path=str(state), weights_only=True)
    cast(TensorBoardLogger, trainer.logger).finalize("success")
    metrics = read_tensorboard(folder / TENSORBOARD)
    metrics.to_parquet(folder / "metrics.parquet", index=False)
    kept = _kept(state)
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


def read_tensorboard(folder: Path) -> pd.DataFrame:
    """Scalars of all event files as a long table: step, bases_seen, name, value; what was logged last counts.

    An interrupted run logs the steps after its last state twice.
    """
    rows = []
    for order, file in enumerate(
        sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns)
    ):
        events = EventAccumulator(str(file), size_guidance={"scalars": 0})
        events.Reload()
        for name in events.Tags()["scalars"]:
            rows += [(event.step, name, event.value, order) for event in events.Scalars(name)]
    table = pd.DataFrame(rows, columns=["step", "name", "value", "order"])
    table = table.sort_values(["step", "name", "order"], kind="stable").drop_duplicates(["step", "name"], keep="last")
    seen = table[table["name"] == "bases_seen"].set_index("step")["value"].astype("int64")
    table = table[~table["name"].isin(["bases_seen", "epoch"])].copy()
    table["bases_seen"] = table["step"].map(seen).astype("int64")
    return table[["step", "bases_seen", "name", "value"]].reset_index(drop=True)
