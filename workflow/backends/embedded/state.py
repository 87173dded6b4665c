"""The state of an interrupted training on disk: safetensors and JSON instead of Lightning's pickle."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors.torch import load_file, save_file

from workflow.artifacts import publish, read_json, write_json


class SafeCheckpointIO(CheckpointIO):
    """Writes a checkpoint as a folder of `tensors.safetensors` and `structure.json`, published with one rename."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a nested structure of dicts, lists, tuples, tensors and plain values."""
        tensors: dict[str, torch.Tensor] = {}
        with publish(Path(path)) as folder:
            write_json(folder / "structure.json", _encode(checkpoint, tensors))
            save_file(tensors, folder / "tensors.safetensors")

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read what `save_checkpoint` wrote."""
        tensors = load_file(Path(path) / "tensors.safetensors")
        structure = _decode(read_json(Path(path) / "structure.json"), tensors)
        assert isinstance(structure, dict)
        return structure

    def remove_checkpoint(self, path: Any) -> None:
        """Refuse: the one state is replaced, never removed."""
        raise RuntimeError(f"{path} is kept")


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON of a nested value. Containers become one-key objects, so that key types and tuples survive."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_encode(item, tensors) for item in value]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a training state cannot hold a {type(value).__name__}")


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
    items = [_decode(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
