"""The 64 codons among a model's states, in the plane of their first two principal components."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evaluation.codons.clustering import Clustering
from evaluation.drawing.style import new_figure, plain, shortened

#: Kinds of amino acids by their side chains; letters of the same kind share a colour (Okabe & Ito 2008).
KINDS = {
    "hydrophobic": ("AVLIMFWYC", "#0072B2"),
    "polar": ("STNQ", "#009E73"),
    "positive": ("KRH", "#D55E00"),
    "negative": ("DE", "#CC79A7"),
    "G and P": ("GP", "#333333"),
}
_COLOURS = {acid: colour for acids, colour in KINDS.values() for acid in acids}
_MOST_PANELS = 3
_LONGEST_TITLE = 40


def can_draw(result: Clustering) -> bool:
    """Whether any representation has two components that differ."""
    return bool((result.points["share1"] > 0).any())


def plane(result: Clustering, labels: Mapping[str, str]) -> Figure:
    """A panel a representation (of a model with several layers, its last ones): letters are codons' amino acids."""
    shown = _last_layers(result.points)
    figure = new_figure(2.75)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, part in zip(panels, shown, strict=True):
        _draw(axes, part)
        name, layer = (str(part[key].iloc[0]) for key in ("representation", "layer"))
        title = labels.get(name, name) + (f", {layer}" if layer else "")
        axes.set_title(plain(shortened(title, _LONGEST_TITLE)), fontsize=8)
    handles = [
        Line2D([], [], marker="s", linestyle="none", color=colour, label=kind, markersize=5)
        for kind, (_, colour) in KINDS.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(KINDS), handlelength=0.8)
    return figure


def _last_layers(points: pd.DataFrame) -> list[pd.DataFrame]:
    """The last layer of each representation, in their order."""
    parts = [part for _, part in points.groupby("representation", sort=False)]
    return [part[part["layer"] == part["layer"].iloc[-1]] for part in parts][:_MOST_PANELS]


def _draw(axes: Axes, part: pd.DataFrame) -> None:
    for acid, codons in part.groupby("amino_acid", sort=True):
        colour = _COLOURS.get(str(acid), "#333333")
        places = codons[["pc1", "pc2"]].to_numpy(float)
        x, y = places.mean(axis=0).tolist()
        for one, other in places.tolist():
            axes.plot([x, one], [y, other], color=colour, linewidth=0.5, alpha=0.45, zorder=2)
        axes.plot(places[:, 0], places[:, 1], ".", color=colour, markersize=2.5, zorder=3)
        axes.text(x, y, str(acid), color=colour, fontsize=7.5, fontweight="bold", ha="center", va="center", zorder=4)
    share = part[["share1", "share2"]].iloc[0].to_numpy(float)
    axes.set_xlabel(f"component 1 ({100 * share[0]:.0f} % of variance)")
    axes.set_ylabel(f"component 2 ({100 * share[1]:.0f} %)")
    reach = np.abs(part[["pc1", "pc2"]].to_numpy(float)).max(axis=0) * 1.12
    if reach.all():
        axes.set(xlim=(-reach[0], reach[0]), ylim=(-reach[1], reach[1]))
    axes.set_xticks([])
    axes.set_yticks([])
