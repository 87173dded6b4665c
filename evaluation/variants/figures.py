"""Figures of the variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from evaluation.drawing.style import COLOURS, new_figure, plain, shortened
from evaluation.page.text import number
from evaluation.statistics.bootstrap import Interval
from evaluation.statistics.ranking import precision_recall_curve, roc_curve
from evaluation.variants.effects import Measures, VariantEffects

#: For models whose scores were made elsewhere.
_OTHER_COLOURS = ("#0072B2", "#D55E00", "#CC79A7", "#E69F00", "#000000", "#8C6D31")
# One fewer than the colours, so that the two come together again late.
_MARKERS = ("o", "^", "D", "v", "P")
_BASELINE_LINES = {"markov": (0, (4, 1.5)), "kmer": (0, (1, 1))}
_MODEL_LINES = ("-", "-.", (0, (3, 1, 1, 1, 1, 1)))
_LONGEST_NAME, _LONGEST_TITLE = 28, 22
#: Variants of a group up to which each is a dot; with fewer than the second number, there is no shape to draw.
_MOST_DOTS, _FEWEST_FOR_SHAPE = 60, 20
#: Share of the variants that the axis leaves beyond each end.
_BEYOND = 0.0025
#: Most classes in a figure, the largest first.
MOST_CLASSES = 15
_UNDEFINED = Interval(np.nan, np.nan, np.nan)


def delta_distributions(effects: VariantEffects, labels: Mapping[str, str]) -> Figure:
    """Δ of each model and of the Markov baseline, by label where there are labels, else by consequence class."""
    models = [*effects.scored.models, "markov"]
    groups = _groups(effects)
    columns = min(len(models), 3)
    rows = -(-len(models) // columns)
    figure = new_figure(0.5 + rows * (0.75 + 0.34 * len(groups)))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(models) :]:
        axes.set_visible(False)
    for axes, model in zip(panels.flat, models, strict=False):
        values = effects.scored.deltas(model)
        for place, chosen in enumerate(groups.values()):
            _draw_group(axes, place, values[chosen & np.isfinite(values)], _colour(effects, model))
        axes.axvline(0, color="#333333", linewidth=0.6, zorder=0)
        _limit(axes, values[np.isfinite(values)])
        axes.set_title(plain(shortened(labels[model], _LONGEST_TITLE)), pad=4)
        axes.set_xlabel("Δ log-likelihood (nats)")
    # Scores made elsewhere may lack variants; the Markov model has them all.
    scored = np.isfinite([effects.scored.deltas(model) for model in models])
    names = [f"{plain(shortened(name, _LONGEST_NAME))}\n{_amount(scored[:, at])}" for name, at in groups.items()]
    panels[0, 0].set_yticks(range(len(groups)), names)
    panels[0, 0].set_ylim(len(groups) - 0.4, -0.6)
    return figure


def _amount(scored: np.ndarray) -> str:
    """How many variants of a group have a score, (models, n) bool; of several models, the fewest and the most."""
    fewest, most = int(scored.sum(axis=1).min()), int(scored.sum(axis=1).max())
    return f"n = {most:,}" if fewest == most else f"n = {fewest:,} to {most:,}"


def _groups(effects: VariantEffects) -> dict[str, np.ndarray]:
    """Which variants stand side by side."""
    scored = effects.scored
    if effects.overall.ranking is not None:
        return {
            scored.side(True): scored.is_labelled & scored.positive,
            scored.side(False): scored.is_labelled & ~scored.positive,
        }
    return {name: scored.classes == name for name in scored.class_names[:MOST_CLASSES]}


def _draw_group(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    if not len(values):
        return
    lower, middle, upper = np.quantile(values, [0.25, 0.5, 0.75])
    if len(values) >= _FEWEST_FOR_SHAPE and upper > lower:
        low, high = np.quantile(values, [_BEYOND, 1 - _BEYOND])
        at = np.linspace(low, high, 200)
        # Silverman's bandwidth (1986, Density Estimation, p. 48), which single variants far away do not widen.
        spread = min(float(values.std(ddof=1)), (upper - lower) / 1.34)
        bandwidth = 0.9 * spread * len(values) ** -0.2
        density = stats.gaussian_kde(values, bandwidth / values.std(ddof=1))(at)
        half = 0.4 * density / density.max()
        axes.fill_between(at, place - half, place + half, color=colour, alpha=0.35, linewidth=0)
    if len(values) <= _MOST_DOTS:
        jitter = ((np.arange(len(values)) * 0.618034) % 1 - 0.5) * 0.5
        axes.scatter(values, place + jitter, s=5, color=colour, linewidths=0, alpha=0.7)
    axes.plot([lower, upper], [place, place], color="#222222", linewidth=2, solid_capstyle="butt")
    axes.plot(middle, place, "o", color="white", markeredgecolor="#222222", markersize=4, markeredgewidth=0.9)


def _limit(axes: Axes, values: np.ndarray) -> None:
    """Show nearly all values: single ones far away would press the others into a line."""
    if not len(values):
        axes.set_xlim(-1, 1)
        return
    low, high = np.quantile(values, [_BEYOND, 1 - _BEYOND])
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.04 * (high - low) or 1.0
    axes.set_xlim(low - margin, high + margin)


def curves(effects: VariantEffects, labels: Mapping[str, str]) -> Figure:
    """ROC and precision–recall curve of every model and baseline over all labelled variants."""
    ranking = effects.overall.ranking
    assert ranking is not None
    scores, positive = _labelled_scores(effects)
    figure = new_figure(3.1 + 0.17 * ((len(scores) + 1) // 2))
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=COLOURS["uniform"], linewidth=0.8, linestyle=":")
    right.axhline(ranking.prevalence, color=COLOURS["uniform"], linewidth=0.8, linestyle=":", label="chance")
    for model, values in scores.items():
        look: dict[str, Any] = {"color": _colour(effects, model), "linestyle": _line(effects, model)}
        left.step(*roc_curve(values, positive), where="post", **look)
        recall, precision = precision_recall_curve(values, positive)
        name = plain(shortened(labels[model], _LONGEST_NAME))
        told = f"{name}: {number(ranking.auroc[model].estimate)}, {number(ranking.auprc[model].estimate)}"
        right.step([0.0, *recall], [precision[0], *precision], where="pre", label=told, **look)
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    right.set(xlabel="recall", ylabel="precision", title="precision–recall", ylim=(0, 1.02))
    for axes in (left, right):
        axes.set(xlim=(-0.01, 1.01), box_aspect=1)
    left.set_ylim(-0.01, 1.02)
    figure.legend(loc="outside lower center", ncols=2, title="AUROC, AUPRC", title_fontsize=8, handlelength=2.4)
    return figure


def _labelled_scores(effects: VariantEffects) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Scores by model of the labelled variants that all models have scored, and which of them are positive."""
    scored, kmer, ranking = effects.scored, effects.kmer, effects.overall.ranking
    assert kmer is not None and ranking is not None
    scores = {model: -scored.deltas(model) for model in (*scored.models, "markov")} | {"kmer": kmer}
    scores = {model: values for model, values in scores.items() if model in ranking.auroc}
    rows = np.logical_and.reduce([scored.is_labelled, *(~np.isnan(values) for values in scores.values())])
    return {model: values[rows] for model, values in scores.items()}, scored.positive[rows]


def forest(effects: VariantEffects, labels: Mapping[str, str]) -> Figure:
    """AUROC, and correlation with the measured value, of every model and baseline: all variants, then each class."""
    parts = {"all variants": effects.overall} | dict(list(effects.by_class.items())[:MOST_CLASSES])
    models = [*effects.scored.models, "markov", "kmer"]
    has_labels, has_values = effects.overall.ranking is not None, bool(effects.overall.spearman)
    figure = new_figure(0.75 + len(parts) * (0.16 + 0.1 * len(models)))
    panels = figure.subplots(1, has_labels + has_values, sharey=True, squeeze=False)[0]
    if has_labels:
        found = [part.ranking.auroc if part.ranking else {} for part in parts.values()]
        _draw_intervals(panels[0], effects, found, models, labels)
        panels[0].axvline(0.5, color=COLOURS["uniform"], linewidth=0.8, linestyle=":", zorder=0)
        panels[0].set(xlim=(-0.02, 1.02), xlabel="AUROC")
    if has_values:
        _draw_intervals(panels[-1], effects, [part.spearman for part in parts.values()], models, labels)
        panels[-1].axvline(0, color=COLOURS["uniform"], linewidth=0.8, linestyle=":", zorder=0)
        panels[-1].set(xlim=(-1.04, 1.04), xlabel="Spearman correlation")
    names = [f"{plain(shortened(name, _LONGEST_NAME))}\n{_sizes(part)}" for name, part in parts.items()]
    panels[0].set_yticks(range(len(parts)), names)
    panels[0].set_ylim(len(parts) - 0.5, -0.5)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        for border in range(1, len(parts)):
            axes.axhline(border - 0.5, color="#DDDDDD", linewidth=0.6, zorder=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, handlelength=1)
    return figure


def _draw_intervals(
    axes: Axes,
    effects: VariantEffects,
    found: Sequence[Mapping[str, Interval]],
    models: list[str],
    labels: Mapping[str, str],
) -> None:
    """One line and mark a model in each row."""
    for place, model in enumerate(models):
        rows = np.arange(len(found)) + (place / max(len(models) - 1, 1) - 0.5) * 0.6
        intervals = [row.get(model, _UNDEFINED) for row in found]
        colour = _colour(effects, model)
        axes.hlines(rows, [i.low for i in intervals], [i.high for i in intervals], color=colour, linewidth=1.3)
        axes.plot(
            [i.estimate for i in intervals],
            rows,
            _MARKERS[place % len(_MARKERS)],
            color=colour,
            markerfacecolor=colour if model in effects.scored.models else "white",
            markersize=4.5,
            label=plain(shortened(labels[model], _LONGEST_NAME)),
        )


def _sizes(part: Measures) -> str:
    sizes = [f"{part.ranking.n_positive:,} / {part.ranking.n_negative:,}"] if part.ranking else []
    return "; ".join(sizes + [f"n = {part.measured:,}"] * bool(part.spearman))


def _colour(effects: VariantEffects, model: str) -> str:
    if model in COLOURS:
        return COLOURS[model]
    return _OTHER_COLOURS[effects.scored.models.index(model) % len(_OTHER_COLOURS)]


def _line(effects: VariantEffects, model: str) -> Any:
    if model in _BASELINE_LINES:
        return _BASELINE_LINES[model]
    return _MODEL_LINES[effects.scored.models.index(model) // len(_OTHER_COLOURS) % len(_MODEL_LINES)]
