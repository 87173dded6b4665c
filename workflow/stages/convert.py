"""Stage `convert`: a checkpoint in, the same model in the backend's own format out."""

from __future__ import annotations

from pathlib import Path

from workflow.config import Config
from workflow.errors import InputError
from workflow.genome.files import locate
from workflow.stages.context import StageContext


def convert(context: StageContext) -> dict[str, object]:
    """Load the checkpoint strictly, inspect it, and save it for the backend.

    Returns
    -------
    dict
        What the checkpoint holds: parameters, layers, precision, bytes.

    Raises
    ------
    InputError
        The checkpoint is missing, damaged, or does not fit `model.architecture`.
    """
    path = checkpoint(context.config)
    held = context.backend().convert(context.config, path, context.out)
    return {"checkpoint": str(path) if path else "random weights", **held}


def checkpoint(config: Config) -> Path | None:
    """The checkpoint to start from; None for `train=scratch`.

    Raises
    ------
    InputError
        None is configured, or the file does not exist.
    """
    if config.train.method == "scratch":
        return None
    if not config.model.checkpoint:
        raise InputError(f"model={config.model.name} names no checkpoint: give model.checkpoint=FILE")
    return locate(config.model.checkpoint, config.model.source)
