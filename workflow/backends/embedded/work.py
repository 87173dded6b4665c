"""What one process does of a training: the whole of it, where it is the only one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from workflow.backends.embedded.adaptation import MetricLog, make_filters_trainable
from workflow.backends.embedded.device import open_device
from workflow.backends.embedded.places import WEIGHTS
from workflow.backends.embedded.training import fit
from workflow.config import Config
from workflow.dataset.reading import open_split
from workflow.dataset.samples import TrainingSamples, validation_samples
from workflow.gates import GateLog
from workflow.striped_hyena import StripedHyena2, load_checkpoint
from workflow.striped_hyena.adapters import add_lora


def open_samples(config: Config, tokens: Path) -> TrainingSamples:
    """The training samples of the token files that `preprocess` published."""
    return TrainingSamples(
        *open_split(tokens, "train", config.mixture.lineage_spacing),
        context_length=config.train.context_length,
        seed=config.train.seed,
        reverse_complement=config.train.reverse_complement,
    )


def take_part(config: Config, base: Path, tokens: Path, out: Path, gates: GateLog, log: MetricLog | None) -> None:
    """Adapt the model of `base`, together with the other processes, where there are; see `fit`.

    Parameters
    ----------
    base, tokens : Path
        Folders that `convert` and `preprocess` published.
    out : Path
        Where the training is, as `make_ready` leaves it.
    log : MetricLog, optional
        Gets the metrics; of the first process alone.
    """
    device = open_device(config.backend)
    validation = validation_samples(
        *open_split(tokens, "val", config.mixture.lineage_spacing),
        context_length=config.train.context_length,
        count=config.train.validation_samples,
    )
    fit(
        _trainable(config, base),
        open_samples(config, tokens),
        validation,
        config=config.train,
        parallel=config.parallel,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        folder=out,
        gates=gates,
        log=log,
    )


def _trainable(config: Config, base: Path) -> Any:
    """The model with what is trained of it; the same in all processes."""
    train = config.train
    model: StripedHyena2 = load_checkpoint(base / WEIGHTS)
    model.activation_checkpointing = train.activation_checkpointing
    torch.manual_seed(train.seed)
    if train.method != "lora":
        make_filters_trainable(model.float())
        return model
    # Frozen weights need no more precision than the arithmetic has.
    model = model.to_bfloat16() if train.precision == "bf16" else model.float()
    lora = train.lora
    return add_lora(model, rank=lora.rank, alpha=lora.alpha, dropout=lora.dropout, targets=lora.targets)
