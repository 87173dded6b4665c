"""Reads the folders of `torch.distributed.checkpoint`, as Megatron writes them, with plain torch and no Megatron.

`.metadata` is a pickle of torch's and Megatron's own classes. It is read with stand-ins: every name from their
modules becomes an empty record, none is imported, and any other name is refused. Each piece of a tensor is a small
`torch.save` archive inside a `.distcp` file, which `archives` reads.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from itertools import combinations
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from workflow.checkpoints.archives import DTYPES, UNPICKLING_ERRORS, Archive, Piece, TensorReference
from workflow.checkpoints.stores import TensorInfo
from workflow.errors import InputError

METADATA = ".metadata"
_RECORD_MODULES = ("torch.distributed.checkpoint.", "megatron.core.dist_checkpointing.")


@dataclass(frozen=True)
class Chunk:
    """A block of a tensor, and where its bytes are."""

    offsets: tuple[int, ...]
    shape: tuple[int, ...]
    piece: Piece


class DistributedStore:
    """A distributed checkpoint.

    Attributes
    ----------
    others : list of str
        Entries that are no tensors: states of the optimizer, the random numbers, Transformer Engine.
    files : dict
        Bytes that each `.distcp` file must at least have.

    Raises
    ------
    InputError
        `.metadata` is missing, damaged or asks for a name that does not belong there.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.infos: dict[str, TensorInfo] = {}
        self.others: list[str] = []
        self.files: dict[Path, int] = {}
        self._chunks: dict[str, list[Chunk]] = {}
        metadata = read_metadata(folder / METADATA)
        try:
            self._index(metadata)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / METADATA} is not what torch.distributed.checkpoint writes: {error}") from None

    def _index(self, metadata: Any) -> None:
        places = {}
        for index, storage in metadata.storage_data.items():
            if getattr(storage, "transform_descriptors", None):
                raise InputError(f"{self.path} is compressed, which is not supported: save it without transforms")
            place = Piece(self._shard(storage.relative_path), int(storage.offset), int(storage.length))
            # States that are no tensors have no offset.
            places[index.fqn, tuple(getattr(index, "offset", None) or ())] = place
            self.files[place.path] = max(self.files.get(place.path, 0), place.offset + place.length)
        for name, entry in metadata.state_dict_metadata.items():
            if not hasattr(entry, "chunks"):
                self.others.append(name)
                continue
            # The properties of a tensor are pickled as a tuple, or as a record by its fields.
            properties = entry.properties
            dtype = properties.values[0] if properties.values else properties.dtype
            self.infos[name] = TensorInfo(tuple(entry.size), dtype)
            self._chunks[name] = [
                Chunk(tuple(chunk.offsets), tuple(chunk.sizes), places[name, tuple(chunk.offsets)])
                for chunk in entry.chunks
            ]

    def _shard(self, name: str) -> Path:
        if PurePosixPath(name).name != name:
            raise ValueError(f"a shard named {name!r}")
        return self.path / name

    def read(self, name: str) -> Tensor:
        """One tensor, put together from its pieces.

        Raises
        ------
        InputError
            A shard is missing, cut short or damaged, or the pieces do not cover the tensor.
        """
        info, chunks = self.infos[name], self._chunks[name]
        overlap = any(_overlap(a, b) for a, b in combinations(chunks, 2))
        if overlap or sum(prod(chunk.shape) for chunk in chunks) != info.count:
            raise InputError(f"{self.path}: the pieces of {name} do not cover it")
        if len(chunks) == 1:
            return self._read_chunk(name, chunks[0])
        whole = torch.empty(info.shape, dtype=info.dtype)
        for chunk in chunks:
            region = whole
            for axis, (start, length) in enumerate(zip(chunk.offsets, chunk.shape, strict=True)):
                region = region.narrow(axis, start, length)
            region.copy_(self._read_chunk(name, chunk))
        return whole

    def _read_chunk(self, name: str, chunk: Chunk) -> Tensor:
        self.check_file(chunk.piece.path)
        archive = Archive(chunk.piece)
        expected = TensorInfo(chunk.shape, self.infos[name].dtype)
        if not isinstance(archive.content, TensorReference) or archive.content.info != expected:
            raise InputError(f"{chunk.piece.path} holds something else than a piece of {name}")
        return archive.read(archive.content)

    def check_file(self, path: Path) -> None:
        """Whether a shard is there and long enough.

        Raises
        ------
        InputError
            It is not.
        """
        if not path.is_file():
            raise InputError(f"checkpoint {self.path} is incomplete: {path.name} is missing")
        if path.stat().st_size < self.files[path]:
            raise InputError(
                f"checkpoint {self.path} is incomplete: {path.name} has {path.stat().st_size} bytes "
                f"of at least {self.files[path]}"
            )


def _overlap(a: Chunk, b: Chunk) -> bool:
    return all(
        max(start_a, start_b) < min(start_a + size_a, start_b + size_b)
        for start_a, size_a, start_b, size_b in zip(a.offsets, a.shape, b.offsets, b.shape, strict=True)
    )


class _Record:
    """Stands in for any class of torch's or Megatron's checkpoints: its fields, and what it was called with."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __setstate__(self, state: Any) -> None:
        self.values = ()
        if isinstance(state, dict):
            self.__dict__.update(state)
        else:
            self.values = state


_ALLOWED: dict[tuple[str, str], Any] = {
    ("torch", "Size"): tuple,
    ("torch.serialization", "_get_layout"): _Record,
    ("collections", "OrderedDict"): OrderedDict,
    ("pathlib", "PosixPath"): PurePosixPath,
    ("pathlib", "PurePosixPath"): PurePosixPath,
    ("pathlib._local", "PosixPath"): PurePosixPath,
    ("builtins", "set"): set,
    **{("torch", name): dtype for name, dtype in DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if f"{module}.".startswith(_RECORD_MODULES):
            return _Record
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no checkpoint needs")


def read_metadata(path: Path) -> Any:
    """The records of a `.metadata` file.

    Raises
    ------
    InputError
        The file is missing or damaged, or asks for a name that does not belong there.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: {path.parent} is no complete distributed checkpoint")
    try:
        with path.open("rb") as stream:
            return _Unpickler(stream).load()
    except UNPICKLING_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is damaged or not what torch.distributed.checkpoint writes: {reason}") from None
