"""The two windows of a variant: the same flanks around the reference and around the alternative allele.

The reference window has `window` bases with the middle of the reference allele in its middle; at the end of a
sequence it is shifted inward, and a shorter sequence is taken whole. The alternative window is the reference window
with the reference allele replaced. An indel changes its length: both flanks stay the same, base for base, so that
nothing but the allele differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from workflow.genome.sequences import Genome

#: Bases on each side of the allele that are published for the baselines: more than the context of any of them.
FLANK = 15


def window_bounds(starts: np.ndarray, ref_lengths: np.ndarray, lengths: np.ndarray, window: int) -> np.ndarray:
    """Start and end of each reference window, (n, 2) int64, 0-based half-open.

    Parameters
    ----------
    starts, ref_lengths : ndarray, (n,) int64
        First base (0-based) and bases of the reference allele.
    lengths : ndarray, (n,) int64
        Bases of the sequence that it lies on.
    window : int
        Bases of a window.
    """
    wanted = starts + ref_lengths // 2 - window // 2
    begin = np.clip(wanted, 0, np.maximum(lengths - window, 0))
    return np.column_stack([begin, np.minimum(begin + window, lengths)])


class WindowPairs(Mapping[str, np.ndarray]):
    """The windows of all variants by name, read when they are asked for: each reference window, then its variants.

    Parameters
    ----------
    variants : DataFrame
        variant_id, seqid, start, ref, alt, window_start, window_end.
    genome : Genome

    Attributes
    ----------
    reference : list of str
        Name of the reference window of each variant.
    """

    def __init__(self, variants: pd.DataFrame, genome: Genome) -> None:
        self._genome = genome
        columns = ["variant_id", "seqid", "start", "ref", "alt", "window_start", "window_end"]
        self.reference: list[str] = []
        self._places: dict[str, tuple[str, int, int, int, str, str]] = {}
        for name, seqid, start, ref, alt, low, high in variants[columns].itertuples(index=False):
            reference = f"{seqid}:{low}-{high}"
            self._places.setdefault(reference, (seqid, low, high, low, "", ""))
            self._places[name] = (seqid, low, high, start, ref, alt)
            self.reference.append(reference)

    def __getitem__(self, name: str) -> np.ndarray:
        """Bases of a window in upper case, (length,) uint8."""
        seqid, low, high, start, ref, alt = self._places[name]
        bases = self._genome.fetch(seqid, low, high).tobytes().upper()
        cut = start - low
        return np.frombuffer(bases[:cut] + alt.encode() + bases[cut + len(ref) :], np.uint8)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def flanks(variants: pd.DataFrame, genome: Genome) -> tuple[list[str], list[str]]:
    """`FLANK` bases left and right of the reference allele of each variant in upper case, fewer at an end."""
    left, right = [], []
    for seqid, start, ref in variants[["seqid", "start", "ref"]].itertuples(index=False):
        end = start + len(ref)
        before = genome.fetch(seqid, max(start - FLANK, 0), start)
        after = genome.fetch(seqid, end, min(end + FLANK, genome.lengths[seqid]))
        left.append(before.tobytes().decode("ascii").upper())
        right.append(after.tobytes().decode("ascii").upper())
    return left, right
