"""Bases of a token file by their coordinates in a document, whatever tags lie between them."""

from __future__ import annotations

import numpy as np

from workflow.dataset.megatron import TokenFile
from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement


class TokenBases:
    """The bases of the documents of a token file.

    Attributes
    ----------
    counts : (n,) int64
        Bases of each document.

    Parameters
    ----------
    tokens : TokenFile
    tags : (n,) int, optional
        Tokens of each document's lineage tag, 0 where it has none.
    spacing : int
        Tokens from the begin of one tag to that of the next.

    Raises
    ------
    InputError
        There are no bases.
    """

    def __init__(self, tokens: TokenFile, tags: np.ndarray | None = None, spacing: int = 1) -> None:
        self._tokens = tokens
        self._spacing = spacing
        self._tags = np.zeros(len(tokens), np.int64) if tags is None else tags.astype(np.int64)
        # Without the end-of-document token.
        held = tokens.lengths.astype(np.int64) - 1
        self.counts = held - self._tags * -(-held // spacing)
        if self.counts.max(initial=0) <= 0:
            raise InputError(f"{tokens.prefix}.bin holds no bases to train on")

    def read(self, document: int, start: int, end: int, *, reverse: bool = False) -> np.ndarray:
        """Bases [start, end) of a document, uint8 ASCII, case kept, with each tag that stands before one of them.

        Read from the other strand, a tag stands before the same bases.
        """
        tokens, tag = self._tokens[document], int(self._tags[document])
        stretch = self._spacing - tag if tag else max(end, 1)
        pieces = []
        for number in range(start // stretch, -(-end // stretch)):
            first = number * self._spacing + tag if tag else 0
            skipped = max(start - number * stretch, 0)
            bases = np.asarray(tokens[first + skipped : first + min(end - number * stretch, stretch)])
            before = np.asarray(tokens[first - tag : first] if skipped == 0 else tokens[:0])
            pieces.append(np.concatenate([before, reverse_complement(bases) if reverse else bases]))
        return np.concatenate(pieces[::-1] if reverse else pieces)
