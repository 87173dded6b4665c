"""Consecutive windows inside regions: of all of them, or of what lies away from genes."""

from __future__ import annotations

import numpy as np

from workflow.genome.regions import tile
from workflow.windows.pieces import Regions, Windows


def tiling_windows(regions: Regions, length: int, stride: int, min_length: int) -> Windows:
    """Windows of `length` bases every `stride` bases of each region; the last may be shorter.

    A window that would lie wholly inside the one before it is not made. What is shorter than `min_length` is
    left out and counted.
    """
    region, start, end = tile(regions.start, regions.end, length, stride)
    windows = Windows(start, end, np.zeros(len(start), bool), region.astype(np.int32))
    return windows.keep(end - start >= min_length, "short")


def background_windows(windows: Windows, start: np.ndarray, end: np.ndarray) -> Windows:
    """The windows that share no base with any of some intervals, (n,) int64 starts and ends."""
    order = np.argsort(start, kind="stable")
    reach = np.maximum.accumulate(end[order])
    before = np.searchsorted(start[order], windows.end, side="left")  # intervals that start before the window ends
    farthest = np.concatenate([[-1], reach])[before]
    return windows.keep(farthest <= windows.start, "near_genes")
