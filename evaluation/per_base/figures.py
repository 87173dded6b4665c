"""Figures of the per-base and per-window scores."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation.drawing.style import COLOURS, PAGE_WIDTH, SEQUENTIAL_MAP, new_figure, place_legend_above
from evaluation.experiment.measured import Experiment
from evaluation.page.text import bracketed
from evaluation.per_base.scores import BASE_COLUMN, UNIFORM_NLL, WindowScores, entropy_bits
from evaluation.statistics.bootstrap import Interval
from workflow.artifacts import BASES

#: Nats; e^−4 is a probability of 0.018, below which differences matter little to the eye.
_DARKEST_LOGPROB = -4.0
_MOST_LETTERS = 150
_MOST_POINTS = 100


def window_heatmap(logprobs: dict[str, np.ndarray], bases: np.ndarray, labels: dict[str, str], start: int) -> Figure:
    """Log-probabilities of A, C, G, T base by base; a dot marks the observed base.

    Parameters
    ----------
    logprobs : dict
        (n, 4) natural-log probabilities by model.
    bases : ndarray, (n,) uint8
        Observed bases as ASCII.
    labels : dict
        Title by model.
    start : int
        Position of the first base within its window, 0-based.
    """
    has_gain = len(logprobs) == 2
    heights = [1.0] * len(logprobs) + [0.7] * has_gain
    figure = new_figure(0.55 + 1.05 * sum(heights))
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    codes = BASE_COLUMN[bases]
    positions = start + np.arange(len(bases))
    is_base = codes < len(BASES)
    colours = mpl.colormaps[SEQUENTIAL_MAP].with_extremes(bad="#E0E0E0")
    for axes, (model, values) in zip(panels, logprobs.items(), strict=False):
        image = axes.imshow(
            np.ma.masked_invalid(values.astype(float).T),
            aspect="auto",
            cmap=colours,
            vmin=_DARKEST_LOGPROB,
            vmax=0,
            interpolation="nearest",
            extent=(start - 0.5, start + len(bases) - 0.5, 3.5, -0.5),
        )
        axes.scatter(positions[is_base], codes[is_base], s=5, color="white", edgecolors="black", linewidths=0.5)
        axes.set_yticks(range(4), list(BASES))
        axes.tick_params(length=0)
        axes.set_title(labels[model], pad=12 if axes is panels[0] and len(bases) <= _MOST_LETTERS else 4)
        axes.spines[:].set_visible(False)
    if len(bases) <= _MOST_LETTERS:
        for position, letter in zip(positions, bases.tobytes().decode("ascii", "replace"), strict=True):
            panels[0].text(position, -0.62, letter, ha="center", va="bottom", fontsize=5.2, family="monospace")
    figure.colorbar(
        image, ax=panels[: len(logprobs)], label="log-probability (nats)", extend="min", aspect=25, pad=0.01
    )
    if has_gain:
        base, adapted = (_observed(values, codes) for values in logprobs.values())
        _draw_gain(panels[-1], base, adapted, positions)
    panels[-1].set_xlabel("position in the window (bp, 0-based)")
    return figure


def _observed(logprobs: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Log-probability of the observed base, NaN where there is none."""
    picked = logprobs[np.arange(len(codes)), np.minimum(codes, 3)].astype(float)
    return np.where(codes < len(BASES), picked, np.nan)


def _draw_gain(axes: Axes, base: np.ndarray, adapted: np.ndarray, positions: np.ndarray) -> None:
    gain = adapted - base
    colour = np.where(gain >= 0, COLOURS["adapted"], COLOURS["base"])
    axes.bar(positions, np.nan_to_num(gain), width=0.9, color=colour.tolist())
    axes.axhline(0, color="#333333", linewidth=0.6)
    axes.set_ylabel("gain (nats)")
    axes.set_title("adapted − base, observed base")


def entropy_track(
    logprobs: dict[str, np.ndarray], labels: dict[str, str], seqid: str, start: int, shaded: slice, reverse: bool
) -> Figure:
    """Entropy of the next base along a whole window, in bits, as a running mean over the values of each base.

    The entropy is that of the renormalised distribution over A, C, G, T (`evaluation.per_base.scores.entropy_bits`).

    Parameters
    ----------
    logprobs : dict
        (n, 4) natural-log probabilities by model, over the whole window.
    seqid, start : str, int
        Where the window begins, 0-based on the forward strand.
    shaded : slice
        Part of the window that the heatmap shows.
    reverse : bool
        The window is on the reverse strand: its first base is the rightmost.
    """
    figure = new_figure(2.3)
    axes = figure.subplots()
    for model, values in logprobs.items():
        entropy = entropy_bits(values)
        positions = start + (np.arange(len(entropy))[::-1] if reverse else np.arange(len(entropy)))
        span = max(len(entropy) // 50, 1)
        axes.plot(positions, entropy, color=COLOURS[model], linewidth=0.4, alpha=0.25)
        axes.plot(positions, _running_mean(entropy, span), color=COLOURS[model], label=labels[model], linewidth=1.1)
    axes.axhline(2, color=COLOURS["uniform"], linestyle=":", label="knows nothing (2 bits)")
    ends = np.array([shaded.start, shaded.stop - 1])
    left, right = sorted(start + (len(entropy) - 1 - ends if reverse else ends))
    axes.axvspan(left - 0.5, right + 0.5, color="#000000", alpha=0.07, linewidth=0)
    axes.set(xlabel=f"position on {_plain(seqid)} (bp, 0-based)", ylabel="entropy (bits)", ylim=(0, 2.08))
    axes.margins(x=0.005)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    place_legend_above(axes, 3)
    return figure


def _running_mean(values: np.ndarray, span: int) -> np.ndarray:
    """Mean over the defined values within a centred span, shorter at the ends; NaN where there is none."""
    defined = np.isfinite(values)
    kernel = np.ones(span)
    total = np.convolve(np.where(defined, values, 0.0), kernel, mode="same")
    number = np.convolve(defined.astype(float), kernel, mode="same")
    mean: np.ndarray = np.divide(total, number, out=np.full(len(values), np.nan), where=number > 0.5)
    return mean


def score_distributions(scores: WindowScores, labels: dict[str, str], gain: Interval | None) -> Figure:
    """Mean NLL per window of each model, as histogram and violin, and the paired gain per window."""
    panels_wide = 3 if gain is not None else 2
    figure = new_figure(2.9)
    panels = figure.subplots(1, panels_wide)
    values = {model: scores.per_base(model) for model in scores.models}
    edges = _edges(np.concatenate(list(values.values())))
    for model, per_window in values.items():
        panels[0].hist(per_window, edges, histtype="stepfilled", color=COLOURS[model], alpha=0.25, linewidth=0)
        panels[0].hist(per_window, edges, histtype="step", color=COLOURS[model], label=labels[model], linewidth=1.2)
    panels[0].axvline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":", label="uniform guess")
    panels[0].set(xlabel="NLL (nats per base)", ylabel="windows", title="a")
    panels[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    for place, (model, per_window) in enumerate(values.items()):
        _draw_violin(panels[1], place, per_window, COLOURS[model])
    panels[1].axhline(UNIFORM_NLL, color=COLOURS["uniform"], linestyle=":")
    panels[1].set_xticks(range(len(values)), [labels[model].replace(" ", "\n", 1) for model in values])
    panels[1].set(xlim=(-0.6, len(values) - 0.4), ylabel="NLL (nats per base)", title="b")
    if gain is not None:
        _draw_gain_histogram(panels[2], scores.gain("adapted", "base"), gain)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(names), handlelength=1.6)
    return figure


def _draw_violin(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    # A density of fewer than three different values would be an invention.
    if len(np.unique(values)) >= 3:
        body = axes.violinplot(values, [place], widths=0.8, showextrema=False)
        for part in body["bodies"]:  # type: ignore[attr-defined]
            part.set(facecolor=colour, alpha=0.3, edgecolor=colour, linewidth=0.8)
    if len(values) <= _MOST_POINTS:
        # The golden ratio spreads any number of points evenly and the same way in every run.
        jitter = ((np.arange(len(values)) * 0.618034 + 0.5) % 1 - 0.5) * 0.28
        axes.scatter(place + jitter, values, s=5, color=colour, alpha=0.7, linewidths=0)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    axes.vlines(place, low, high, color="#222222", linewidth=3)
    axes.scatter([place], [middle], s=14, color="white", edgecolors="#222222", linewidths=0.8, zorder=3)


def _draw_gain_histogram(axes: Axes, gains: np.ndarray, gain: Interval) -> None:
    axes.hist(gains, _edges(gains).tolist(), color=COLOURS["adapted"], alpha=0.55, edgecolor="white", linewidth=0.5)
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.axvline(gain.estimate, color=COLOURS["adapted"], linewidth=1.4)
    if gain.defined:
        axes.axvspan(gain.low, gain.high, color=COLOURS["adapted"], alpha=0.2, linewidth=0)
    axes.set(xlabel="gain, adapted over base\n(nats per base)", ylabel="windows", title="c")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _edges(values: np.ndarray) -> np.ndarray:
    """Histogram edges: Freedman–Diaconis or Sturges, whichever is finer, but 10 to 60 bins."""
    bins = len(np.histogram_bin_edges(values, "auto")) - 1
    edges: np.ndarray = np.histogram_bin_edges(values, min(max(bins, 10), 60))
    return edges


def experiment_scatter(experiment: Experiment, labels: dict[str, str]) -> Figure:
    """Measured value against the model's score, one panel a model."""
    models = list(experiment.pearson)
    figure = new_figure(2.9, PAGE_WIDTH)
    panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    for axes, model in zip(panels, models, strict=True):
        axes.scatter(
            experiment.table[f"score_{model}"],
            experiment.table["measured"],
            s=10,
            color=COLOURS[model],
            alpha=0.6,
            linewidths=0,
            rasterized=True,
        )
        axes.set_title(
            f"{labels[model]}, n = {len(experiment.table):,}\n"
            f"Pearson {bracketed(experiment.pearson[model])}\nSpearman {bracketed(experiment.spearman[model])}",
            fontsize=8,
            fontweight="normal",
        )
        axes.xaxis.set_major_locator(MaxNLocator(4))
    panels[0].set_ylabel(_plain(experiment.value_name))
    figure.supxlabel("mean log-likelihood (nats per base)", fontsize=8.5)
    return figure


def _plain(name: str) -> str:
    """A name from the input as text: a dollar sign would start mathematics."""
    return name.replace("$", r"\$")
