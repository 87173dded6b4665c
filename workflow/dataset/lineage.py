"""Lineage tags, by which Evo2 is told of the organism: `|d__Eukaryota;p__…;c__…;o__…;f__…;g__…;s__…|`.

The bytes are those that `preprocess_evo2` of bionemo-framework writes: a tag before each stretch of bases,
both together `spacing` tokens long, so that tags begin at every multiple of `spacing` in a document. Dropout
puts `None` in place of single ranks, drawn once a document. Unlike there, names match exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workflow.errors import InputError

#: The ranks by their letter, under the names that the tool's configuration gives them.
RANKS = {
    "d": "domain",
    "p": "phylum",
    "c": "clazz",
    "o": "order",
    "f": "family",
    "g": "genus",
    "s": "species",
}
#: Begins and ends a tag.
BAR = b"|"
_DROPPED = "None"
_SHAPE = ";".join(f"{letter}__…" for letter in RANKS)

#: Names of the seven ranks, from domain to species.
Lineage = tuple[str, ...]


def read_lineage(key: str, text: str) -> Lineage:
    """Read a lineage as the configuration writes it.

    Parameters
    ----------
    key : str
        The setting that holds it, for the message.
    text : str
        `d__…;p__…;c__…;o__…;f__…;g__…;s__…`, all seven ranks in this order; a name may be empty.

    Raises
    ------
    InputError
        A rank is missing, doubled or out of order, or a name holds what cannot be part of a tag.
    """
    parts = [part.strip() for part in text.split(";")]
    if len(parts) != len(RANKS) or any(
        not part.startswith(f"{letter}__") for letter, part in zip(RANKS, parts, strict=True)
    ):
        raise InputError(f"{key}={text} is not a lineage: write {_SHAPE}, all seven ranks in this order")
    if not (text.isascii() and text.isprintable()) or BAR.decode() in text:
        raise InputError(f"{key}={text} holds '|' or a letter outside of printable ASCII, which no tag can hold")
    return tuple(part[3:] for part in parts)


@dataclass(frozen=True)
class Lineages:
    """Who has which lineage, and how its tags are laid.

    Attributes
    ----------
    default : tuple of str, optional
        Of every sequence that has none of its own.
    by_name : mapping
        By the exact name of a sequence.
    spacing : int
        Tokens from the begin of one tag to that of the next.
    dropout : float
        Probability that a rank of a document's tag is `None`.
    """

    default: Lineage | None
    by_name: Mapping[str, Lineage]
    spacing: int
    dropout: float

    def __post_init__(self) -> None:
        for lineage in filter(None, [self.default, *self.by_name.values()]):
            longest = len(_tag(tuple(max(name, _DROPPED, key=len) for name in lineage)))
            if longest >= self.spacing:
                raise InputError(
                    f"mixture.lineage_spacing={self.spacing} leaves no room for bases beside a tag of {longest} letters"
                )

    def tags(self, seqids: np.ndarray, names: list[str], rng: np.random.Generator) -> tuple[np.ndarray, list[bytes]]:
        """The tag of each document.

        Parameters
        ----------
        seqids : (n,) int
            Number in `names` of the sequence that a document comes from.
        names : list of str
        rng : Generator
            Draws what is dropped, document by document.

        Returns
        -------
        numbers : (n,) int64
            Number of the document's tag.
        tags : list of bytes
            Different tags; number 0 is empty: no tag.
        """
        lineages = list(dict.fromkeys(self.by_name.get(name, self.default) for name in names))
        number = {lineage: place for place, lineage in enumerate(lineages)}
        of_name = np.array([number[self.by_name.get(name, self.default)] for name in names], dtype=np.int64)
        kinds = of_name[seqids] << len(RANKS)
        if self.dropout:
            # One bit a rank.
            kinds += (rng.random((len(kinds), len(RANKS))) < self.dropout) @ (1 << np.arange(len(RANKS))[::-1])
        different, numbers = np.unique(kinds, return_inverse=True)
        tags = [_tag_of(lineages[kind >> len(RANKS)], int(kind)) for kind in different.tolist()]
        order = {tag: place for place, tag in enumerate(dict.fromkeys([b"", *tags]))}
        return np.array([order[tag] for tag in tags], dtype=np.int64)[numbers], list(order)

    def taxonomy(self) -> dict[str, dict[str, str]]:
        """`taxonomy_data` of the tool's configuration.

        It looks for keys inside the ids of the records, which are `seqid:start-end`, and takes the first one
        that it finds: long names come first, and what every id holds last.
        """
        names = sorted(self.by_name, key=lambda name: (-len(name), name))
        entries = {f"{name}:": self.by_name[name] for name in names}
        if self.default is not None:
            entries[":"] = self.default
        return {key: dict(zip(RANKS.values(), lineage, strict=True)) for key, lineage in entries.items()}


def _tag(lineage: Lineage) -> bytes:
    ranks = ";".join(f"{letter}__{name}" for letter, name in zip(RANKS, lineage, strict=True))
    return BAR + ranks.encode("ascii") + BAR


def _tag_of(lineage: Lineage | None, bits: int) -> bytes:
    """A tag without the ranks whose bit is set; the last rank has the lowest bit."""
    if lineage is None:
        return b""
    last = len(RANKS) - 1
    return _tag(tuple(_DROPPED if bits >> (last - rank) & 1 else name for rank, name in enumerate(lineage)))
