"""Sequence logos: what a model expects at each position, as letters whose height is information."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from evaluation.drawing.style import BASE_COLOURS, new_figure
from evaluation.per_base.scores import BASE_COLUMN, entropy_bits
from workflow.artifacts import BASES

#: Positions beyond which a letter is too narrow to be read; bars of the letters' colours are drawn then.
MOST_LETTERS = 150
#: Bits: the least that the axis spans, so that a model that knows nothing looks like it.
_LEAST_TOP = 0.25
_LETTER_WIDTH = 0.92
_PANEL, _OBSERVED, _BELOW = 0.85, 0.16, 0.55


def predictive_logo(
    logprobs: Mapping[str, np.ndarray],
    observed: np.ndarray,
    labels: Mapping[str, str],
    start: int,
    axis: str = "position in the window (bp, 0-based)",
) -> Figure:
    """What each model expects along a region, one panel a model on one scale, above the observed sequence.

    The height of a letter is its probability times the information of the position, 2 bits less the entropy (Schneider
    & Stephens 1990, Nucleic Acids Res. 18:6097), both of the distribution renormalised over A, C, G, T. The most
    probable letter stands on top.

    Parameters
    ----------
    logprobs : mapping
        (n, 4) natural-log probabilities by model; a row with NaN is left blank.
    observed : ndarray, (n,) uint8
        Observed bases as ASCII.
    labels : mapping
        Title by model.
    start : int
        Position of the first base.
    axis : str
        What the positions count.
    """
    heights = {model: information_heights(values) for model, values in logprobs.items()}
    # The highest position of all decides, but for single ones that stand out of a long region.
    tops = np.concatenate([np.nansum(values, axis=1) for values in heights.values()])
    top = min(max(_LEAST_TOP, 1.05 * float(tops.max(initial=0))), 2.0)
    figure = new_figure((_PANEL + 0.2) * len(heights) + _OBSERVED + _BELOW)
    ratios = [_PANEL] * len(heights) + [_OBSERVED]
    panels = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    for axes, (model, values) in zip(panels, heights.items(), strict=False):
        draw_letters(axes, values, start)
        axes.set(ylim=(0, top), ylabel="bits")
        axes.set_title(labels[model], pad=3)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.tick_params(bottom=False)
    codes = BASE_COLUMN[observed]
    draw_letters(panels[-1], (codes[:, None] == np.arange(len(BASES))).astype(float), start)
    panels[-1].set(ylim=(0, 1), yticks=[], xlim=(start - 0.6, start + len(observed) - 0.4), xlabel=axis)
    panels[-1].set_ylabel("observed", rotation=0, ha="right", va="center", fontsize=7.5)
    panels[-1].spines[["left", "bottom"]].set_visible(False)
    panels[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    return figure


def information_heights(logprobs: np.ndarray) -> np.ndarray:
    """Heights of A, C, G, T in bits, (n, 4): probability × (2 − entropy), renormalised; NaN where undefined."""
    raised = np.exp(logprobs.astype(np.float64))
    shares = raised / raised.sum(axis=1, keepdims=True)
    heights: np.ndarray = shares * np.maximum(2 - entropy_bits(logprobs), 0)[:, None]
    return heights


def draw_letters(axes: Axes, heights: np.ndarray, start: int) -> None:
    """Draw stacked letters, the highest on top; more than `MOST_LETTERS` positions as bars of their colours.

    All letters of a kind are one outline, so that thousands are drawn in a moment.

    Parameters
    ----------
    heights : ndarray, (n, 4)
        Of A, C, G, T; NaN and 0 are not drawn.
    start : int
        Position of the first row.
    """
    heights = np.nan_to_num(heights)
    order = np.argsort(heights, axis=1, kind="stable")
    stacked = np.cumsum(np.take_along_axis(heights, order, axis=1), axis=1)
    tops = np.empty_like(stacked)
    np.put_along_axis(tops, order, stacked, axis=1)
    single = len(heights) <= MOST_LETTERS
    width = _LETTER_WIDTH if single else 1.0
    for column, base in enumerate(BASES):
        glyph = _glyph(base) if single else Outline.unit_rectangle()
        at = np.flatnonzero(heights[:, column] > 0)
        if not len(at):
            continue
        height = heights[at, column][:, None]
        corners = np.asarray(glyph.vertices, float)
        x = (start + at - width / 2)[:, None] + width * corners[:, 0]
        y = tops[at, column][:, None] - height + height * corners[:, 1]
        assert glyph.codes is not None
        outline = Outline(np.column_stack([x.ravel(), y.ravel()]), np.tile(glyph.codes, len(at)))
        axes.add_patch(PathPatch(outline, facecolor=BASE_COLOURS[base], linewidth=0))
    axes.set_xlim(start - 0.6, start + len(heights) - 0.4)


@cache
def _glyph(letter: str) -> Outline:
    """A letter's outline, stretched to fill the unit square."""
    outline = TextPath((0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    # Not the extremes of the vertices: those that close an outline lie anywhere.
    box = outline.get_extents()
    return Outline((outline.vertices - box.min) / box.size, outline.codes)
