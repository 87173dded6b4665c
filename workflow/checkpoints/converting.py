"""From any format into one that this project writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workflow.checkpoints.reading import Weights
from workflow.checkpoints.writing import Precision, write_ours, write_savanna, write_vortex
from workflow.errors import InputError

WRITERS: dict[str, Callable[[Weights, Path, Precision], None]] = {
    "ours": write_ours,
    "vortex": write_vortex,
    "savanna": write_savanna,
}


def target_format(out: Path, asked: str | None = None) -> str:
    """The format to write: as asked, else by the name of the output.

    `.safetensors` is ours; `.pt` is savanna's when its name says so, else vortex's.

    Raises
    ------
    InputError
        The name fits no format, or not the one asked for.
    """
    if out.suffix not in (".safetensors", ".pt"):
        raise InputError(f"{out}: the name of the output must end in .safetensors (ours) or .pt (vortex, savanna)")
    by_name = "ours" if out.suffix == ".safetensors" else "savanna" if "savanna" in out.name else "vortex"
    asked = asked or by_name
    if (asked == "ours") != (by_name == "ours"):
        raise InputError(f"{out}: {asked} is written as {'.safetensors' if asked == 'ours' else '.pt'}")
    return asked


def write(weights: Weights, out: Path, to: str | None = None, precision: Precision = "kept") -> dict[str, Any]:
    """Write weights in a format.

    Returns
    -------
    dict
        What was written: format, parameters, bytes of the file.
    """
    format = target_format(out, to)
    WRITERS[format](weights, out, precision)
    return {"format": format, "parameters": weights.config.parameters, "bytes": out.stat().st_size}


def refuse_to_overwrite(*files: Path, force: bool) -> None:
    """Keep what is there.

    Raises
    ------
    InputError
        A file exists and `force` is off.
    """
    if not force and (there := next((file for file in files if file.exists()), None)):
        raise InputError(f"{there} exists: give another name, or --force to replace it")
