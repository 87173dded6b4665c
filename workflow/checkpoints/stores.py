"""A table of tensors on disk, read one at a time: what the readers of all formats have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from workflow.errors import InputError


@dataclass(frozen=True)
class TensorInfo:
    """Shape and dtype of a tensor that is not read."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def count(self) -> int:
        """Numbers in it."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return self.count * self.dtype.itemsize

    def meta(self) -> Tensor:
        """A tensor of this shape and dtype without numbers."""
        return torch.empty(self.shape, dtype=self.dtype, device="meta")


class Store(Protocol):
    """Tensors by name. Opening one reads no numbers."""

    @property
    def path(self) -> Path:
        """The file or folder."""
        ...

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        """Shape and dtype of each tensor."""
        ...

    def read(self, name: str) -> Tensor:
        """One tensor, memory-mapped where the file allows it.

        Raises
        ------
        InputError
            The file is damaged or cut short.
        """
        ...


class TensorTable(Mapping[str, Tensor]):
    """Tensors by vortex's names, each made when it is asked for.

    Attributes
    ----------
    infos : mapping
        Shape and dtype of each, known beforehand.
    """

    infos: Mapping[str, TensorInfo]


class SafetensorsStore:
    """A `.safetensors` file.

    Attributes
    ----------
    metadata : dict
        Texts of the header.

    Raises
    ------
    InputError
        The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = cast(Any, safe_open)(path, framework="pt")
            self.metadata: dict[str, str] = self._file.metadata() or {}
            slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise InputError(f"checkpoint {path} is damaged: {error}") from None
        self.infos: dict[str, TensorInfo] = {
            name: TensorInfo(tuple(part.get_shape()), _DTYPES.get(part.get_dtype(), torch.uint8))
            for name, part in slices.items()
        }

    def read(self, name: str) -> Tensor:
        """One tensor, memory-mapped."""
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
#: safetensors' code of each dtype.
DTYPE_CODES = {dtype: code for code, dtype in _DTYPES.items()}
