"""Stage `convert`: a checkpoint in, the same model in the backend's own format out."""

from __future__ import annotations

from pathlib import Path

from workflow.config import Config
from workflow.errors import InputError
from workflow.genome.files import PROJECT_ROOT, locate
from workflow.stages.context import StageContext

#: Checkpoints that NVIDIA's tools fetch themselves.
_PUBLISHED = ("hf://", "ngc://")
#: Programs of NVIDIA's that convert.
TOOLS = ("evo2_convert_to_nemo2", "evo2_convert_savanna_to_mbridge", "evo2_convert_nemo2_to_mbridge")


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
    wanted = checkpoint(context.config)
    held = context.backend().convert(context.config, wanted, context.out)
    return {"checkpoint": wanted or "random weights", **held}


def checkpoint(config: Config) -> str | None:
    """The checkpoint to start from, as a path or a published name; None for `train=scratch`.

    Raises
    ------
    InputError
        None is configured, or the file does not exist; or a name is given that the backend cannot fetch.
    """
    model, backend = config.model, config.backend.name
    if config.train.method == "scratch":
        return None
    if not model.checkpoint:
        raise InputError(f"model={model.name} names no checkpoint for backend={backend}: give model.checkpoint=FILE")
    if not is_published(model.checkpoint):
        return str(_locate(model.checkpoint, _hint(config)))
    if backend == "local":
        raise InputError(
            f"backend=local fetches nothing: download {model.checkpoint} and give model.checkpoint=FILE or FOLDER"
        )
    return model.checkpoint


def _locate(checkpoint: str, source: str) -> Path:
    """A file, one that is there in parts (`.pt.part0`, …), or a folder; as given, else in the project's root."""
    for path in (Path(checkpoint), PROJECT_ROOT / checkpoint):
        if path.is_dir() or path.with_name(f"{path.name}.part0").exists():
            return path.absolute()
    return locate(checkpoint, source)


def _hint(config: Config) -> str:
    """Where the checkpoint comes from, unless the user has named another."""
    model = config.model
    return model.source if model.checkpoint in model.checkpoints.values() else "model.checkpoint names it"


def is_published(checkpoint: str) -> bool:
    """Whether it is the name of something published, not a path."""
    return checkpoint.startswith(_PUBLISHED)
