"""Per-base scores by `predict_evo2`: windows in, in as many parts as the disk holds; probabilities out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflow.backends.base import SequenceSet
from workflow.backends.nvidia.predictions import Predictions

if TYPE_CHECKING:
    from workflow.striped_hyena.scoring import SequenceScore

#: The tools write 512 float32 logits for each token.
RAW_BYTES_OF_BASE = 512 * 4
WINDOWS, PREDICTIONS = "windows.fa", "predictions"


def divide(lengths: np.ndarray, raw_gigabytes: float, bytes_of_base: int = RAW_BYTES_OF_BASE) -> list[slice]:
    """Parts whose raw predictions take at most so much disk; a sequence that takes more is a part of its own.

    Sequences are padded to the longest beside them, which is why those of a part count as long as its longest.

    Parameters
    ----------
    lengths : ndarray, (n,) int64
        Bases of each sequence; the begin token comes on top.
    raw_gigabytes : float
    bytes_of_base : int
        That the tools write of each token; logits by default.
    """
    most_tokens = raw_gigabytes * 1e9 / bytes_of_base
    parts, start, longest = [], 0, 0
    for row, length in enumerate(lengths.tolist()):
        longest = max(longest, length + 1)
        if row > start and longest * (row + 1 - start) > most_tokens:
            parts.append(slice(start, row))
            start, longest = row, length + 1
    return [*parts, slice(start, len(lengths))]


def score_in_parts(
    sequences: SequenceSet,
    folder: Path,
    predict: Callable[[Path, Path, int], None],
    *,
    raw_gigabytes: float,
    keep_raw: bool,
) -> Iterator[SequenceScore]:
    """Scores in order.

    Parameters
    ----------
    sequences : SequenceSet
    folder : Path
        Where the raw files go, those of each part into a folder of their own.
    predict : callable
        Runs the tool on a FASTA, into a folder, for sequences of at most so many bases.
    raw_gigabytes, keep_raw
        As in `BackendConfig`.

    Raises
    ------
    InputError
        The tool did not leave exactly one whole score for each sequence.
    """
    for number, part in enumerate(divide(sequences.lengths, raw_gigabytes), start=1):
        wanted = sequences.part(part.start, part.stop)
        place = folder / f"part_{number:04d}"
        place.mkdir(parents=True)
        write_fasta(wanted, place / WINDOWS)
        predict(place / WINDOWS, place / PREDICTIONS, int(wanted.lengths.max()))
        found = Predictions(place / PREDICTIONS, wanted.names, wanted.lengths, begin_token=True)
        yield from found.scores(wanted.fetch)
        if not keep_raw:
            shutil.rmtree(place)
    if not keep_raw:
        folder.rmdir()


def write_fasta(sequences: SequenceSet, path: Path) -> None:
    """One line a sequence: the tools' reader corrupts records whose lines are of uneven length."""
    with path.open("wb") as file:
        for name, bases in zip(sequences.names, sequences, strict=True):
            file.write(b">" + name.encode() + b"\n" + bases.tobytes() + b"\n")
