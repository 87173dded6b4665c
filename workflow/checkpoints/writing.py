"""Writes weights as ours (safetensors), as vortex `.pt` and as savanna `.pt`; each file appears whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from workflow.checkpoints.layouts import to_savanna
from workflow.checkpoints.names import (
    EMBEDDING,
    FINAL_NORM,
    FINAL_NORM_20B,
    SAVANNA_PREFIX,
    TIED_COPY,
    correspondences,
)
from workflow.checkpoints.reading import Weights
from workflow.checkpoints.stores import DTYPE_CODES, TensorInfo, TensorTable
from workflow.striped_hyena.checkpoints import FORMAT, published_weights
from workflow.striped_hyena.config import PRESETS, ModelConfig
from workflow.striped_hyena.model import FLOAT32_NAMES, StripedHyena2

Precision = Literal["kept", "bf16", "fp32"]
#: `kept`: each tensor as it is; `bf16`: as the published files, poles, residues and frequencies in float32.
PRECISIONS: tuple[Precision, ...] = ("kept", "bf16", "fp32")
_TEMPORARY_MARK = ".tmp-"


class _StateTable(TensorTable):
    """The weights of a model in memory."""

    def __init__(self, model: StripedHyena2) -> None:
        self._tensors = {name: tensor.detach().cpu() for name, tensor in published_weights(model).items()}
        self.infos = {name: TensorInfo(tuple(t.shape), t.dtype) for name, t in self._tensors.items()}

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def write_ours(source: StripedHyena2 | Weights, path: Path, precision: Precision = "kept") -> None:
    """Write safetensors, the same bytes as `save_checkpoint`; one tensor is in memory at a time.

    Parameters
    ----------
    source : StripedHyena2 or Weights
        A model, or weights on disk, which are never read as a whole.
    path : Path
        File to write.
    precision : {"kept", "bf16", "fp32"}
        Of the numbers; bfloat16 leaves poles, residues and rotary frequencies in float32, as published.
    """
    config, table = _table(source)
    dtypes = {name: _dtype(name, info.dtype, precision) for name, info in table.infos.items()}
    # The order of the safetensors library: wide numbers first, so that all are aligned.
    names = sorted(table, key=lambda name: (-dtypes[name].itemsize, name))
    header: dict[str, object] = {"__metadata__": {FORMAT: config.to_json()}}
    offset = 0
    for name in names:
        shape = table.infos[name].shape
        end = offset + TensorInfo(shape, dtypes[name]).bytes
        header[name] = {"dtype": DTYPE_CODES[dtypes[name]], "shape": shape, "data_offsets": (offset, end)}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with _replacing(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in names:
            tensor = table[name].to(dtypes[name]).contiguous()
            file.write(_bytes(tensor))


def write_vortex(source: StripedHyena2 | Weights, path: Path, precision: Precision = "kept") -> None:
    """Write a `.pt` in vortex's names, with the tied copy of the embedding, as the authors publish it.

    Tensors that are not memory-mapped are in memory together while they are written. Parameters are those of
    `write_ours`.
    """
    _, table = _table(source)
    tensors = {name: _own(tensor.to(_dtype(name, tensor.dtype, precision))) for name, tensor in table.items()}
    tensors[TIED_COPY] = tensors[EMBEDDING]
    with _replacing(path) as temporary:
        torch.save(tensors, temporary)


def write_savanna(source: StripedHyena2 | Weights, path: Path, precision: Precision = "kept") -> None:
    """Write a `.pt` in savanna's names, which NVIDIA's converters read.

    The filters are spelt with p = −1 and decay = 1: the same function to float32 rounding. Parameters are those of
    `write_ours`.

    Raises
    ------
    InputError
        A pole is positive.
    """
    config, table = _table(source)
    place = FINAL_NORM_20B if config == PRESETS["evo2_20b"] else FINAL_NORM
    tensors: dict[str, Tensor] = {}
    for entry in correspondences(config.pattern, place):
        ours = [table[name].to(_dtype(name, table.infos[name].dtype, precision)) for name in entry.vortex]
        for name, tensor in zip(entry.savanna, to_savanna(entry, ours), strict=True):
            tensors[SAVANNA_PREFIX + name] = _own(tensor)
    with _replacing(path) as temporary:
        torch.save({"module": tensors}, temporary)


def _table(source: StripedHyena2 | Weights) -> tuple[ModelConfig, TensorTable]:
    return (source.config, source.tensors) if isinstance(source, Weights) else (source.config, _StateTable(source))


def _dtype(name: str, dtype: torch.dtype, precision: Precision) -> torch.dtype:
    if precision == "kept" or not dtype.is_floating_point:
        return dtype
    return torch.float32 if precision == "fp32" or name.endswith(FLOAT32_NAMES) else torch.bfloat16


def _own(tensor: Tensor) -> Tensor:
    """The tensor in a storage of its own size: `torch.save` writes whole storages."""
    tensor = tensor.contiguous()
    alone = tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if alone else tensor.clone()


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{_TEMPORARY_MARK}{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
