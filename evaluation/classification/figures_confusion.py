"""Figure of what is taken for what."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from evaluation.classification.classes import confusion, order
from evaluation.classification.figures import name_of
from evaluation.classification.reading import Classified, Method
from evaluation.drawing.style import SEQUENTIAL_MAP, new_figure
from evaluation.page.text import percent
from evaluation.statistics.groups import ratio

#: Classes that are named; of more the most frequent, and the others together.
MOST_CLASSES = 60
#: Classes up to which two methods stand side by side, with a number in every cell.
_FEW_CLASSES = 8
_LONGEST_NAME, _LONGEST_TITLE = 22, 40
_OTHERS, _NONE = "all others", "no prediction"
_MISSING_COLOUR = "#E0E0E0"


def confusions(data: Classified, methods: list[Method], level: str) -> Figure:
    """Share of each true class that is predicted as each class; of few classes, methods side by side.

    Parameters
    ----------
    data : Classified
    methods : list of Method
        The best first: of many classes it is drawn alone.
    level : str
    """
    drawn = [_shown(data, confusion(data, method, level), level) for method in methods]
    names = drawn[0][0]
    few = len(names) <= _FEW_CLASSES
    wide = len(methods) if few else 1
    size = max(2.3 if few else 0.105 * len(names) + 1.6, 2.3)
    figure = new_figure(min(size + 0.5, 8.4))
    panels = figure.subplots(1, wide, squeeze=False, sharey=True).ravel()
    for axes, method, (_, matrix) in zip(panels, methods, drawn, strict=False):
        image = _draw(axes, matrix, names, few)
        axes.set_title(name_of(method.title, _LONGEST_TITLE))
        axes.set_xlabel("predicted class")
    panels[0].set_ylabel("true class")
    figure.colorbar(image, ax=panels, label="share of the true class", aspect=30, pad=0.01)
    return figure


def _shown(data: Classified, matrix: np.ndarray, level: str) -> tuple[list[str], np.ndarray]:
    """Names of rows and columns, and the counts; classes as they stand along the tree."""
    size = len(matrix)
    matrix = np.vstack([matrix, np.zeros((1, size + 1), matrix.dtype)])
    ordered, names = order(data, level), data.classes[level]
    if size > MOST_CLASSES:
        frequent = np.argsort(-matrix.sum(axis=1)[:size], kind="stable")[: MOST_CLASSES - 1]
        ordered = ordered[np.isin(ordered, frequent)]
    label = np.full(size + 1, len(ordered))
    label[ordered] = np.arange(len(ordered))
    label[size] = len(ordered) + 1
    whole = np.zeros((len(ordered) + 2, len(ordered) + 2), np.int64)
    np.add.at(whole, (label[:, None], label[None, :]), matrix)
    kept = [*range(len(ordered)), *(len(ordered) + extra for extra in range(2) if whole[:, len(ordered) + extra].any())]
    told = [names[place] for place in ordered] + [_OTHERS, _NONE]
    return [told[place] for place in kept], whole[np.ix_(kept, kept)]


def _draw(axes: Axes, matrix: np.ndarray, names: list[str], few: bool) -> AxesImage:
    shares = ratio(matrix, matrix.sum(axis=1, keepdims=True))
    colours = mpl.colormaps[SEQUENTIAL_MAP].with_extremes(bad=_MISSING_COLOUR)
    image = axes.imshow(np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=1, aspect="auto")
    told = [name_of(name, _LONGEST_NAME) for name in names]
    # Of many names each has less than a line of the usual size.
    size = float(np.clip(330 / len(names), 4.8, 8))
    axes.set_xticks(range(len(names)), told, rotation=90 if not few else 30, ha="center" if not few else "right")
    axes.set_yticks(range(len(names)), told)
    axes.tick_params(length=0, labelsize=size)
    axes.spines[:].set_visible(False)
    if few:
        for (row, column), share in np.ndenumerate(shares):
            if np.isfinite(share):
                ink = "white" if share < 0.5 else "black"
                text = f"{percent(share)}\n{matrix[row, column]:,}"
                axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=ink)
    return image
