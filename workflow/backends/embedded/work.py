"""What one process does of a training: the whole of it, where it is the only one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from workflow.backends.embedded.adaptation import MetricLog
from workflow.backends.embedded.device import open_device
from workflow.backends.embedded.places import WEIGHTS
from workflow.backends.embedded.training import fit
from workflow.config import Config
from workflow.dataset.codons import CODON_BASES, Coding, coding_sets, open_coding
from workflow.dataset.reading import open_split
from workflow.dataset.samples import TrainingSamples, validation_places, validation_samples
from workflow.errors import InputError
from workflow.gates import GateLog
from workflow.striped_hyena import StripedHyena2, load_checkpoint
from workflow.striped_hyena.adapters import add_lora
from workflow.striped_hyena.poles import make_filters_trainable


def open_samples(config: Config, tokens: Path) -> TrainingSamples:
    """The training samples of the token files that `preprocess` published."""
    return TrainingSamples(
        *open_split(tokens, "train", config.mixture.lineage_spacing),
        context_length=config.train.context_length,
        seed=config.train.seed,
        reverse_complement=config.train.reverse_complement,
    )


def open_codons(config: Config, tokens: Path, split: str) -> Coding:
    """The coding sequences of a split among the token files that `preprocess` published."""
    return open_coding(tokens, split, coding_sets(config), config.train.codon.genetic_code)


def tell_codons(config: Config, tokens: Path) -> dict[str, Any]:
    """What of the training data is in frame, for the manifest: sets, and documents by genetic code.

    Raises
    ------
    InputError
        No coding sequence has a whole codon.
    """
    if not config.train.reads_codons:
        return {}
    sets, coding = coding_sets(config), open_codons(config, tokens, "train")
    files, _ = open_split(tokens, "train", config.mixture.lineage_spacing)
    longest = [int(file.counts.max()) for file, codes in zip(files, coding.codes, strict=True) if codes is not None]
    if max(longest, default=0) < CODON_BASES:
        raise InputError(f"no document of {', '.join(sets)} in train has a whole codon: give longer coding sequences")
    return {"codon_sets": sets, "codon_tables": coding.tables()}


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
    files, weights = open_split(tokens, "val", config.mixture.lineage_spacing)
    asked = {"context_length": config.train.context_length, "count": config.train.validation_samples}
    validation = validation_samples(files, weights, **asked)
    coding = None
    if config.train.reads_codons:
        of_validation, places = open_codons(config, tokens, "val"), validation_places(files, weights, **asked)
        codons = [of_validation.codons(*read) for read in zip(places, validation, strict=True)]
        coding = replace(open_codons(config, tokens, "train"), validation=codons)
    fit(
        _trainable(config, base),
        open_samples(config, tokens),
        validation,
        coding=coding,
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
