"""Which codons a sample of a coding sequence holds in frame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workflow.artifacts import read_json
from workflow.config import Config
from workflow.config.model import GENETIC_CODES as NCBI_CODES
from workflow.dataset.lineage import BAR
from workflow.dataset.reading import token_files
from workflow.dataset.samples import Sample
from workflow.errors import InputError
from workflow.genome.alphabet import BASE_CODE

#: By sequence, NCBI's number of the genetic code of most of its coding parts that name one; in stage `preprocess`.
GENETIC_CODES = "genetic_codes.json"
CODON_BASES = 3


def genetic_codes(annotation: Path) -> dict[str, int]:
    """NCBI's number of the genetic code of each sequence, as most of its coding parts name it; of those that do.

    Parameters
    ----------
    annotation : Path
        `annotation.parquet` of stage `prepare`.
    """
    named = (pc.field("type") == "CDS") & pc.field("transl_table").is_valid()
    table = pq.read_table(annotation, columns=["seqid", "transl_table"], filters=named)
    counts = table.group_by(["seqid", "transl_table"]).aggregate([([], "count_all")])
    ordered = counts.sort_by([("count_all", "descending"), ("transl_table", "ascending")]).to_pylist()
    most: dict[str, int] = {}
    for row in ordered:
        most.setdefault(row["seqid"], row["transl_table"])
    return dict(sorted(most.items()))


def coding_sets(config: Config) -> list[str]:
    """The window sets that a codon objective reads; see `TrainConfig.coding_sets`."""
    windows = config.windows.sets
    kinds = {name: windows[name].kind for name in config.mixture.shares if name in windows}
    return config.train.coding_sets(config.backend.name, kinds)


@dataclass(frozen=True)
class Coding:
    """The coding sequences among the documents of some token files.

    Attributes
    ----------
    codes : list
        By token file, NCBI's number of the genetic code of each document, (documents,) int64; None where the documents
        are no coding sequences.
    validation : list of ndarray
        What `codons` gives of each validation sample.
    """

    codes: Sequence[np.ndarray | None]
    validation: Sequence[np.ndarray] = field(default_factory=list)

    def codons(self, sample: Sample, bases: np.ndarray) -> np.ndarray:
        """Codons of a sample, (n, 5) int64: positions of the three bases, number of the codon, genetic code.

        A sample that is read from the other strand has none.

        Parameters
        ----------
        sample : Sample
        bases : ndarray
            Its bases with the tags among them, uint8 ASCII.
        """
        codes = self.codes[sample.file]
        if codes is None or sample.reverse:
            return np.empty((0, 5), np.int64)
        places = codons_in_frame(bases, sample.start)
        number = BASE_CODE[bases[places]].astype(np.int64) @ np.array([16, 4, 1])
        return np.column_stack([places, number, np.full(len(places), codes[sample.document])])

    def tables(self) -> dict[str, int]:
        """Coding documents by genetic code."""
        numbers = np.concatenate([codes for codes in self.codes if codes is not None])
        return {str(code): int(count) for code, count in zip(*np.unique(numbers, return_counts=True), strict=True)}


def codons_in_frame(bases: np.ndarray, start: int) -> np.ndarray:
    """Positions of the bases of each whole codon, (n, 3) int64; codons with letters other than A, C, G, T are left out.

    Parameters
    ----------
    bases : ndarray
        (length,) uint8 ASCII in either case. Lineage tags may stand anywhere among them; they are not counted, and a
        codon may have one inside of it.
    start : int
        Bases of the coding sequence before the first one; the sequence begins with a whole codon.
    """
    is_bar = bases == BAR[0]
    outside = np.flatnonzero(~(is_bar | (np.cumsum(is_bar) % 2 == 1)))
    first = -start % CODON_BASES
    whole = max(len(outside) - first, 0) // CODON_BASES
    places = outside[first : first + CODON_BASES * whole].reshape(-1, CODON_BASES)
    known: np.ndarray = places[(BASE_CODE[bases[places]] < 4).all(1)]
    return known


def open_coding(folder: Path, split: str, sets: Collection[str], default: int) -> Coding:
    """The coding sequences of a split, in the order in which `open_split` gives its files.

    Parameters
    ----------
    folder : Path
        Published folder of stage `preprocess`.
    split : str
    sets : collection of str
        The window sets of coding sequences.
    default : int
        Genetic code of sequences of which the annotation gives none.

    Raises
    ------
    InputError
        The folder is of a version before there were codons, or incomplete; or a sequence has a genetic code that NCBI
        does not know.
    """
    path = folder / GENETIC_CODES
    if not path.exists():
        raise InputError(f"{path} does not exist: run stage=preprocess again with force=true")
    of_sequence: dict[str, int] = read_json(path)
    for name, code in of_sequence.items():
        if code not in NCBI_CODES:
            raise InputError(
                f"the annotation gives {name} transl_table={code}, which is none of NCBI's: mend it in "
                "genome.annotation and run stage=prepare again"
            )
    codes: list[np.ndarray | None] = []
    for prefix, _ in token_files(folder, split):
        rows = pq.read_table(
            folder / "documents.parquet", columns=["set", "seqid"], filters=[("file", "==", prefix.name)]
        )
        is_coding = len(rows) > 0 and rows["set"][0].as_py() in sets
        codes.append(_codes(rows["seqid"], of_sequence, default) if is_coding else None)
    return Coding(codes)


def _codes(seqids: pa.ChunkedArray, of_sequence: dict[str, int], default: int) -> np.ndarray:
    encoded = seqids.combine_chunks().dictionary_encode()
    values = np.array([of_sequence.get(name, default) for name in encoded.dictionary.to_pylist()], np.int64)
    codes: np.ndarray = values[encoded.indices.to_numpy()]
    return codes
