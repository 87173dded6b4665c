"""Documents as a token file, as a FASTA file, and as rows of the table that leads back to the genome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workflow.dataset.documents import Documents
from workflow.dataset.megatron import END_OF_DOCUMENT, check_lengths, paths_of, write_index
from workflow.dataset.splice import Pieces, Texts, splice

#: `documents.parquet`: one row a document of each token file; `tag` is the number of tokens of its lineage tag.
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("set", pa.string()),
        ("split", pa.string()),
        ("document", pa.int64()),
        ("sequence_id", pa.string()),
        ("seqid", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("strand", pa.string()),
        ("group", pa.string()),
        ("tag", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Tags:
    """Lineage tags of some documents.

    Attributes
    ----------
    texts : list of bytes
        Different tags; number 0 is empty: no tag.
    number : (n,) int64
        Tag of each document.
    spacing : int
        Tokens from the begin of one tag to that of the next.
    """

    texts: list[bytes]
    number: np.ndarray
    spacing: int

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each document's tag, (n,) int64."""
        lengths: np.ndarray = np.array([len(text) for text in self.texts], np.int64)[self.number]
        return lengths


class PartWriter:
    """Writes a token file, the FASTA file of the same documents, and their rows; documents come some at a time.

    Parameters
    ----------
    prefix, fasta : Path
        Token files are `prefix.bin` and `prefix.idx`.
    set_name : str
        Of the documents.

    Attributes
    ----------
    documents, tokens : int
        Written so far; `tokens` with tags and ends of documents.
    weighted_bases : float
        Sum of bases times weight.
    """

    def __init__(self, prefix: Path, fasta: Path, set_name: str) -> None:
        self._prefix, self._fasta, self._set_name = prefix, fasta, set_name
        self._lengths: list[np.ndarray] = []
        self._letters = 0
        self.documents = self.tokens = 0
        self.weighted_bases = 0.0

    def add(self, documents: Documents, tags: Tags, advance: Callable[[int], None]) -> pa.Table:
        """Append documents, and give their rows of `SCHEMA`.

        Parameters
        ----------
        documents : Documents
        tags : Tags
        advance : callable
            Told of the bases that are copied, twice each.

        Raises
        ------
        InputError
            A document is longer than the format's 32-bit lengths allow.
        """
        self._add_tokens(documents, tags, advance)
        self._add_records(documents, advance)
        columns = {name: documents.table[name] for name in SCHEMA.names if name in documents.table.column_names} | {
            "file": pa.repeat(self._prefix.name, len(documents)),
            "set": pa.repeat(self._set_name, len(documents)),
            "document": np.arange(self.documents, self.documents + len(documents)),
            "tag": tags.lengths,
        }
        self.documents += len(documents)
        self.weighted_bases += float(documents.table["weight"].to_numpy() @ documents.bases)
        return pa.table({name: columns[name] for name in SCHEMA.names}).cast(SCHEMA)

    def close(self) -> None:
        """Write the index of the token file."""
        write_index(self._prefix, np.concatenate(self._lengths))

    def _add_tokens(self, documents: Documents, tags: Tags, advance: Callable[[int], None]) -> None:
        """A tag before each stretch of bases, case kept; the end-of-document token after all."""
        stretch = np.where(tags.lengths > 0, tags.spacing - tags.lengths, documents.bases)
        stretches = -(-documents.bases // stretch)
        lengths = documents.bases + stretches * tags.lengths + 1
        check_lengths(self._prefix, lengths)
        row = np.repeat(np.arange(len(documents)), stretches)
        number = np.arange(len(row)) - np.repeat(np.cumsum(stretches) - stretches, stretches)
        skipped = number * stretch[row]
        # The token that ends a document is part of the text before the next one.
        closes = (number == 0) & (row > 0)
        pieces = Pieces(
            text=2 * tags.number[row] + closes,
            start=documents.offset[row] + skipped,
            length=np.minimum(documents.bases[row] - skipped, stretch[row]),
        )
        end = bytes([END_OF_DOCUMENT])
        texts = Texts.of(text for tag in tags.texts for text in (tag, end + tag))
        path = paths_of(self._prefix)[0]
        self.tokens = splice(documents.fasta, path, pieces, texts, at=self.tokens, closing=end, advance=advance)
        self._lengths.append(lengths.astype(np.int32))

    def _add_records(self, documents: Documents, advance: Callable[[int], None]) -> None:
        """Records without tags, one line each: NVIDIA's reader corrupts records with uneven lines."""
        ids = documents.table["sequence_id"].cast(pa.large_string()).combine_chunks()
        before, after, nothing = (pa.scalar(text, pa.large_string()) for text in ("\n>", "\n", ""))
        _, borders, letters = pc.binary_join_element_wise(before, ids, after, nothing).buffers()
        # Text 0 is empty; before the first header stands no line end.
        ends = np.frombuffer(borders, np.int64)[1 : len(ids) + 1] - 1
        texts = Texts(np.frombuffer(letters, np.uint8)[1:], np.concatenate([[0, 0], ends]))
        pieces = Pieces(np.arange(1, len(ids) + 1), documents.offset, documents.bases)
        self._letters = splice(
            documents.fasta, self._fasta, pieces, texts, at=self._letters, closing=b"\n", advance=advance
        )
