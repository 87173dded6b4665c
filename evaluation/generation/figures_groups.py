"""Figures of sets of sequences: distances between them, and the completion of genes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from evaluation.drawing.style import COLOURS, new_figure, place_legend_above
from evaluation.generation.completion import Completion
from evaluation.generation.diversity import GroupDiversity
from evaluation.generation.samples import MODELS
from evaluation.statistics.bootstrap import Interval

#: Genes that one figure shows; the table has them all.
MOST_GENES = 20
_MOST_POINTS = 100
_LONGEST_NAME = 34


def distances(diversity: Mapping[str, GroupDiversity], labels: Mapping[str, str]) -> Figure:
    """Mean distance between prompts and between samples of one prompt, by group."""
    figure = new_figure(0.85 + 0.26 * len(diversity), 5.6)
    axes = figure.subplots()
    for place, (group, found) in enumerate(diversity.items()):
        for offset, value, face in ((-0.16, found.between, COLOURS[group]), (0.16, found.within, "white")):
            if not np.isfinite(value.estimate):
                continue
            if value.defined:
                axes.plot([value.low, value.high], [place + offset] * 2, color=COLOURS[group], linewidth=1.4)
            axes.plot(value.estimate, place + offset, "o", color=face, markeredgecolor=COLOURS[group], markersize=5.5)
    for name, face in (("between prompts", "#333333"), ("between samples of a prompt", "white")):
        axes.plot([], [], "o", color=face, markeredgecolor="#333333", markersize=5.5, label=name)
    names = [f"{labels[group]}, n = {found.compared:,}" for group, found in diversity.items()]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("cosine distance of 6-mers (0 same, 1 nothing in common)")
    place_legend_above(axes, 2)
    return figure


def gene_completion(completion: Completion, labels: Mapping[str, str]) -> Figure:
    """Amino-acid recovery of each gene: dots are continuations, bars are means with intervals; and over all genes."""
    genes = list(completion.genes)[:MOST_GENES]
    rows: dict[str, Mapping[str, Interval]] = {gene: completion.genes[gene] for gene in genes}
    rows["all genes"] = completion.recovery
    groups = [group for group in ("markov", *MODELS) if group in completion.recovery]
    figure = new_figure(0.85 + (0.07 + 0.11 * len(groups)) * len(rows))
    axes = figure.subplots()
    table = completion.sequences
    for place, (gene, means) in enumerate(rows.items()):
        for number, group in enumerate(groups):
            if group not in means:
                continue
            height = place + 0.7 * ((number + 0.5) / len(groups) - 0.5)
            dots = table.loc[(table["gene"] == gene) & (table["group"] == group), "recovery"].to_numpy(float)
            dots = dots[:_MOST_POINTS] if place < len(genes) else dots[:0]
            axes.scatter(dots, np.full(len(dots), height), s=7, color=COLOURS[group], alpha=0.4, linewidths=0)
            found = means[group]
            if found.defined:
                axes.plot([found.low, found.high], [height] * 2, color=COLOURS[group], linewidth=1.5)
            axes.plot(found.estimate, height, "D", color=COLOURS[group], markeredgecolor="black", markersize=4)
    for group in groups:
        axes.plot([], [], "D", color=COLOURS[group], markeredgecolor="black", markersize=4, label=labels[group])
    axes.axhline(len(genes) - 0.5, color="#333333", linewidth=0.6)
    organisms = table.drop_duplicates("gene").set_index("gene")["organism"]
    names = [_short(f"{gene}, {organisms[gene]}" if organisms[gene] else gene) for gene in genes]
    axes.set_yticks(range(len(rows)), [*names, "all genes"])
    axes.set(xlim=(-2, 102), ylim=(len(rows) - 0.5, -0.5), xlabel="amino acids recovered beyond the prompt (%)")
    axes.tick_params(axis="y", length=0)
    place_legend_above(axes, 3)
    return figure


def _short(name: str) -> str:
    """A name from the input as text that fits: a dollar sign would start mathematics."""
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return short.replace("$", r"\$")
