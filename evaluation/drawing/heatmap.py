"""Log-probabilities of A, C, G and T along a stretch: base by base, or in bins with gene models beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from evaluation.artefacts.genes import GeneModel
from evaluation.drawing.binning import MOST_COLUMNS, binned_mean, columns
from evaluation.drawing.gene_models import draw_gene_models, pack
from evaluation.drawing.region import Region, observed_logprobs
from evaluation.drawing.style import COLOURS, SEQUENTIAL_MAP, label_positions, new_figure, place_legend_above
from evaluation.per_base.scores import BASE_COLUMN, UNIFORM_NLL
from workflow.artifacts import BASES

#: Nats; e^−4 is a probability of 0.018, below which differences matter little to the eye.
_DARKEST_LOGPROB = -4.0
_MOST_LETTERS = 150
#: Bases beyond which a dot on each would hide the picture.
_MOST_DOTS = 400
_MISSING = "#E0E0E0"
#: Columns of lines that cross each other: with more of them one hides the next.
_LINE_COLUMNS = 120
#: Inches of each panel of a region.
_IMAGE, _NLL, _GAIN, _BELOW = 0.72, 0.9, 0.6, 0.75


def window_heatmap(logprobs: Mapping[str, np.ndarray], bases: np.ndarray, labels: dict[str, str], start: int) -> Figure:
    """Log-probabilities of A, C, G, T base by base; a dot marks the observed base.

    Parameters
    ----------
    logprobs : mapping
        (n, 4) natural-log probabilities by model.
    bases : ndarray, (n,) uint8
        Observed bases as ASCII.
    labels : dict
        Title by model.
    start : int
        Position of the first base within its window, 0-based.
    """
    has_gain = {"base", "adapted"} <= set(logprobs)
    heights = [1.0] * len(logprobs) + [0.7] * has_gain
    figure = new_figure(0.55 + 1.05 * sum(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    codes = BASE_COLUMN[bases]
    positions = start + np.arange(len(bases))
    is_base = codes < len(BASES)
    with_letters = len(bases) <= _MOST_LETTERS
    extent = (start - 0.5, start + len(bases) - 0.5)
    for axes, (model, values) in zip(panels, logprobs.items(), strict=False):
        image = _draw_image(axes, values.astype(float), extent, (_DARKEST_LOGPROB, 0.0))
        if len(bases) <= _MOST_DOTS:
            axes.scatter(positions[is_base], codes[is_base], s=5, color="white", edgecolors="black", linewidths=0.5)
        axes.set_title(labels[model], pad=12 if axes is panels[0] and with_letters else 4)
    if with_letters:
        for position, letter in zip(positions, bases.tobytes().decode("ascii", "replace"), strict=True):
            panels[0].text(position, -0.62, letter, ha="center", va="bottom", fontsize=5.2, family="monospace")
    figure.colorbar(
        image, ax=panels[: len(logprobs)], label="log-probability (nats)", extend="min", aspect=25, pad=0.01
    )
    if has_gain:
        base, adapted = (observed_logprobs(logprobs[model], bases) for model in ("base", "adapted"))
        _draw_gain(panels[-1], adapted - base, positions, 0.9)
        panels[-1].set_title("adapted − base, observed base")
    panels[-1].set_xlabel("position in the window (bp, 0-based)")
    return figure


def region_heatmap(region: Region, labels: dict[str, str], genes: Sequence[GeneModel]) -> Figure:
    """A region of any length in columns of equally many bases, with its gene models beneath.

    Each column is the mean log-probability of A, C, G and T over its bases, whichever of them is there, in colours
    that span 98 % of the values shown. Below, the mean NLL of the observed bases under every model of the region, and
    the gain of the adapted model over the base model.

    Parameters
    ----------
    region : Region
        With the predictions of the models and of baselines; only `base` and `adapted` are drawn in colours.
    labels : dict
        What each model is called.
    genes : sequence of GeneModel
        Of the region.
    """
    edges = columns(len(region))
    images = {m: binned_mean(region.logprobs[m], edges) for m in ("base", "adapted") if m in region.logprobs}
    nll = {model: region.nll(model) for model in region.logprobs}
    packed = pack(genes, region.start, region.end)
    has_gain = {"base", "adapted"} <= set(nll)
    heights = [_IMAGE] * len(images) + [_NLL] + [_GAIN] * has_gain + [packed.height]
    figure = new_figure(sum(heights) + _BELOW + 0.22 * len(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    extent = (region.start - 0.5, region.end - 0.5)
    limits = _limits(list(images.values()))
    for axes, (model, values) in zip(panels, images.items(), strict=False):
        image = _draw_image(axes, values, extent, limits)
        axes.set_title(labels[model], pad=3)
    bar = figure.colorbar(image, ax=panels[: len(images)], extend="both", aspect=16, pad=0.01)
    bar.set_label("log-probability (nats)")
    lines = panels[len(images)]
    wide = columns(len(region), _LINE_COLUMNS)
    for name, values in nll.items():
        lines.plot(
            _middles(region, wide), binned_mean(values, wide), color=COLOURS[name], label=labels[name], linewidth=0.9
        )
    lines.axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", linewidth=0.9, label=labels["uniform"])
    lines.set_ylabel("NLL (nats)")
    place_legend_above(lines, 5)
    if has_gain:
        gain = binned_mean(nll["base"] - nll["adapted"], edges)
        _draw_gain(panels[-2], gain, _middles(region, edges), int(edges[1]))
    draw_gene_models(panels[-1], packed)
    panels[-1].set_xlim(*extent)
    label_positions(panels[-1], region.seqid, len(region))
    return figure


def reading(region: Region) -> str:
    """What a column of `region_heatmap` is, for a caption."""
    narrow, wide = (int(columns(len(region), most)[1]) for most in (MOST_COLUMNS, _LINE_COLUMNS))
    return f"Colours and gains are means over columns of {narrow:,} bases, lines over {wide:,}."


def _middles(region: Region, edges: np.ndarray) -> np.ndarray:
    """Positions of the middles of columns."""
    middles: np.ndarray = region.start + (edges[:-1] + edges[1:] - 1) / 2
    return middles


def _draw_image(axes: Axes, values: np.ndarray, extent: tuple[float, float], limits: tuple[float, float]) -> AxesImage:
    """Values (n, 4) as colours, a row a base; grey where there are none."""
    image = axes.imshow(
        np.ma.masked_invalid(values.T),
        aspect="auto",
        cmap=mpl.colormaps[SEQUENTIAL_MAP].with_extremes(bad=_MISSING),
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
        extent=(*extent, 3.5, -0.5),
    )
    axes.set_yticks(range(4), list(BASES))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _limits(images: list[np.ndarray]) -> tuple[float, float]:
    """Ends of the colours: nearly all values lie between."""
    values = np.concatenate([image[np.isfinite(image)] for image in images])
    if not len(values):
        return _DARKEST_LOGPROB, 0.0
    low, high = np.quantile(values, [0.01, 0.99])
    return float(low), float(max(high, low + 1e-3))


def _draw_gain(axes: Axes, gain: np.ndarray, positions: np.ndarray, width: float) -> None:
    colour = np.where(gain >= 0, COLOURS["adapted"], COLOURS["base"])
    axes.bar(positions, np.nan_to_num(gain), width=width, color=colour.tolist())
    axes.axhline(0, color="#333333", linewidth=0.6)
    axes.set_ylabel("gain (nats)")
