"""How every figure of the report looks: colours, fonts, sizes, and how a figure becomes a file.

Colours are those of Okabe & Ito (2008, "Color Universal Design"), told apart by people with any of the common
forms of colour blindness. A model has the same colour in every figure.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

COLOURS = {
    "base": "#0072B2",
    "adapted": "#D55E00",
    "markov": "#009E73",
    "copy": "#E69F00",
    "kmer": "#56B4E9",
    "uniform": "#7F7F7F",
    "genome": "#333333",
    "truth": "#CC79A7",
}
#: Told apart in grey too: a tint of the palette's sky blue, its orange, and a shade of its purple.
SPLIT_COLOURS = {"train": "#A6D4F2", "val": "#E69F00", "test": "#8C3A72"}
BASE_COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}
#: Perceptually uniform and readable in grey.
SEQUENTIAL_MAP = "cividis"
#: Inches: two columns of a journal page (180 mm).
PAGE_WIDTH = 7.08
PRINT_DPI = 300
#: Letters of a sequence's name that an axis has room for.
_LONGEST_NAME = 50

_SETTINGS: dict[Any, Any] = {
    "axes.edgecolor": "#333333",
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "savefig.facecolor": "white",
    "xtick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.labelsize": 8,
    "ytick.major.width": 0.7,
}


@contextmanager
def applied() -> Iterator[None]:
    """Draw and save figures inside this block: matplotlib reads its settings at both moments."""
    with mpl.rc_context(_SETTINGS):
        yield


def new_figure(height: float, width: float = PAGE_WIDTH) -> Figure:
    """Empty figure of the given size in inches, kept out of pyplot's global list."""
    return Figure(figsize=(width, height), layout="constrained")


def place_legend_above(axes: Axes, columns: int) -> None:
    """Legend in one line above the axes, where it hides no data."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns, borderaxespad=0, handlelength=1.6)


def plain(name: str) -> str:
    """A name from the input as text: a dollar sign would start mathematics."""
    return name.replace("$", r"\$")


def shortened(name: str, longest: int) -> str:
    """A name of at most `longest` letters: of a longer one its beginning and its end."""
    if len(name) <= longest:
        return name
    head = longest // 2
    return f"{name[:head]}…{name[head + 1 - longest :]}"


def label_positions(axes: Axes, seqid: str, bases: int) -> None:
    """Label a horizontal axis of 0-based positions on a sequence, in bp, kb or Mb as `bases` of it are shown."""
    unit, name = next((u, n) for u, n in ((1_000_000, "Mb"), (1_000, "kb"), (1, "bp")) if bases >= 10 * u or u == 1)
    # At least ten units are shown, so that every step is a whole number of them.
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:,.0f}"))
    axes.set_xlabel(f"position on {plain(shortened(seqid, _LONGEST_NAME))} ({name}, 0-based)")


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG with 300 dots per inch."""
    figure.savefig(path, dpi=PRINT_DPI)


def as_data_uri(path: Path) -> str:
    """A PNG file as a `data:` address for an HTML page."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
