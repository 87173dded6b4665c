"""Input files: finding and describing them, and reading them as a stream of blocks, plain or gzip."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import workflow
from workflow.artifacts import describe_file
from workflow.errors import InputError

BLOCK_BYTES = 1 << 23
_GZIP_MAGIC = b"\x1f\x8b"
PROJECT_ROOT = Path(workflow.__file__).resolve().parent.parent
#: What this process has described, by path.
_described: dict[str, dict[str, Any]] = {}


def find(path: str | Path) -> Path | None:
    """A file as it is given, else relative to the project's root; absolute. None where there is no such file."""
    candidates = (Path(path), PROJECT_ROOT / path)
    return next((candidate.absolute() for candidate in candidates if candidate.is_file()), None)


def locate(path: str, source: str) -> Path:
    """The one file of `locate_all`."""
    return locate_all([path], source)[0]


def locate_all(paths: Sequence[str], source: str) -> list[Path]:
    """Find input files: as they are given, else relative to the project's root.

    Parameters
    ----------
    paths : sequence of str
        Absolute, or relative to the working directory or to the folder that holds the `workflow` package
        (so that the shipped configurations work from anywhere).
    source : str
        Where the files come from; part of the message when one is missing.

    Raises
    ------
    InputError
        A file is in neither place, or is a folder. All that are missing are named, each with the place
        where it is looked for first.
    """
    found = {path: find(path) for path in paths}
    missing = [Path(path).absolute() for path, file in found.items() if file is None]
    hint = f" ({source})" if source else ""
    if folder := next((path for path in missing if path.is_dir()), None):
        raise InputError(f"{folder} is a folder, not a file{hint}")
    if missing:
        verb = "does not exist" if len(missing) == 1 else "do not exist"
        raise InputError(f"{' and '.join(map(str, missing))} {verb}{hint}")
    return [file for path in paths if (file := found[path])]


def describe(path: Path, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """`describe_file`, which hashes a file only once a process as long as it does not change."""
    _described[str(path)] = describe_file(path, _described.get(str(path), known))
    return dict(_described[str(path)])


def is_gzip(path: Path) -> bool:
    """Whether the first bytes of a file are those of gzip."""
    with path.open("rb") as stream:
        return stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


def read_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Stream a file as blocks of bytes, decompressed when its first bytes say gzip, whatever its name.

    Inflating takes nearly all the time of a gzip file (DNA: 240 MB/s of text); a loop of one's own over zlib
    is not faster than the gzip module, with bgzip's short members no more than with one long member.

    Raises
    ------
    InputError
        The file cannot be read, or its gzip data are cut short, damaged or followed by something else.
    """
    lines = 0
    try:
        with _open(path) as stream:
            while block := stream.read(block_bytes):
                yield block
                lines += block.count(b"\n")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}, after line {lines}: the gzip data are cut short or damaged ({error}); copy the file again"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")
