"""Figures of what the generated sequences are made of: logos, lengths, k-mers and their principal components."""

from __future__ import annotations

from collections.abc import Mapping

import logomaker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.drawing.style import BASE_COLOURS, COLOURS, new_figure, place_legend_above
from evaluation.generation.composition import KMER, LOGO_POSITIONS, PLANE_KMER, Composition
from evaluation.generation.samples import MODELS

_LOWEST_TOP_BITS = 0.5
_MARKERS = {"truth": "s", "markov": "x", "base": "o", "adapted": "^"}
_MOST_POINTS = 400


def sequence_logos(composition: Composition, labels: Mapping[str, str]) -> Figure:
    """Sequence logo of what follows the prompts, one panel a group, with the same scale."""
    logos = composition.logos
    numbers = composition.sequences["group"].value_counts()
    figure = new_figure(0.35 + 0.95 * len(logos))
    panels = figure.subplots(len(logos), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    top = max([_LOWEST_TOP_BITS, *(float(heights.sum(axis=1).max()) for heights in logos.values() if len(heights))])
    for axes, (group, heights) in zip(panels, logos.items(), strict=True):
        if len(heights):
            logomaker.Logo(heights.set_axis(np.arange(1, len(heights) + 1)), ax=axes, color_scheme=BASE_COLOURS)
        axes.set(ylim=(0, min(top * 1.05, 2)), ylabel="bits", xlim=(0.4, LOGO_POSITIONS + 0.6))
        axes.set_title(f"{labels[group]} (n = {numbers[group]:,})", pad=3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xticks([1, *range(10, LOGO_POSITIONS + 1, 10)])
    panels[-1].set_xlabel("position after the prompt (bp)")
    return figure


def length_histogram(composition: Composition, labels: Mapping[str, str]) -> Figure:
    """Lengths of the generated sequences."""
    figure = new_figure(2.2, 4.2)
    axes = figure.subplots()
    table = composition.sequences
    written = [model for model in MODELS if (table["group"] == model).any()]
    lengths = [table.loc[table["group"] == model, "length"].to_numpy() for model in written]
    # From zero: a narrow axis would make a spread of what is one length.
    edges = np.linspace(0, max(int(group.max()) for group in lengths) * 1.1, 23)
    axes.hist(
        lengths,
        edges.tolist(),
        color=[COLOURS[model] for model in written],
        label=[labels[model] for model in written],
        rwidth=0.8,
    )
    axes.set(xlabel="length (bp)", ylabel="sequences")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    place_legend_above(axes, 2)
    return figure


def kmer_spectrum(composition: Composition, labels: Mapping[str, str]) -> Figure:
    """Frequency of every k-mer in the genome (bars) and in what the models wrote (points)."""
    figure = new_figure(2.9)
    axes = figure.subplots()
    table = composition.spectra.sort_values("genome", ascending=False, kind="stable")
    places = np.arange(len(table))
    axes.bar(places, table["genome"], 0.9, color="#C4C4C4", label="genome, matched length")
    for group in ("markov", *MODELS):
        if group in table:
            label = f"{labels[group]}, distance {composition.distance[group].estimate:.3f}"
            _points(axes, places, table[group].to_numpy(), group, label, 14)
    axes.set_xticks(places, table["kmer"].tolist(), rotation=90, fontsize=5.5, family="monospace")
    axes.tick_params(axis="x", length=0, pad=1)
    axes.margins(x=0.01)
    axes.set(xlabel=f"{KMER}-mer, most frequent in the genome first", ylabel="relative frequency")
    place_legend_above(axes, 2)
    return figure


def principal_components(composition: Composition, labels: Mapping[str, str]) -> Figure:
    """Plane of the genome's fragments: each sequence, and the mean of each group."""
    table = composition.sequences.dropna(subset=["first", "second"])
    figure = new_figure(3.4, 5.6)
    axes = figure.subplots()
    cloud = composition.background
    cloud = cloud[:: -(-len(cloud) // (4 * _MOST_POINTS))]
    axes.scatter(cloud[:, 0], cloud[:, 1], s=5, color="#C4C4C4", linewidths=0, label="genome, random", rasterized=True)
    groups = [group for group in ("truth", "markov", *MODELS) if (table["group"] == group).any()]
    for group in groups:
        places = table.loc[table["group"] == group, ["first", "second"]].to_numpy()
        shown = places[:: -(-len(places) // _MOST_POINTS)]
        _points(axes, shown[:, 0], shown[:, 1], group, None, 12, 0.55)
    for group in groups:
        first, second = table.loc[table["group"] == group, ["first", "second"]].to_numpy().mean(axis=0)
        label = f"{labels[group]} (n = {(table['group'] == group).sum():,})"
        # A cross has no inside.
        colour, edge, width = (
            (COLOURS[group], "black", 1.0) if _MARKERS[group] != "x" else ("white", COLOURS[group], 2.5)
        )
        axes.plot(
            first,
            second,
            _MARKERS[group],
            markersize=8.5,
            markerfacecolor=colour,
            markeredgecolor=edge,
            markeredgewidth=width,
            linestyle="",
            label=label,
        )
    along = [f"{100 * share:.1f} % of variance" for share in composition.axes]
    axes.set(xlabel=f"first component ({along[0]})", ylabel=f"second component ({along[1]})")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_title(f"{PLANE_KMER}-mer frequencies of single sequences", fontweight="normal", fontsize=8.5)
    figure.legend(loc="outside right upper", labelspacing=0.9)
    return figure


def _points(
    axes: Axes, x: np.ndarray, y: np.ndarray, group: str, label: str | None, size: float, alpha: float = 1.0
) -> None:
    marker = _MARKERS[group]
    width = 0.9 if marker == "x" else 0
    axes.scatter(
        x, y, s=size, marker=marker, color=COLOURS[group], linewidths=width, label=label, alpha=alpha, rasterized=True
    )
