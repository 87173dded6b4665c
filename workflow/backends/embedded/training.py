"""Training of the local engine: Lightning's loop over the samples of the token files.

One Lightning epoch is the stretch between two validations. State is saved at its end, and everything
random inside it is seeded by its number, so that a run that was killed ends as one that was not. The state does not
know how many processes made it: any number, sharded or not, goes on from it with the same losses, but for what is
random inside of a step. That is dropout, whose masks are drawn in the order in which a process sees its samples.
"""

from __future__ import annotations

import logging
import shutil
import signal
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from peft import PeftModel

from workflow.artifacts import recover
from workflow.backends.embedded.adaptation import Adaptation, MetricLog
from workflow.backends.embedded.batches import Batches
from workflow.backends.embedded.fsdp import Sharded
from workflow.backends.embedded.keeping import Keeper, kept_in
from workflow.backends.embedded.places import STATE
from workflow.backends.embedded.state import SafeCheckpointIO
from workflow.backends.metric_log import read_tensorboard
from workflow.backends.training_gates import check_first_validation_loss
from workflow.config import ParallelConfig, StepPlan, TrainConfig
from workflow.dataset.codons import Coding
from workflow.dataset.samples import TrainingSamples
from workflow.errors import GateError, InputError
from workflow.gates import GateLog
from workflow.striped_hyena.model import StripedHyena2

TENSORBOARD = "tensorboard"


def make_ready(folder: Path) -> None:
    """Mend what a killed training has left in `folder`; without a state nothing there can be gone on with."""
    recover(folder / STATE)
    if not (folder / STATE).exists():
        shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)


def fit(
    model: StripedHyena2 | PeftModel,
    samples: TrainingSamples,
    validation: Sequence[np.ndarray],
    *,
    config: TrainConfig,
    parallel: ParallelConfig,
    accelerator: str,
    folder: Path,
    gates: GateLog,
    log: MetricLog | None = None,
    coding: Coding | None = None,
) -> None:
    """Train, or go on with the training that `folder` holds; in each of several processes, where there are.

    Leaves in `folder`: `best/` (weights of the lowest validation loss), `state/` (everything needed to go on), and
    `tensorboard/`.

    Parameters
    ----------
    folder : Path
        As `make_ready` leaves it.
    accelerator : str
        `cpu` or `gpu`.
    log : MetricLog, optional
        Gets the metrics too; of the first process alone.
    coding : Coding, optional
        The coding sequences among the samples: with a codon objective.

    Raises
    ------
    GateError
        The first validation loss is no better than a uniform guess (not with random weights), adapters do not move,
        or a loss is not finite.
    """
    state = folder / STATE
    if state.exists() and kept_in(state)["finished"]:
        gates.restore(kept_in(state)["gates"])
        return
    plan = config.plan(parallel.processes)
    adaptation = Adaptation(model, config, gates, log)
    batches = Batches(samples, validation, config, plan, coding)
    trainer = _trainer(config, plan, parallel, accelerator, folder, Keeper(folder, config, gates))
    if state.exists():
        trainer.fit(adaptation, datamodule=batches, ckpt_path=str(state))
    else:
        trainer.validate(adaptation, datamodule=batches, verbose=False)
        if config.method != "scratch":
            check_first_validation_loss(float(trainer.callback_metrics["val_loss"]), gates)
        trainer.fit(adaptation, datamodule=batches)
    cast(TensorBoardLogger, trainer.logger).finalize("success")


def conclude(folder: Path, samples: TrainingSamples, plan: StepPlan) -> dict[str, Any]:
    """Write `metrics.parquet` of a training that has ended.

    Returns
    -------
    dict
        Counts: steps, bases seen, share of the training bases covered, losses; with a codon objective also the bases
        seen in codons in frame, and their share.

    Raises
    ------
    GateError
        No validation loss was finite: there are no weights to keep.
    InputError
        With a codon objective no codon was seen: the training was one with the plain NLL.
    """
    metrics = read_tensorboard(folder / TENSORBOARD)
    metrics.to_parquet(folder / "metrics.parquet", index=False)
    kept = kept_in(folder / STATE)
    if not kept["finished"]:
        raise RuntimeError(f"the training ended at step {kept['step']} of {plan.steps}")
    if not kept["best_step"]:
        raise GateError(
            f"the training ended at step {kept['step']} without a finite validation loss, so there are no weights to "
            "keep: use a smaller train.learning_rate",
            "finite_loss",
        )
    validation_losses = metrics[metrics["name"] == "val_loss"]["value"]
    in_frame = {}
    if (seen := kept.get("codon_bases_seen")) is not None:
        if not seen:
            raise InputError(
                f"the training saw no codon in frame in {kept['bases_seen']:,} bases, so that it was one with "
                "train.objective=nll: use more train.steps, a smaller train.reverse_complement, or a larger weight of "
                "the coding sequences in mixture.weights"
            )
        in_frame = {"codon_bases_seen": seen, "codon_share_seen": seen / max(kept["bases_seen"], 1)}
    return {
        "steps": kept["step"],
        "bases_seen": kept["bases_seen"],
        "train_bases": samples.bases,
        "share_of_train_bases_covered": samples.bases_covered(plan.samples_before(kept["step"])) / samples.bases,
        "trainable_parameters": kept["trainable_parameters"],
        "first_validation_loss": float(validation_losses.iloc[0]),
        "best_validation_loss": kept["best_loss"],
        "best_step": kept["best_step"],
        **in_frame,
    }


class _EndAtOnce(Callback):
    """SIGTERM ends one of several processes at once.

    Lightning would have each wait for the others to tell them, which may be anywhere, and wait forever.
    """

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _trainer(
    config: TrainConfig, plan: StepPlan, parallel: ParallelConfig, accelerator: str, folder: Path, keeper: Keeper
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    callbacks: list[Callback] = [keeper]
    if config.early_stopping:
        callbacks.insert(0, EarlyStopping("val_loss", patience=config.early_stopping, check_on_train_epoch_end=False))
    together = parallel.processes > 1
    if together:
        callbacks.append(_EndAtOnce())
    strategy = _strategy(parallel)
    return lightning.Trainer(
        accelerator=accelerator,
        devices=parallel.devices,
        num_nodes=parallel.nodes,
        strategy=strategy,
        # One process is one, also inside a SLURM job, which Lightning would else take charge of.
        plugins=[TorchElasticEnvironment() if together else LightningEnvironment(), SafeCheckpointIO()],
        max_steps=plan.steps,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=1,
        callbacks=callbacks,
        default_root_dir=folder,
        logger=TensorBoardLogger(folder, name=TENSORBOARD, version="", default_hp_metric=False),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        # Weights that FSDP gathers in inference mode could not be trained afterwards.
        inference_mode=not isinstance(strategy, Sharded),
    )


def _strategy(parallel: ParallelConfig) -> Strategy | str:
    if parallel.processes == 1:
        return "auto"
    if parallel.strategy == "fsdp":
        return Sharded(parallel.processes)
    # The one buffer, of the rotary embedding, never changes.
    return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
