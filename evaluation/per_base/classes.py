"""The class of each base of a window, from the class track of the stage `prepare`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workflow.artifacts import BASE_CLASSES, InputError

#: Code of bases of which no class is known: those of windows that join exons.
NO_CLASS = len(BASE_CLASSES)
_CDS = BASE_CLASSES.index("cds_0")


class ClassTrack:
    """Reads `prepare/classes.npy` window by window: memory stays flat, and several threads may read at once.

    Parameters
    ----------
    prepared : Path
        Folder of the stage `prepare`.
    in_frame : bool
        Whether the windows are coding sequences in frame, joined or not: their bases are of the classes cds_0, cds_1
        and cds_2 in turn, whatever the track says of the places that they come from.

    Raises
    ------
    InputError
        A file is missing, or the track does not hold one byte a base.
    """

    def __init__(self, prepared: Path, in_frame: bool = False) -> None:
        self._in_frame = in_frame
        self._path = prepared / "classes.npy"
        # The track is in the order of the FASTA file; tables are in natural order of the names.
        index = prepared / "genome.fa.fai"
        if not index.exists():
            raise InputError(f"{index} does not exist: run stage=prepare again with force=true")
        rows = [line.split("\t")[:2] for line in index.read_text(encoding="utf-8").splitlines()]
        seqids, lengths = [row[0] for row in rows], np.array([int(row[1]) for row in rows], np.int64)
        if not self._path.exists():
            raise InputError(f"{self._path} does not exist: run stage=prepare again with force=true")
        try:
            track = np.load(self._path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{self._path} is damaged: {error}") from None
        if track.shape != (lengths.sum(),) or track.dtype != np.uint8:
            raise InputError(
                f"{self._path} does not hold one byte for each of {lengths.sum()} bases: run stage=prepare again "
                "with force=true"
            )
        first = track.offset + np.cumsum(lengths) - lengths
        self._first = dict(zip(seqids, first.tolist(), strict=True))
        self._length = dict(zip(seqids, lengths.tolist(), strict=True))

    def of(self, windows: pd.DataFrame) -> np.ndarray:
        """Classes of the bases of windows, in each window's direction.

        Parameters
        ----------
        windows : DataFrame
            Columns seqid, start, end (0-based half-open, forward strand), strand, length.

        Returns
        -------
        ndarray, (Σ length,) uint8
            Codes of `BASE_CLASSES`; `NO_CLASS` in windows whose length is not end − start, such as joined exons,
            unless all are in frame.

        Raises
        ------
        InputError
            A window lies outside the sequences.
        """
        if self._in_frame:
            return codon_positions(windows["length"].to_numpy(np.int64))
        classes = np.full(int(windows["length"].sum()), NO_CLASS, np.uint8)
        done = 0
        columns = [windows[name].to_numpy() for name in ("seqid", "start", "end", "strand", "length")]
        with self._path.open("rb", buffering=0) as file:
            for seqid, start, end, strand, length in zip(*columns, strict=True):
                part = classes[done : done + length]
                done += length
                if length != end - start:
                    continue
                if not 0 <= start <= end <= self._length.get(str(seqid), -1):
                    raise InputError(
                        f"{seqid}:{start}-{end} is no part of a sequence in {self._path.with_name('genome.fa')}: "
                        "the predictions belong to another genome; run stage=predict again with force=true"
                    )
                file.seek(self._first[str(seqid)] + int(start))
                file.readinto(part.data)
                if strand == "-":
                    part[:] = part[::-1].copy()
        return classes


def codon_positions(lengths: np.ndarray) -> np.ndarray:
    """(Σ lengths,) uint8 classes of coding sequences that begin with a codon: cds_0, cds_1, cds_2, cds_0, …"""
    begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
    classes: np.ndarray = (_CDS + (np.arange(len(begins)) - begins) % 3).astype(np.uint8)
    return classes
