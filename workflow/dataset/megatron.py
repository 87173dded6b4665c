"""Token files in the format of Megatron's IndexedDataset: `PREFIX.bin` holds tokens, `PREFIX.idx` the index.

Layout of the index, little-endian: `MMIDIDX\\0\\0`, version (uint64, 1), code of the token type (uint8, 1 =
uint8), number of sequences (uint64), number of document borders (uint64); then lengths (int32) and byte
offsets (int64) of the sequences, and the sequence numbers at which documents begin and end (int64).
Format: megatron-core 0.16, `megatron/core/datasets/indexed_dataset.py`. Every sequence is a document here,
as in the files of NVIDIA's `preprocess_evo2`.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from workflow.errors import InputError

#: Closes every document; a token id is the ASCII code of its base.
END_OF_DOCUMENT = 0
_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_UINT8 = 1
_HEADER = struct.Struct("<9sQBQQ")
_LONGEST_DOCUMENT = np.iinfo(np.int32).max


def paths_of(prefix: Path) -> tuple[Path, Path]:
    """The `.bin` and the `.idx` file of a prefix (which may hold dots)."""
    return prefix.with_name(prefix.name + ".bin"), prefix.with_name(prefix.name + ".idx")


def check_lengths(prefix: Path, lengths: np.ndarray) -> None:
    """Refuse documents of more tokens than the format's 32-bit lengths allow.

    Parameters
    ----------
    prefix : Path
        For the message.
    lengths : (n,) int64
        Tokens of each document.

    Raises
    ------
    InputError
        One is too long.
    """
    longest = int(lengths.argmax())
    if lengths[longest] > _LONGEST_DOCUMENT:
        raise InputError(
            f"{paths_of(prefix)[0]}: document {longest} has {lengths[longest]} tokens, the format holds at most "
            f"{_LONGEST_DOCUMENT}; use split.method=block"
        )


def write_index(prefix: Path, lengths: np.ndarray) -> None:
    """Write the `.idx` file of documents that follow one another in the `.bin` file.

    Parameters
    ----------
    prefix : Path
    lengths : (n,) int
        Tokens of each document, its end-of-document token included.
    """
    ends = np.cumsum(lengths, dtype="<i8")
    with paths_of(prefix)[1].open("wb") as index:
        index.write(_HEADER.pack(_MAGIC, _VERSION, _UINT8, len(lengths), len(lengths) + 1))
        for array in (lengths.astype("<i4"), ends - lengths, np.arange(len(lengths) + 1, dtype="<i8")):
            index.write(array.data)


class TokenFile:
    """Documents of a token file, memory-mapped.

    Attributes
    ----------
    prefix : Path
        Files are `prefix.bin` and `prefix.idx`.
    lengths : (n,) int32
        Tokens of each document, its end-of-document token included.

    Raises
    ------
    InputError
        A file is missing, is no token file of bytes, or the two do not belong together.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        tokens_path, index_path = paths_of(prefix)
        for path in (tokens_path, index_path):
            if not path.is_file():
                raise InputError(f"{path} does not exist: run stage=preprocess first")
        self.lengths, self._offsets = _read_index(index_path)
        size = tokens_path.stat().st_size
        expected = int(self.lengths.sum(dtype=np.int64))
        if size != expected:
            raise InputError(
                f"{tokens_path} has {size} bytes, {index_path.name} says {expected}: cut short or of another run; "
                "run stage=preprocess again"
            )
        self._tokens = np.memmap(tokens_path, dtype=np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, document: int) -> np.ndarray:
        """Tokens of a document, (length,) uint8, as a view; the last one is the end-of-document token."""
        start = self._offsets[document]
        tokens: np.ndarray = self._tokens[start : start + self.lengths[document]]
        return tokens


def _read_index(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and offsets of the documents."""
    data = path.read_bytes()
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise InputError(f"{path} is not the index of a Megatron token file")
    _, version, code, sequences, borders = _HEADER.unpack_from(data)
    if version != _VERSION or code != _UINT8:
        raise InputError(f"{path} has version {version} and token type {code}; only version 1 with uint8 is read")
    if borders != sequences + 1 or len(data) != _HEADER.size + 12 * sequences + 8 * borders:
        raise InputError(f"{path} is cut short or does not hold one sequence a document; run stage=preprocess again")
    if sequences == 0:
        raise InputError(f"{path} holds no documents")
    lengths = np.frombuffer(data, "<i4", sequences, _HEADER.size)
    offsets = np.frombuffer(data, "<i8", sequences, _HEADER.size + 4 * sequences)
    if lengths.min() < 1 or not np.array_equal(offsets, np.cumsum(lengths, dtype=np.int64) - lengths):
        raise InputError(f"{path} is damaged: its offsets do not follow from its lengths; run stage=preprocess again")
    return lengths, offsets
