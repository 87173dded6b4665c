"""Random and streaming access to the sequences of an imported genome."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pyfaidx

from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement

#: Bases read at a time where a whole genome is gone through.
CHUNK_BASES = 1 << 22


class Genome:
    """Sequences of a FASTA file with an index, as written by `import_fasta`. Use as a context manager.

    Bases are read straight from the file, where each sequence is one line; several threads may fetch at once.

    Attributes
    ----------
    path : Path
        The FASTA file.
    lengths : dict
        Bases of each sequence by seqid, in the order of the file.

    Raises
    ------
    InputError
        The file or its index does not exist.
    """

    def __init__(self, path: Path) -> None:
        for needed in (path, path.with_name(path.name + ".fai")):
            if not needed.exists():
                raise InputError(f"{needed} does not exist: run stage=prepare first")
        self.path = path
        with warnings.catch_warnings():
            # In a copied run folder the index may look older than its FASTA: it is still right.
            warnings.filterwarnings("ignore", "Index file .* is older", RuntimeWarning)
            with pyfaidx.Faidx(str(path), rebuild=False, build_index=False) as faidx:
                index = faidx.index
        self.lengths: dict[str, int] = {seqid: record.rlen for seqid, record in index.items()}
        self._offsets: dict[str, int] = {seqid: record.offset for seqid, record in index.items()}
        self._file = os.open(path, os.O_RDONLY)

    def __enter__(self) -> Genome:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._file)

    def fetch(self, seqid: str, start: int, end: int, strand: str = "+") -> np.ndarray:
        """Bases [start, end) of a sequence as ASCII bytes, (end - start,) uint8, case kept.

        Parameters
        ----------
        seqid : str
        start, end : int
            0-based half-open, on the forward strand.
        strand : str
            `-` gives the reverse complement of these bases.

        Raises
        ------
        InputError
            The sequence does not exist or the coordinates are outside of it.
        """
        length = self.lengths.get(seqid)
        if length is None:
            raise InputError(f"{self.path} has no sequence {seqid}")
        if not 0 <= start <= end <= length:
            raise InputError(f"{seqid}:{start}-{end} lies outside of the sequence's {length} bases")
        bases = np.frombuffer(os.pread(self._file, end - start, self._offsets[seqid] + start), np.uint8)
        return reverse_complement(bases) if strand == "-" else bases

    def whole(self, seqid: str) -> np.ndarray:
        """All bases of a sequence."""
        return self.fetch(seqid, 0, self.lengths.get(seqid, 0))
