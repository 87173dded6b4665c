"""Figures in which each generated sequence is a point: GC, reading frames, complexity, copies; and the codon usage."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from evaluation.drawing.style import COLOURS, SPLIT_COLOURS, new_figure
from evaluation.generation.coding import Coding
from evaluation.generation.complexity import Complexity
from evaluation.generation.composition import Composition
from evaluation.generation.memorisation import SEED, Memorisation
from evaluation.generation.samples import MODELS
from evaluation.statistics.bootstrap import Interval

_COLOURS = COLOURS | SPLIT_COLOURS
_MOST_POINTS = 300
#: Codons of a group from which its usage is drawn: about five of each.
_FEWEST_CODONS = 300


def properties(composition: Composition, coding: Coding, complexity: Complexity, labels: Mapping[str, str]) -> Figure:
    """GC, longest reading frame, DUST score and longest homopolymer of each sequence, with means and intervals."""
    panels = [
        ("GC", composition.sequences["gc"], composition.gc),
        ("longest stretch without stop (codons)", coding.sequences["codons"], coding.longest),
        ("DUST score", complexity.sequences["dust"], _of(complexity, "dust")),
        ("longest homopolymer (bp)", complexity.sequences["longest_run"], _of(complexity, "longest_run")),
    ]
    groups = composition.sequences["group"]
    names = groups.drop_duplicates().tolist()
    figure = new_figure(1.0 + 0.56 * len(names))
    grid = figure.subplots(2, 2, sharey=True)
    for axes, letter, (title, values, means) in zip(grid.flat, "abcd", panels, strict=True):
        _strips(axes, values.to_numpy(float), groups.to_numpy(), names, means)
        axes.set_xlabel(title)
        axes.set_title(letter)
        axes.set_yticks(range(len(names)), [_named(labels[name], groups, name) for name in names])
        if title == "GC":
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        else:
            # Zero is shown, with room for a mark on it.
            axes.set_xlim(left=-0.03 * axes.get_xlim()[1])
    return figure


def copies(memorisation: Memorisation, labels: Mapping[str, str]) -> Figure:
    """Longest exact match with train and containment in train of each sequence."""
    table = memorisation.sequences
    groups = table["group"]
    names = groups.drop_duplicates().tolist()
    figure = new_figure(0.75 + 0.27 * len(names))
    left, right = figure.subplots(1, 2, sharey=True)
    below = SEED / 2**0.5
    shown = np.maximum(table["longest"].to_numpy(float), below)
    medians = {
        name: Interval(*(max(end, below) for end in (found.estimate, found.low, found.high)))
        for name, found in memorisation.longest.items()
    }
    _strips(left, shown, groups.to_numpy(), names, medians)
    left.set_xscale("log")
    top = max(float(shown.max()), 4 * SEED)
    ticks = [SEED * 2**step for step in range(1, 40, max(round(np.log2(top / SEED) / 4), 1)) if SEED * 2**step <= top]
    left.set_xticks([below, *ticks], [f"< {SEED}", *(f"{tick:,}" for tick in ticks)])
    left.set_xticks([], minor=True)
    left.set(xlabel="longest exact match in train (bp)", title="a", xlim=(below * 0.88, top * 1.15))
    left.set_yticks(range(len(names)), [_named(labels[name], groups, name) for name in names])
    _strips(right, table["containment"].to_numpy(float), groups.to_numpy(), names, memorisation.containment)
    right.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    right.set(xlabel="31-mers that are in train", title="b", xlim=(-0.03, 1.03))
    return figure


def can_draw_usage(coding: Coding) -> bool:
    """Whether a model, a baseline and the annotation have enough codons for a figure."""
    written = max(coding.codons.get(model, 0) for model in MODELS)
    baseline = max(coding.codons.get(group, 0) for group in ("genome", "truth", "markov"))
    return min(written, baseline, coding.codons["cds"]) >= _FEWEST_CODONS


def codon_usage(coding: Coding, labels: Mapping[str, str]) -> Figure:
    """Relative synonymous codon usage of the annotation (bars) and of what the models wrote (points)."""
    table = coding.usage
    figure = new_figure(2.9)
    axes = figure.subplots()
    # A gap between amino acids.
    places = np.arange(len(table)) + 0.8 * (pd.factorize(table["amino_acid"])[0])
    axes.bar(places, table["cds"], 0.9, color="#C4C4C4", label=f"annotated CDS ({coding.codons['cds']:,} codons)")
    for group, marker in (("genome", "D"), ("truth", "s"), ("markov", "x"), ("base", "o"), ("adapted", "^")):
        if coding.codons.get(group, 0) >= _FEWEST_CODONS:
            label = f"{labels[group]} ({coding.codons[group]:,})"
            width = 0.9 if marker == "x" else 0
            axes.scatter(places, table[group], s=11, color=COLOURS[group], marker=marker, linewidths=width, label=label)
    axes.axhline(1, color="#333333", linewidth=0.6, linestyle=":")
    axes.set_xticks(places, table["codon"].tolist(), rotation=90, fontsize=5.5, family="monospace")
    for acid, rows in table.groupby("amino_acid"):
        axes.text(
            places[rows.index].mean(),
            1.0,
            str(acid),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=6.5,
        )
    axes.tick_params(axis="x", length=0, pad=1)
    axes.margins(x=0.01)
    axes.set(xlabel="codon, by amino acid", ylabel="relative synonymous codon usage")
    axes.set_ylim(bottom=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _of(complexity: Complexity, measure: str) -> dict[str, Interval]:
    return {group: means[measure] for group, means in complexity.means.items()}


def _named(label: str, groups: pd.Series, name: str) -> str:
    return f"{label}, n = {int((groups == name).sum()):,}"


def _strips(
    axes: Axes, values: np.ndarray, groups: np.ndarray, names: list[str], means: Mapping[str, Interval]
) -> None:
    """One row a group, the first on top: dots are sequences, at most 300 of them, and a bar is mean and interval."""
    for place, name in enumerate(names):
        dots = values[(groups == name) & np.isfinite(values)]
        dots = dots[:: -(-len(dots) // _MOST_POINTS)] if len(dots) else dots
        jitter = ((np.arange(len(dots)) * 0.618034) % 1 - 0.5) * 0.56
        axes.scatter(dots, place + jitter, s=7, color=_COLOURS[name], alpha=0.55, linewidths=0, rasterized=True)
        found = means[name]
        if found.defined:
            axes.plot([found.low, found.high], [place, place], color="black", linewidth=1.4, zorder=4)
        axes.plot(found.estimate, place, "D", color="white", markeredgecolor="black", markersize=4.2, zorder=5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
