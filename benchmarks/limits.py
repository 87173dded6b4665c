"""What the machine can do at most: writing, decompressing, hashing, each alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

_BLOCK = 1 << 23
_TRIALS = 3


def disk(folder: Path, size: int) -> float:
    """Bytes a second of plain writing until they are on the disk."""
    block = os.urandom(_BLOCK)
    path = folder / "written"
    started = time.perf_counter()
    with path.open("wb", buffering=0) as stream:
        for _ in range(size // _BLOCK):
            stream.write(block)
        os.fdatasync(stream.fileno())
    rate = size // _BLOCK * _BLOCK / (time.perf_counter() - started)
    path.unlink()
    return rate


def decompression(path: Path) -> float:
    """Bases a second, nearly, of a gzip FASTA file that is read and thrown away."""
    from workflow.genome.files import read_blocks

    started = time.perf_counter()
    size = sum(len(block) for block in read_blocks(path))
    return size / (time.perf_counter() - started)


def hashing(fasta: Path, scaled: int, bases: int) -> dict[str, float]:
    """Bases a second on one thread of our kernel and of sourmash, over the same sequence."""
    import numpy as np
    import pyfaidx
    import sourmash

    from workflow.splits.hashing import K, sampled_kmers

    text = "".join(str(record) for record in pyfaidx.Fasta(str(fasta)))[:bases]
    letters = np.frombuffer(text.encode(), np.uint8)
    hashes, _ = sampled_kmers(letters, scaled)  # compiles
    ours = min(_seconds(lambda: sampled_kmers(letters, scaled)) for _ in range(_TRIALS))
    upper = text.upper()
    sketches = [sourmash.MinHash(n=0, ksize=K, scaled=scaled) for _ in range(_TRIALS)]
    theirs = min(_seconds(partial(sketch.add_sequence, upper, force=True)) for sketch in sketches)
    if set(sketches[0].hashes) != set(hashes.tolist()):
        raise AssertionError("our hashes are not those of sourmash")
    return {"ours": len(text) / ours, "sourmash": len(text) / theirs}


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
