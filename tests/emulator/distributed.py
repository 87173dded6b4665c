"""Folders of PyTorch's distributed checkpoints, as Megatron's `torch_dist` format has them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import SavePlan, TensorWriteData, WriteItem, WriteItemType

METADATA = {"sharded_backend": "torch_dist", "sharded_backend_version": 1}
METADATA |= {"common_backend": "torch", "common_backend_version": 1}


def write(folder: Path, state: Mapping[str, Any], *, file_per_tensor: bool = False) -> None:
    """Write tensors, and other values as pickles.

    In two files, the stacked matrices of the MLP in two chunks each, as training does; or one file a tensor and
    nothing in chunks, as a converter of mbridge does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = FileSystemWriter(folder, single_file_per_rank=not file_per_tensor, thread_count=2)
    planner = DefaultSavePlanner() if file_per_tensor else _ChunkingPlanner()
    _quietly(lambda: state_dict_saver.save(dict(state), storage_writer=writer, planner=planner))


def read(folder: Path, keep: Callable[[str], bool] = lambda name: True) -> dict[str, Tensor]:
    """All tensors whose names are to be kept."""
    reader = FileSystemReader(folder)
    described = reader.read_metadata().state_dict_metadata
    state = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in described.items()
        if isinstance(entry, TensorStorageMetadata) and keep(name)
    }
    _quietly(lambda: state_dict_loader.load(state, storage_reader=reader))
    return state


def _quietly(work: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        # That no process group exists, and that its own format is to change.
        warnings.simplefilter("ignore")
        work()


class _ChunkingPlanner(DefaultSavePlanner):
    """Writes the two halves of a stacked matrix as chunks of their own."""

    def __init__(self) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._rows: dict[MetadataIndex, tuple[int, int]] = {}

    def create_local_plan(self) -> SavePlan:
        plan = super().create_local_plan()
        items = [chunk for item in plan.items for chunk in self._chunks(item)]
        self.plan = replace(plan, items=items, planner_data=None)
        return self.plan

    def _chunks(self, item: WriteItem) -> list[WriteItem]:
        name = item.index.fqn
        if not name.endswith(("mlp.linear_fc1.weight", "mlp.linear_fc1.adapter.linear_out.weight")):
            return [item]
        tensor = self.state_dict[name]
        half = len(tensor) // 2
        chunks = []
        for first in (0, half):
            offset = torch.Size([first, *[0] * (tensor.ndim - 1)])
            index = MetadataIndex(name, offset)
            self._rows[index] = (first, first + half)
            chunk = ChunkStorageMetadata(offset, torch.Size([half, *tensor.shape[1:]]))
            data = TensorWriteData(chunk, TensorProperties.create_from_tensor(tensor), tensor.size())
            chunks.append(WriteItem(index, WriteItemType.SHARD, tensor_data=data))
        return chunks

    def lookup_object(self, index: MetadataIndex) -> Any:
        key = MetadataIndex(index.fqn, index.offset)
        if key in self._rows:
            first, end = self._rows[key]
            return self.state_dict[index.fqn][first:end]
        return super().lookup_object(index)
