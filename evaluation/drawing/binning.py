"""Long stretches in few columns: means and quartiles of equally many bases each."""

from __future__ import annotations

import numpy as np

#: As many as a page shows apart from each other.
MOST_COLUMNS = 600
_CODON = 3


def columns(bases: int, most: int = MOST_COLUMNS) -> np.ndarray:
    """Edges of the columns that a stretch is drawn in, `most` or fewer: (columns + 1,).

    A column is one base, or a multiple of three: any other width would turn the period of coding sequence into
    waves. The last column may be shorter.
    """
    width = -(-bases // most)
    if width > 1:
        width = -(-width // _CODON) * _CODON
    edges: np.ndarray = np.append(np.arange(0, bases, width), bases)
    return edges


def binned_mean(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean of the defined values (n, …) in each column, (columns, …); NaN where there are none."""
    defined = np.isfinite(values)
    total = np.add.reduceat(np.where(defined, values, 0.0), edges[:-1], axis=0, dtype=np.float64)
    number = np.add.reduceat(defined, edges[:-1], axis=0, dtype=np.int64)
    mean: np.ndarray = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return mean


def binned_quartiles(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and third quartile of the defined values (n,) in each column, (columns,) each; NaN where there are none."""
    width = int(edges[1] - edges[0])
    table = np.full((len(edges) - 1, width), np.nan)
    table.reshape(-1)[: len(values)] = values
    empty = ~np.isfinite(table).any(axis=1)
    table[empty] = 0
    low, high = np.where(empty, np.nan, np.nanquantile(table, [0.25, 0.75], axis=1))
    return low, high


def running_mean(values: np.ndarray, span: int) -> np.ndarray:
    """Mean over the defined values within a centred span, shorter at the ends; NaN where there is none."""
    defined = np.isfinite(values)
    kernel = np.ones(min(span, len(values)))
    total = np.convolve(np.where(defined, values, 0.0), kernel, mode="same")
    number = np.convolve(defined.astype(float), kernel, mode="same")
    mean: np.ndarray = np.divide(total, number, out=np.full(len(values), np.nan), where=number > 0.5)
    return mean
