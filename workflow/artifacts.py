"""The run folder: atomic publishing, hashes, manifests and the stores of per-base predictions.

Everything that a stage hands to another goes through here. A stage builds in a temporary sibling of its
folder and publishes it with one rename, so that what can be read is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from workflow.errors import InputError

__all__ = [
    "BASES",
    "BASE_CLASSES",
    "MANIFEST",
    "InputError",
    "PerBaseScores",
    "PerBaseWriter",
    "describe_file",
    "describe_outputs",
    "fingerprint",
    "open_new_array",
    "per_base_index",
    "publish",
    "read_json",
    "read_manifest",
    "read_table",
    "recover",
    "run_lock",
    "waiting_lock",
    "write_json",
    "write_text",
]

MANIFEST = "manifest.json"
#: Order of the columns of every (…, 4) array of this project.
BASES = "ACGT"
#: Names of the codes of the class track (`prepare/classes.npy`).
BASE_CLASSES = (
    "intergenic",
    "repeat",
    "promoter",
    "intron",
    "ncrna",
    "utr3",
    "utr5",
    "acceptor",
    "donor",
    "cds_0",
    "cds_1",
    "cds_2",
    "gap",
)
_TEMPORARY_MARK = ".tmp-"
_OLD_MARK = "-old"
_HASH_CHUNK_BYTES = 1 << 22
_REVERSE = "logprobs_reverse.npy"
_SECONDS_BETWEEN_TRIES = 0.5


# ---------------------------------------------------------------- publishing


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Build a folder aside and put it in place of `target` only when the block ends well.

    Yields an empty temporary folder beside `target`. When the block raises, the folder is removed and
    `target` stays as it was. Leftovers of killed processes are removed first; the caller holds the run's
    lock, so that no other process can own them.

    Parameters
    ----------
    target : Path
        Folder to create or replace.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    recover(target)
    for leftover in target.parent.glob(f".{target.name}{_TEMPORARY_MARK}*"):
        shutil.rmtree(leftover)
    building = target.parent / f".{target.name}{_TEMPORARY_MARK}{os.getpid()}"
    building.mkdir()
    try:
        yield building
        if target.exists():
            # A folder that holds files cannot be renamed over; `recover` mends a kill between the renames.
            superseded = target.parent / f".{target.name}{_TEMPORARY_MARK}{os.getpid()}{_OLD_MARK}"
            os.replace(target, superseded)
            try:
                os.replace(building, target)
            except BaseException:
                os.replace(superseded, target)
                raise
            shutil.rmtree(superseded)
        else:
            os.replace(building, target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def recover(target: Path) -> None:
    """Put back a folder whose replacement was killed between the two renames of `publish`."""
    if not target.exists():
        for superseded in target.parent.glob(f".{target.name}{_TEMPORARY_MARK}*{_OLD_MARK}"):
            os.replace(superseded, target)


@contextmanager
def run_lock(folder: Path, patience_seconds: float = 0) -> Iterator[None]:
    """Keep other processes out of a run folder, which is made.

    The kernel lets go when this process and the programs that it started have ended, however: a tool that outlives
    a killed run still writes there.

    Parameters
    ----------
    folder : Path
    patience_seconds : float
        How long another process is waited for.

    Raises
    ------
    InputError
        Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience_seconds
    with (folder / ".lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise InputError(f"another process works on {folder}: wait for it, or give run_name=…") from None
                time.sleep(_SECONDS_BETWEEN_TRIES)
        os.set_inheritable(file.fileno(), True)
        yield


@contextmanager
def waiting_lock(target: Path) -> Iterator[None]:
    """Let one process at a time make `target`; the others wait."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) so that a reader sees the old content or the new, never a part.

    What a killed writer of the same file left is removed.
    """
    for leftover in path.parent.glob(f".{path.name}{_TEMPORARY_MARK}*"):
        leftover.unlink()
    temporary = path.with_name(f".{path.name}{_TEMPORARY_MARK}{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, keys in the order given; NaN and infinities become null.

    Raises TypeError on what JSON cannot hold.
    """
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False, default=_to_plain)
    write_text(path, text + "\n")


def _finite(value: Any) -> Any:
    """A copy in which numbers that JSON does not know are None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def read_json(path: Path) -> Any:
    """Read JSON. Raises InputError naming the file when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not valid JSON ({error.msg})") from None


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table, or some of its columns. Raises InputError when it does not exist."""
    if not path.exists():
        raise InputError(f"{path} does not exist")
    return pd.read_parquet(path, columns=columns)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a published stage.

    Raises
    ------
    InputError
        The folder holds no manifest: the stage has not run, or did not finish.
    """
    if not (folder / MANIFEST).exists():
        raise InputError(f"{folder} holds no finished stage (no {MANIFEST}): run stage={folder.name} first")
    manifest = read_json(folder / MANIFEST)
    assert isinstance(manifest, dict)
    return manifest


# ---------------------------------------------------------------- identity


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`: equal values give equal fingerprints on any machine."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_to_plain)
    return hashlib.sha256(canonical.encode()).hexdigest()


def describe_file(path: Path, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Path, size in bytes, modification time in ns and SHA-256 of a file.

    Parameters
    ----------
    path : Path
        The file.
    known : dict, optional
        An earlier description of the same path. Its hash is taken over when size and modification time
        are unchanged: hashing 10 GB takes half a minute, and every run asks.

    Raises
    ------
    InputError
        The path does not exist.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    status = path.stat()
    description = {"path": str(path), "bytes": status.st_size, "modified_ns": status.st_mtime_ns}
    if known and all(known.get(key) == value for key, value in description.items()):
        return dict(known)
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return description | {"sha256": digest.hexdigest()}


def describe_outputs(folder: Path) -> list[dict[str, Any]]:
    """Path within the folder and size in bytes of each file, for the manifest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [{"path": str(path.relative_to(folder)), "bytes": path.stat().st_size} for path in files]


# ---------------------------------------------------------------- per-base predictions


def open_new_array(path: Path, shape: tuple[int, ...], dtype: Any) -> np.memmap:
    """Create a `.npy` file of the given shape and dtype, memory-mapped for writing.

    Its disk space is taken at once: a full disk is an OSError here, not a killed process later.
    """
    array: np.memmap = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, max(path.stat().st_size, 1))
    return array


@dataclass
class PerBaseWriter:
    """Writes the per-base predictions of one model over a table of windows.

    Files in `folder`:

    - `logprobs.npy`: (positions, 4) float16, natural-log probability of A, C, G, T at each row's base,
      normalised over the model's whole vocabulary; NaN where undefined.
    - `bases.npy`: (positions,) uint8, the observed base as ASCII, case kept, on the window's strand.
    - `logprobs_reverse.npy`, with `reverse`: the same rows and columns, but each base predicted from those after it,
      by reading the reverse complement.
    - `index.parquet`: one row a window: sequence_id, seqid, start, end, strand, offset, length. Coordinates
      are 0-based half-open on the forward strand; rows `offset … offset + length` of the arrays are the
      window, in the direction of its strand.

    Parameters
    ----------
    folder : Path
        An existing folder.
    windows : DataFrame
        Columns sequence_id, seqid, start, end, strand, length (bases that are scored: fewer than end − start
        where exons are joined).
    reverse : bool
        Whether the windows are read in both directions.
    rows, reverse_rows : range, optional
        The windows that are written here in either direction, where the folder holds a part of them; they are still
        called by their row of `windows`.
    """

    folder: Path
    windows: pd.DataFrame
    reverse: bool = False
    rows: range | None = None
    reverse_rows: range | None = None

    def __post_init__(self) -> None:
        everything = range(len(self.windows))
        rows = everything if self.rows is None else self.rows
        turned = everything if self.reverse_rows is None else self.reverse_rows
        self._offsets = np.concatenate([[0], np.cumsum(self.windows["length"].to_numpy(np.int64))])
        self.index = per_base_index(self.windows.iloc[rows.start : rows.stop])
        self._first, last = self._offsets[[rows.start, rows.stop]].tolist()
        self._first_turned, last_turned = self._offsets[[turned.start, turned.stop]].tolist()
        positions, positions_turned = last - self._first, last_turned - self._first_turned
        self._logprobs = open_new_array(self.folder / "logprobs.npy", (positions, 4), np.float16)
        self._bases = open_new_array(self.folder / "bases.npy", (positions,), np.uint8)
        self._reverse = (
            open_new_array(self.folder / _REVERSE, (positions_turned, 4), np.float16) if self.reverse else None
        )

    def write(self, row: int, logprobs: np.ndarray, bases: np.ndarray) -> None:
        """Store window `row`: log-probabilities (length, 4) and observed bases (length,) uint8."""
        start, end = self._offsets[row : row + 2] - self._first
        if logprobs.shape != (end - start, 4) or bases.shape != (end - start,):
            raise ValueError(f"window {row} has {end - start} bases, got {logprobs.shape} and {bases.shape}")
        self._logprobs[start:end] = logprobs
        self._bases[start:end] = bases

    def write_reverse(self, row: int, logprobs: np.ndarray) -> None:
        """Store what the model gave when it read the reverse complement of window `row`, in that direction."""
        assert self._reverse is not None
        start, end = self._offsets[row : row + 2] - self._first_turned
        # The complement of A, C, G, T is T, G, C, A: the columns backwards.
        self._reverse[start:end] = logprobs[::-1, ::-1]

    def close(self) -> None:
        """Flush the arrays and write the index."""
        self._logprobs.flush()
        self._bases.flush()
        if self._reverse is not None:
            self._reverse.flush()
        self.index.to_parquet(self.folder / "index.parquet", index=False)


def per_base_index(windows: pd.DataFrame) -> pd.DataFrame:
    """The index of `PerBaseWriter` for a table of windows: where the rows of each lie."""
    index = windows[["sequence_id", "seqid", "start", "end", "strand", "length"]].reset_index(drop=True)
    ends = np.cumsum(index["length"].to_numpy(np.int64))
    index.insert(5, "offset", ends - index["length"].to_numpy(np.int64))
    return index


class PerBaseScores:
    """Reads what `PerBaseWriter` wrote, memory-mapped.

    Raises
    ------
    InputError
        A file is missing, or the arrays and the index disagree in length.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = read_table(folder / "index.parquet")
        self._offsets = np.concatenate([[0], np.cumsum(self.index["length"].to_numpy(np.int64))])
        positions = int(self._offsets[-1])
        for name, array in (("logprobs.npy", self.logprobs), ("bases.npy", self.bases), (_REVERSE, self.reverse)):
            if array is not None and len(array) != positions:
                raise InputError(f"{folder / name} has {len(array)} rows, index.parquet says {positions}")

    @cached_property
    def logprobs(self) -> np.ndarray:
        """(positions, 4) float16, natural log."""
        return self._open("logprobs.npy")

    @cached_property
    def reverse(self) -> np.ndarray | None:
        """(positions, 4) float16, natural log, each base predicted from those after it; None where not scored."""
        return self._open(_REVERSE) if (self.folder / _REVERSE).exists() else None

    @cached_property
    def bases(self) -> np.ndarray:
        """(positions,) uint8 ASCII, case kept."""
        return self._open("bases.npy")

    def _open(self, name: str) -> np.ndarray:
        path = self.folder / name
        if not path.exists():
            raise InputError(f"{path} does not exist")
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{path} is damaged: {error}") from None
        return array

    def __len__(self) -> int:
        return len(self.index)

    def window(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities (length, 4) and observed bases (length,) of window `row`, as views."""
        start, end = self._offsets[row : row + 2]
        return self.logprobs[start:end], self.bases[start:end]
