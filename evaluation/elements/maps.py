"""Figures of a region: what each mutant changes, above what the models expect."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from evaluation.drawing.binning import binned_mean
from evaluation.drawing.logos import draw_letters, information_heights
from evaluation.drawing.style import COLOURS, label_positions, new_figure, place_legend_above
from evaluation.elements.region import RegionMap
from workflow.artifacts import BASES

#: Bases of the closer look: letters are wide enough to be read.
CLOSE_BASES = 100
#: Steps of the lines in the wider look.
MOST_STEPS = 200
#: Columns of an image that a page shows apart from each other.
_MOST_COLUMNS = 1000
#: Told apart in grey too: what is less likely is dark, what is more likely of middle brightness.
_DIVERGING = LinearSegmentedColormap.from_list("less_more", ["#08306B", "#4E8FC0", "#FFFFFF", "#F2A65E", "#D55E00"])
_MISSING = "#DDDDDD"
#: Share of the changes that lie within the ends of the colours.
_SHOWN = 0.99
_IMAGE, _LOGO, _LETTERS, _TRACK, _BELOW = 0.62, 0.6, 0.14, 0.9, 0.6
_LEAST_TOP_BITS = 0.25


def close_map(region: RegionMap, labels: Mapping[str, str]) -> Figure:
    """Base by base: change of the likelihood by each mutant, then the observed bases, then predictive logos.

    Parameters
    ----------
    region : RegionMap
        At most `CLOSE_BASES` bases.
    labels : mapping
        Title by model.
    """
    models = list(region.deltas)
    heights = [_IMAGE] * len(models) + [_LETTERS] + [_LOGO] * len(models)
    figure = new_figure(sum(heights) + 0.18 * len(heights) + _BELOW)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    images, letters, logos = panels[: len(models)], panels[len(models)], panels[len(models) + 1 :]
    _draw_images(figure, images, region, labels, _MISSING)
    at = region.start + np.flatnonzero(region.codes < len(BASES))
    for axes in images:
        axes.scatter(at, region.codes[region.codes < len(BASES)], s=2.5, color="#333333", linewidths=0)
    draw_letters(letters, (region.codes[:, None] == np.arange(len(BASES))).astype(float), region.start)
    letters.set(ylim=(0, 1), yticks=[])
    letters.set_ylabel("observed", rotation=0, ha="right", va="center", fontsize=7.5)
    letters.spines[:].set_visible(False)
    letters.tick_params(bottom=False)
    information = {model: information_heights(values) for model, values in region.logprobs.items()}
    top = max(_LEAST_TOP_BITS, *(float(np.nansum(values, axis=1).max()) for values in information.values()))
    for axes, model in zip(logos, models, strict=True):
        draw_letters(axes, information[model], region.start)
        axes.set(ylim=(0, min(1.05 * top, 2)), ylabel="bits")
        axes.set_title(f"{labels[model]}, expected", pad=3)
        axes.yaxis.set_major_locator(MaxNLocator(3))
    label_positions(panels[-1], region.seqid, len(region.sequence))
    return figure


def wide_map(region: RegionMap, labels: Mapping[str, str]) -> Figure:
    """The whole mutated part: the mutants' changes as colours, and their mean at each base as lines."""
    models = list(region.deltas)
    heights = [_IMAGE] * len(models) + [_TRACK]
    figure = new_figure(sum(heights) + 0.18 * len(heights) + _BELOW)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    _draw_images(figure, panels[:-1], region, labels, "white")
    edges = _edges(len(region.sequence), MOST_STEPS)
    for order, model in enumerate(models):
        panels[-1].stairs(
            binned_mean(region.sensitivity(model), edges),
            region.start - 0.5 + edges,
            baseline=None,
            color=COLOURS[model],
            linewidth=1,
            label=labels[model],
            zorder=len(models) - order + 2,
        )
    panels[-1].axhline(0, color="#333333", linewidth=0.6)
    panels[-1].set_ylabel("mean change\n(nats)")
    panels[-1].margins(x=0)
    place_legend_above(panels[-1], len(models))
    label_positions(panels[-1], region.seqid, len(region.sequence))
    return figure


def _draw_images(figure: Figure, panels: np.ndarray, region: RegionMap, labels: Mapping[str, str], own: str) -> None:
    """One image a model, one scale of colours that is centred at 0; the colour `own` for the region's own bases."""
    changes = np.abs(np.concatenate([values[np.isfinite(values)] for values in region.deltas.values()]))
    reach = float(np.quantile(changes, _SHOWN)) if len(changes) else 0.0
    for axes, (model, deltas) in zip(panels, region.deltas.items(), strict=True):
        image = _draw_image(axes, deltas, region.start, reach or 1.0, own)
        axes.set_title(labels[model], pad=3)
    bar = figure.colorbar(image, ax=list(panels), extend="both", aspect=22, pad=0.01)
    bar.set_label("change of the region's\nlog-likelihood (nats)", fontsize=8)


def _draw_image(axes: Axes, deltas: np.ndarray, start: int, reach: float, own: str) -> AxesImage:
    image = axes.imshow(
        np.ma.masked_invalid(binned_mean(deltas, _edges(len(deltas), _MOST_COLUMNS)).T),
        aspect="auto",
        cmap=_DIVERGING.with_extremes(bad=own),
        vmin=-reach,
        vmax=reach,
        interpolation="nearest",
        extent=(start - 0.5, start + len(deltas) - 0.5, 3.5, -0.5),
    )
    axes.set_yticks(range(len(BASES)), list(BASES), fontsize=6.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _edges(bases: int, most: int) -> np.ndarray:
    """Edges of at most so many steps of equally many bases; the last may be shorter."""
    return np.append(np.arange(0, bases, -(-bases // most)), bases)
