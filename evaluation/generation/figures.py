"""Figures of the generated sequences."""

from __future__ import annotations

import logomaker
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from evaluation.artefacts.sequences import gc_shares
from evaluation.drawing.style import BASE_COLOURS, COLOURS, new_figure, place_legend_above
from evaluation.generation.summary import KMER, LOGO_POSITIONS, Generation

#: What a group is called in a figure.
GROUP_LABELS = {
    "genome": "genome, random",
    "truth": "genome, after prompts",
    "base": "base",
    "adapted": "adapted",
}
_LOWEST_TOP_BITS = 0.5


def sequence_logos(generation: Generation) -> Figure:
    """Sequence logo of what follows the prompts, one panel a group, with the same scale."""
    logos = generation.logos
    figure = new_figure(0.35 + 0.95 * len(logos))
    panels = figure.subplots(len(logos), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    top = max([_LOWEST_TOP_BITS, *(float(heights.sum(axis=1).max()) for heights in logos.values() if len(heights))])
    for axes, (group, heights) in zip(panels, logos.items(), strict=True):
        if len(heights):
            logomaker.Logo(heights.set_axis(np.arange(1, len(heights) + 1)), ax=axes, color_scheme=BASE_COLOURS)
        axes.set(ylim=(0, min(top * 1.05, 2)), ylabel="bits", xlim=(0.4, LOGO_POSITIONS + 0.6))
        axes.set_title(f"{GROUP_LABELS[group]} (n = {len(generation.groups[group])})", pad=3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xticks([1, *range(10, LOGO_POSITIONS + 1, 10)])
    panels[-1].set_xlabel("position after the prompt (bp)")
    return figure


def gc_bars(generation: Generation) -> Figure:
    """Mean GC share of each group with its standard deviation; dots are sequences."""
    figure = new_figure(2.5, 4.2)
    axes = figure.subplots()
    for place, (group, sequences) in enumerate(generation.groups.items()):
        shares = gc_shares(sequences)
        shares = shares[~np.isnan(shares)]
        if not len(shares):
            continue
        deviation = shares.std(ddof=1) if len(shares) > 1 else 0.0
        axes.bar(place, shares.mean(), 0.65, color=COLOURS[group], alpha=0.35)
        jitter = ((np.arange(len(shares)) * 0.618034) % 1 - 0.5) * 0.4
        axes.scatter(place + jitter, shares, s=6, color=COLOURS[group], linewidths=0)
        axes.errorbar(place, shares.mean(), deviation, color="#222222", capsize=4, linewidth=1)
    names = [f"{GROUP_LABELS[group].replace(', ', chr(10))}\nn = {len(s)}" for group, s in generation.groups.items()]
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("GC")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def length_histogram(generation: Generation) -> Figure:
    """Lengths of the generated sequences."""
    figure = new_figure(2.2, 4.2)
    axes = figure.subplots()
    written = [group for group in ("base", "adapted") if group in generation.groups]
    lengths = [np.array([len(sequence) for sequence in generation.groups[group]]) for group in written]
    longest = max(int(group.max()) for group in lengths)
    # From zero: a narrow axis would make a spread of what is one length.
    edges = np.linspace(0, longest * 1.1, 23)
    axes.hist(lengths, edges.tolist(), color=[COLOURS[group] for group in written], label=written, rwidth=0.8)
    axes.set(xlabel="length (bp)", ylabel="sequences")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    place_legend_above(axes, 2)
    return figure


def kmer_spectrum(generation: Generation) -> Figure:
    """Frequency of every k-mer in the genome (bars) and in what the models wrote (points)."""
    figure = new_figure(2.8)
    axes = figure.subplots()
    table = generation.spectra.sort_values("genome", ascending=False, kind="stable")
    places = np.arange(len(table))
    axes.bar(places, table["genome"], 0.9, color="#BBBBBB", label="genome, matched length")
    distance = generation.summary.set_index("group")["kmer_distance"]
    for group, marker in (("base", "o"), ("adapted", "^")):
        if group in table:
            label = f"{group}, distance {distance[group]:.3f}"
            axes.scatter(places, table[group], s=14, marker=marker, color=COLOURS[group], linewidths=0, label=label)
    axes.set_xticks(places, table["kmer"].tolist(), rotation=90, fontsize=5.5, family="monospace")
    axes.tick_params(axis="x", length=0, pad=1)
    axes.margins(x=0.01)
    axes.set(xlabel=f"{KMER}-mer, most frequent in the genome first", ylabel="relative frequency")
    place_legend_above(axes, 3)
    return figure
