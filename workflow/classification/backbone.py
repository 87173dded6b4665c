"""The model that a classifier is built on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from workflow.backends.base import ModelFiles
from workflow.backends.embedded.places import BEST, WEIGHTS
from workflow.errors import InputError
from workflow.striped_hyena import StripedHyena2, load_checkpoint
from workflow.striped_hyena.adapters import load_adapter


def load_backbone(files: ModelFiles, layer: int | None) -> StripedHyena2:
    """The model in float32 up to the layer that is pooled, with what a training has added to its weights.

    Raises
    ------
    InputError
        There is no such layer, or the files are damaged.
    """
    model = load_checkpoint(weights_file(files)).float()
    if adapter := _adapter(files):
        model = load_adapter(model, adapter, merge=True)
    return shorten(model, layer)


def is_published_file(files: ModelFiles, layer: int | None) -> bool:
    """Whether the backbone is, weight by weight, what `weights_file` holds."""
    return layer is None and _adapter(files) is None


def weights_file(files: ModelFiles) -> Path:
    """All weights that the training wrote, or those of the base where it wrote an adapter, or there was none."""
    trained = files.trained / BEST / WEIGHTS if files.trained else None
    return trained if trained is not None and trained.exists() else files.base / WEIGHTS


def shorten(model: StripedHyena2, layer: int | None) -> StripedHyena2:
    """Let go of the blocks after `layer` (from the end where negative), in place; None keeps all.

    They would cost time, and an adapter in one of them would never learn.

    Raises
    ------
    InputError
        There is no such layer.
    """
    if layer is None:
        return model
    blocks = len(model.blocks)
    if not -blocks <= layer < blocks:
        raise InputError(f"classify.layer={layer} does not exist: the model has the layers 0 to {blocks - 1}")
    kept = layer % blocks + 1
    model.config = replace(model.config, pattern=model.config.pattern[:kept])
    model.blocks = model.blocks[:kept]
    return model


def _adapter(files: ModelFiles) -> Path | None:
    """The adapter that the training wrote, if it wrote one."""
    if files.trained is None or (files.trained / BEST / WEIGHTS).exists():
        return None
    return files.trained / BEST
