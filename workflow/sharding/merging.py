"""Joining the files of shards: complete, in order, unharmed, and with little memory."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np
import pandas as pd

from workflow.artifacts import open_new_array
from workflow.console import Progress
from workflow.errors import InputError
from workflow.genome.parallel import in_order
from workflow.sharding.plan import Shard
from workflow.sharding.store import ShardStore, names

_CHUNK_BYTES = 1 << 26
_GIB = 2**30


def check_complete(store: ShardStore, shards: Sequence[Shard], items: int) -> None:
    """Raise InputError naming what is missing or damaged, unless the shards hold each of `items` once, in order."""
    edges = [0, *(shard.stop for shard in shards)]
    assert [shard.start for shard in shards] == edges[:-1]
    assert edges[-1] == items
    faults = {shard: fault for shard in shards if (fault := store.fault(shard)) is not None}
    if faults:
        first = next(iter(faults))
        raise InputError(
            f"{store.folder} is not complete: {names(list(faults))} of {len(shards)} shards "
            f"{'is' if len(faults) == 1 else 'are'} missing or damaged (the first is {faults[first]}); make them with "
            f"{store.command(list(faults))}"
        )


def require_room(store: ShardStore, shards: Sequence[Shard], out: Path) -> None:
    """Raise InputError when the joined files would not fit beside the shards."""
    needed = sum(file["bytes"] for shard in shards for file in store.manifest(shard)["files"])
    free = shutil.disk_usage(out).free
    if needed > free:
        raise InputError(
            f"joining the shards in {store.folder} takes {needed / _GIB:.1f} GiB and {free / _GIB:.1f} GiB are free in "
            f"{out.parent.absolute()}: free some and give the same command again; the shards are kept until it ends"
        )


def merge_arrays(store: ShardStore, shards: Sequence[Shard], name: str, rows: int, target: Path) -> None:
    """Join the `.npy` files of a name, in the order of the shards; those that hold none have no rows of it.

    Parameters
    ----------
    store : ShardStore
    shards : sequence of Shard
    name : str
        Path of the files within a shard.
    rows : int
        Rows of all of them together.
    target : Path
        The `.npy` file that is written.

    Raises
    ------
    InputError
        A file is not what was written, or they are not so many rows of one kind. Names the shard.
    """
    parts = list(_parts(store, shards, name))
    found = [part.header() for part in parts]
    kinds = {(shape[1:], dtype) for shape, dtype, _ in found}
    total = sum(shape[0] for shape, _, _ in found)
    if len(kinds) != 1 or total != rows:
        raise InputError(
            f"{store.folder}: the shards hold {total:,} rows of {name} of {len(kinds)} kinds, and {rows:,} are "
            f"expected; delete the folder and give {store.command(shards)}"
        )
    ((tail, dtype),) = kinds
    array = open_new_array(target, (rows, *tail), dtype)
    size = array.nbytes
    del array
    with target.open("r+b", buffering=0) as out, Progress(f"joining {name}", size, "bytes") as progress:
        out.seek(target.stat().st_size - size)
        for part, (_, _, header) in zip(in_order(_Part.unharmed, parts), found, strict=True):
            part.append_to(out, header, progress.advance)
        os.fsync(out.fileno())


def merge_tables(store: ShardStore, shards: Sequence[Shard], name: str) -> pd.DataFrame:
    """The rows of the Parquet files of a name, in the order of the shards. Raises InputError as `merge_arrays`."""
    tables = [pd.read_parquet(part.path) for part in in_order(_Part.unharmed, _parts(store, shards, name))]
    # Columns of an empty table have lost their kind.
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


@dataclass(frozen=True)
class _Part:
    """One file of one shard."""

    path: Path
    sha256: str
    remedy: str

    def header(self) -> tuple[tuple[int, ...], np.dtype, int]:
        """Shape and dtype of an array, and where its values begin."""
        try:
            array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, TokenError):
            raise self._damaged() from None
        return array.shape, array.dtype, array.offset

    def unharmed(self) -> _Part:
        """Itself, after its hash was compared."""
        with self.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self.sha256:
                raise self._damaged()
        return self

    def append_to(self, out: BinaryIO, start: int, on_bytes: Callable[[int], object]) -> None:
        """Write what stands from byte `start` on where another file stands, by the kernel alone."""
        with self.path.open("rb") as file:
            while count := os.sendfile(out.fileno(), file.fileno(), start, _CHUNK_BYTES):
                on_bytes(count)
                start += count

    def _damaged(self) -> InputError:
        return InputError(f"{self.path} is damaged: it is not what was written; {self.remedy}")


def _parts(store: ShardStore, shards: Sequence[Shard], name: str) -> Iterator[_Part]:
    for shard in shards:
        for file in store.manifest(shard)["files"]:
            if file["path"] == name:
                place = store.place(shard)
                remedy = f"delete the folder {place} and give {store.command(shards)}, which makes it again"
                yield _Part(place / name, file["sha256"], remedy)
