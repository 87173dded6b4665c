"""Finding input files and reading them as a stream of blocks, plain or gzip."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import workflow
from workflow.errors import InputError

BLOCK_BYTES = 1 << 23
_GZIP_MAGIC = b"\x1f\x8b"
_PROJECT_ROOT = Path(workflow.__file__).resolve().parent.parent


def locate(path: str, source: str) -> Path:
    """Find an input file: as it is given, else relative to the project's root.

    Parameters
    ----------
    path : str
        Absolute, or relative to the working directory or to the folder that holds the `workflow` package
        (so that the shipped configurations work from anywhere).
    source : str
        Where the file comes from; part of the message when it is missing.

    Raises
    ------
    InputError
        There is no such file in either place, or it is a folder.
    """
    for candidate in (Path(path), _PROJECT_ROOT / path):
        if candidate.is_file():
            return candidate.absolute()
    what = "is a folder, not a file" if Path(path).is_dir() else "does not exist"
    hint = f" ({source})" if source else ""
    raise InputError(f"{path} {what}{hint}")


def read_blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Stream a file as blocks of bytes, decompressed when its first bytes say gzip, whatever its name.

    Raises
    ------
    InputError
        The file cannot be read, or its gzip data are cut short or damaged.
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
    with path.open("rb") as stream:
        magic = stream.read(2)
    return cast(BinaryIO, gzip.open(path, "rb")) if magic == _GZIP_MAGIC else path.open("rb")
