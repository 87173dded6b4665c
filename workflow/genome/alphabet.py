"""The DNA alphabet: IUPAC letters in either case, as ASCII bytes."""

from __future__ import annotations

import numpy as np

#: Every letter that a sequence may hold (NC-IUB 1984, Nucleic Acids Res. 13:3021), in both cases.
IUPAC = b"ACGTNRYSWKMBDHVacgtnryswkmbdhv"
_COMPLEMENT_OF_IUPAC = b"TGCANYRSWMKVHDBtgcanyrswmkvhdb"

_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[np.frombuffer(IUPAC, np.uint8)] = np.frombuffer(_COMPLEMENT_OF_IUPAC, np.uint8)

#: 2-bit code of A, C, G, T in either case; 255 for every other byte. The complement of code c is 3 - c.
BASE_CODE = np.full(256, 255, np.uint8)
for _code, _base in enumerate("ACGT"):
    BASE_CODE[[ord(_base), ord(_base.lower())]] = _code


def reverse_complement(sequence: np.ndarray) -> np.ndarray:
    """The other strand of a sequence of ASCII bytes, (n,) uint8; ambiguity letters and case are kept right."""
    other: np.ndarray = _COMPLEMENT[sequence[::-1]]
    return other
