"""Reads the zip files of `torch.save` without running anything in them and without reading what is not asked for.

Such a file holds a pickle that names the tensors, and beside it their numbers, uncompressed. The pickle is read
with a list of allowed names, each of which stands for a harmless description; the numbers are memory-mapped.
The bytes may lie in one file, in several that follow one another (`.pt.part0`, `.pt.part1` …), or in a stretch of
a larger file (the shards of a distributed checkpoint).
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from workflow.checkpoints.stores import TensorInfo
from workflow.errors import InputError

#: What reading a damaged or hostile pickle can end with.
UNPICKLING_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
_ZIP_MARK = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<26xHH")
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
#: torch's names of what a tensor can hold, for pickles that name a dtype.
DTYPES = {
    name: getattr(torch, name)
    for name in (
        *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
        *("int64", "int32", "int16", "int8", "uint8", "bool"),
    )
}


@dataclass(frozen=True)
class Piece:
    """`length` bytes of a file from `offset` on."""

    path: Path
    offset: int
    length: int

    @classmethod
    def whole(cls, path: Path) -> Piece:
        """All of a file."""
        return cls(path, 0, path.stat().st_size)


@dataclass(frozen=True)
class TensorReference:
    """A tensor in an archive: where its numbers are and how they are laid out."""

    key: str
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def info(self) -> TensorInfo:
        """Shape and dtype."""
        return TensorInfo(self.shape, self.dtype)


class Archive:
    """A zip file of `torch.save`.

    Attributes
    ----------
    content : object
        What was saved, with a `TensorReference` in place of each tensor.

    Parameters
    ----------
    pieces : sequence of Piece
        Where the bytes are, in order.

    Raises
    ------
    InputError
        The file is damaged or cut short, was not written by `torch.save`, or holds what is no plain table of weights.
    """

    def __init__(self, *pieces: Piece) -> None:
        self.path = pieces[0].path
        self._joined = _Joined(pieces)
        self._offsets: dict[str, int] = {}
        self._check_readable()
        try:
            with zipfile.ZipFile(self._joined) as archive:
                self._records = {
                    record.filename.partition("/")[2]: record for record in archive.infolist() if not record.is_dir()
                }
                if any(record.compress_type != zipfile.ZIP_STORED for record in self._records.values()):
                    raise self._damaged("it is compressed")
                if "data.pkl" not in self._records:
                    raise self._damaged("it holds no data.pkl")
                table = archive.read(self._records["data.pkl"])
                order = self._records.get("byteorder")
                if order is not None and archive.read(order) != b"little":
                    raise self._damaged("its numbers are big-endian")
        except InputError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError):
            raise self._damaged(self._lost_end(pieces)) from None
        except (OSError, RuntimeError) as error:
            raise self._damaged(str(error)) from None
        try:
            self.content: Any = _Unpickler(io.BytesIO(table)).load()
        except UNPICKLING_ERRORS as error:
            raise self._damaged(str(error) or type(error).__name__) from None

    def read(self, reference: TensorReference) -> Tensor:
        """The numbers of a tensor, memory-mapped where they lie in one file at an even place."""
        itemsize = reference.dtype.itemsize
        last = sum((size - 1) * step for size, step in zip(reference.shape, reference.stride, strict=True))
        numbers = 0 if 0 in reference.shape else last + 1
        first = self._start(reference.key, (reference.offset + numbers) * itemsize) + reference.offset * itemsize
        flat = self._joined.view(first, numbers * itemsize, itemsize)
        return torch.from_numpy(flat).view(reference.dtype).as_strided(reference.shape, reference.stride)

    def _start(self, key: str, needed: int) -> int:
        """Where the record of a storage begins, behind its local header."""
        record = self._records.get(f"data/{key}")
        if record is None or record.file_size < needed:
            raise self._damaged(f"the numbers of storage {key} are missing or cut short")
        if key not in self._offsets:
            header = self._joined.take(record.header_offset, _LOCAL_HEADER.size)
            self._offsets[key] = record.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(header))
        start = self._offsets[key]
        if start + record.file_size > self._joined.length:
            raise self._damaged(f"the numbers of storage {key} are cut short")
        return start

    def _lost_end(self, pieces: Sequence[Piece]) -> str:
        """Which end a zip file lacks that cannot be opened: it begins with a mark, its table of contents comes last."""
        first, last = pieces[0].path.name, pieces[-1].path.name
        if self._joined.take(0, len(_ZIP_MARK)) != _ZIP_MARK:
            beginning = f"no part is there before {first}" if len(pieces) > 1 else "it does not begin as one"
            return f"it is no zip file of torch.save, {beginning}"
        return f"it is cut short, or a part behind {last} is missing" if len(pieces) > 1 else "it is cut short"

    def _check_readable(self) -> None:
        """Tell a file that may not be read from one that is damaged, which `zipfile` does not."""
        try:
            self._joined.take(0, 1)
        except OSError as error:
            raise InputError(f"checkpoint {self.path} cannot be read: {error.strerror}") from None

    def _damaged(self, reason: str) -> InputError:
        told = (reason.splitlines() or ["unreadable"])[0]
        return InputError(f"checkpoint {self.path} is damaged or not a plain table of weights: {told}")


class ArchiveStore:
    """The table of weights in an archive: a mapping from names to tensors, itself or under the key `module`.

    Attributes
    ----------
    others : dict
        Entries that are no tensors, such as the FP8 state of published files.

    Raises
    ------
    InputError
        The archive is damaged or holds no such mapping.
    """

    def __init__(self, *pieces: Piece) -> None:
        self._archive = Archive(*pieces)
        self.path = self._archive.path
        content = self._archive.content
        if isinstance(content, Mapping) and isinstance(content.get("module"), Mapping):
            content = content["module"]
        if not isinstance(content, Mapping):
            kind = "single tensor" if isinstance(content, TensorReference) else type(content).__name__
            raise InputError(f"checkpoint {self.path} holds a {kind}, not a table of weights")
        self._references = {str(name): value for name, value in content.items() if isinstance(value, TensorReference)}
        self.others = {str(name): value for name, value in content.items() if not isinstance(value, TensorReference)}
        self.infos: dict[str, TensorInfo] = {name: reference.info for name, reference in self._references.items()}

    def read(self, name: str) -> Tensor:
        """One tensor, memory-mapped."""
        return self._archive.read(self._references[name])


def _rebuild_tensor(
    storage: TensorReference, offset: int, shape: Sequence[int], stride: Sequence[int], *unused: Any
) -> TensorReference:
    """In place of torch's function of that name."""
    shape, stride = tuple(map(int, shape)), tuple(map(int, stride))
    if len(shape) != len(stride) or min((offset, *shape, *stride)) < 0:
        raise ValueError("a tensor has an impossible shape")
    return TensorReference(storage.key, storage.dtype, int(offset), shape, stride)


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 spell bytes."""
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *unused: tensor,
    ("torch", "Size"): tuple,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _latin1,
    ("_io", "BytesIO"): io.BytesIO,
    **{("torch", name): dtype for name, dtype in (_STORAGES | DTYPES).items()},
    ("torch.storage", "UntypedStorage"): torch.uint8,
}


class _Unpickler(pickle.Unpickler):
    """Knows the names that tables of weights are made of, and no other."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no table of weights needs")
        return _ALLOWED[module, name]

    def persistent_load(self, identifier: Any) -> TensorReference:
        kind, dtype, key, _, _ = identifier
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError("it refers to something that is no storage")
        return TensorReference(str(key), dtype, 0, (), ())


class _Joined(io.RawIOBase):
    """Pieces of files, read as one file."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = tuple(pieces)
        self._ends = list(accumulate(piece.length for piece in pieces))
        self.length = self._ends[-1]
        self._position = 0
        self._streams: dict[Path, BinaryIO] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.length}[whence]
        if origin + offset < 0:
            raise ValueError("it is cut short")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self.take(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def take(self, start: int, length: int) -> bytes:
        """`length` bytes from `start` on; fewer at the end."""
        parts = []
        while length > 0 and (part := self._piecewise(start, length)):
            parts.append(part)
            start, length = start + len(part), length - len(part)
        return b"".join(parts)

    def view(self, start: int, length: int, alignment: int) -> np.ndarray:
        """Bytes as an array: memory-mapped, privately writable, where one piece holds them and the place is even."""
        piece, offset = self._find(start)
        if length and (offset % alignment == 0) and start + length <= self._ends[self._pieces.index(piece)]:
            return np.memmap(piece.path, np.uint8, mode="c", offset=offset, shape=(length,))
        return np.frombuffer(bytearray(self.take(start, length)), np.uint8)

    def _find(self, position: int) -> tuple[Piece, int]:
        """The piece in which a position lies, and the place in its file."""
        number = min(bisect_right(self._ends, position), len(self._pieces) - 1)
        piece = self._pieces[number]
        return piece, piece.offset + position - (self._ends[number] - piece.length)

    def _piecewise(self, start: int, length: int) -> bytes:
        """Bytes from `start` to the end of the piece, at most `length`."""
        if start >= self.length:
            return b""
        piece, offset = self._find(start)
        if piece.path not in self._streams:
            self._streams[piece.path] = piece.path.open("rb")
        stream = self._streams[piece.path]
        stream.seek(offset)
        return stream.read(min(length, piece.offset + piece.length - offset))

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()
        super().close()
