"""The karyotype: every sequence as a bar, coloured by split, with its genes and repeats."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecBase
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy

from evaluation.drawing.style import SPLIT_COLOURS, new_figure

_MOST_SEQUENCES = 60
#: Homologs share a label, so that more of them fit on a page.
_MOST_HOMOLOGS = 150
_MOST_UNPLACED = 10
#: Sequences up to which the figure has one column, and two; else three.
_ROWS_OF_ONE_COLUMN, _ROWS_OF_TWO_COLUMNS = 20, 48
#: Rows left free between two groups.
_GROUP_GAP = 0.7
#: Pieces of a bar that is as wide as the page, each in one colour: about the dots of the print.
_PIECES_OF_A_LINE = 2000
#: Part of a row that the bar takes; strips are below.
_BAR = 0.44
#: Inches: what all rows together should take, and the limits of one row.
_ALL_ROWS, _LOWEST_ROW, _HIGHEST_ROW = 4.0, 0.145, 0.8
_AXIS_HEIGHT, _SCALES_HEIGHT, _LEGEND_HEIGHT = 0.42, 0.52, 0.3
_LONGEST_LABEL = 16
#: Points of the labels of rows: where rows are low, and elsewhere.
_SMALL_LABEL, _LABEL = 6.5, 8
_FILLS = SPLIT_COLOURS | {"left out": "#8A8A8A", "gap (N)": "#FFFFFF"}
#: Fewer genes than this, on average, would make a density jump from bin to bin.
_GENES_OF_A_MEAN = 3
_LONGEST_MEAN = 41


@dataclass(frozen=True)
class _Strip:
    """A density along all bins, NaN where a bin has no bases."""

    densities: np.ndarray
    top: float
    colours: str
    label: str

    @property
    def scale(self) -> ScalarMappable:
        """Colours of the values."""
        return ScalarMappable(Normalize(0, self.top), mpl.colormaps[self.colours])


def shown_sequences(sequences: pd.DataFrame) -> pd.DataFrame:
    """The longest sequences, as many as a page has room for: homologs side by side, unplaced ones last.

    Parameters
    ----------
    sequences : DataFrame
        seqid, length, placed, group, in natural order.
    """
    placed, unplaced = sequences[sequences["placed"]], sequences[~sequences["placed"]]
    most = _MOST_HOMOLOGS if placed["group"].duplicated().any() else _MOST_SEQUENCES
    kept = pd.concat([placed.nlargest(most, "length"), unplaced.nlargest(_MOST_UNPLACED, "length")]).sort_index()
    kept["rank"] = np.where(kept["placed"], pd.factorize(kept["group"])[0], len(kept))
    return kept.sort_values("rank", kind="stable", ignore_index=True).drop(columns="rank")


def karyotype(shown: pd.DataFrame, density: pd.DataFrame, split: pd.DataFrame) -> Figure:
    """Each sequence as a bar coloured by split, above its density of genes and of repeats.

    Where splits change within a dot of the print, the bar has the mean of their colours.

    Parameters
    ----------
    shown : DataFrame
        From `shown_sequences`: seqid, length, placed, own_group, group, haplotype, subgenome.
    density : DataFrame
        Bins along the sequences, in order: seqid, start, end, n, soft_masked, genes.
    split : DataFrame
        Disjoint regions: seqid, start, end, split.
    """
    bins = density[density["seqid"].isin(shown["seqid"])].reset_index(drop=True)
    longest = int(shown["length"].max())
    unit, unit_name = (1e6, "Mb") if longest >= 1e6 else (1e3, "kb")
    strips, rows = _strips(bins, unit, unit_name), _arranged(shown)
    n_columns, tallest = int(rows["column"].max()) + 1, float(rows["place"].max()) + 1
    height = tallest * min(max(_ALL_ROWS / tallest, _LOWEST_ROW), _HIGHEST_ROW)
    heights = [height + _AXIS_HEIGHT, _SCALES_HEIGHT][: 1 + bool(strips)]
    figure = new_figure(sum(heights) + _LEGEND_HEIGHT)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    panels = grid[0].subgridspec(1, n_columns, wspace=0.03).subplots(sharex=True, squeeze=False)[0]
    places, regions = bins.groupby("seqid", sort=False).indices, dict(tuple(split.groupby("seqid", sort=False)))
    step = max(longest * n_columns // _PIECES_OF_A_LINE, 1)
    present = np.zeros(len(_FILLS))
    for row in rows[["seqid", "length", "column", "place"]].to_dict("records"):
        here, axes = places[row["seqid"]], panels[row["column"]]
        pieces = np.append(np.arange(0, row["length"], step), row["length"])
        shares = _fill_shares(pieces, bins.iloc[here], regions.get(row["seqid"], split.iloc[:0]))
        present += shares.sum(axis=0)
        _draw_bar(axes, row["place"], pieces / unit, _blended(shares))
        edges = np.append(bins["start"].to_numpy()[here], row["length"]) / unit
        _draw_strips(axes, row["place"], edges, [strip.scale.to_rgba(strip.densities[here]) for strip in strips])
    for number, axes in enumerate(panels):
        _label_rows(figure, axes, rows[rows["column"] == number], _LABEL if n_columns == 1 else _SMALL_LABEL)
        axes.set(xlim=(0, longest / unit * 1.005), ylim=(tallest, -0.2), xlabel=f"position ({unit_name})")
        axes.xaxis.set_major_locator(MaxNLocator(10 if n_columns == 1 else 4, steps=[1, 2, 5, 10]))
        axes.spines["left"].set_visible(False)
    if strips:
        _draw_scales(figure, grid[1].subgridspec(1, len(strips), wspace=0.15), strips)
    _draw_legend(figure, [name for name, bases in zip(_FILLS, present, strict=True) if bases > 0])
    return figure


def _fill_shares(edges: np.ndarray, bins: pd.DataFrame, regions: pd.DataFrame) -> np.ndarray:
    """Share of the bases between each two edges that is train, val, test, left out, N; (pieces, 5).

    Where the N of a bin are is not known: they share with what is left out the bases that no region covers.
    """
    covered = [_covered(edges, regions[regions["split"] == name]) for name in SPLIT_COLOURS]
    uncovered = np.maximum(np.diff(edges) - np.sum(covered, axis=0), 0)
    bin_edges = np.append(bins["start"].to_numpy(), edges[-1])
    gap = np.minimum(_ratio(bins["n"].to_numpy(float), np.diff(bin_edges) - _covered(bin_edges, regions)), 1)
    here = np.searchsorted(bin_edges, edges[:-1], side="right") - 1
    of_gap = uncovered * np.nan_to_num(gap)[here]
    shares: np.ndarray = np.column_stack([*covered, uncovered - of_gap, of_gap]) / np.diff(edges)[:, None]
    return shares


def _covered(edges: np.ndarray, regions: pd.DataFrame) -> np.ndarray:
    """Bases between each two edges that disjoint regions cover."""
    if regions.empty:
        return np.zeros(len(edges) - 1)
    borders = regions[["start", "end"]].sort_values("start").to_numpy()
    lengths = borders[:, 1] - borders[:, 0]
    # Bases covered before each border; up to the next one the number stays, or grows by one a base.
    before = np.column_stack([lengths.cumsum() - lengths, lengths.cumsum()])
    covered: np.ndarray = np.diff(np.interp(edges, borders.ravel(), before.ravel()))
    return covered


def _blended(shares: np.ndarray) -> np.ndarray:
    """Mean colour of each piece, (pieces, 3)."""
    palette = np.array([to_rgb(colour) for colour in _FILLS.values()])
    colours: np.ndarray = np.clip(shares @ palette / shares.sum(axis=1, keepdims=True), 0, 1)
    return colours


def _strips(bins: pd.DataFrame, unit: float, unit_name: str) -> list[_Strip]:
    """Density of genes and of repeats, each where the genome has any."""
    bases = (bins["end"] - bins["start"] - bins["n"]).to_numpy(float)
    strips = []
    if bins["genes"].any():
        span = min(int(_GENES_OF_A_MEAN / bins["genes"].mean()) // 2 * 2 + 1, _LONGEST_MEAN)
        genes, around = _sums_around(bins["genes"], bins, span), _sums_around(pd.Series(bases), bins, span)
        values = unit * _ratio(genes, np.where(bases > 0, around, 0))
        width = int((bins["end"] - bins["start"]).max()) * span
        label = f"genes per {unit_name}, mean over {_length(width)}"
        strips.append(_Strip(values, float(np.nanquantile(values[values > 0], 0.99)), "Greens", label))
    if bins["soft_masked"].any():
        values = 100 * _ratio(bins["soft_masked"].to_numpy(float), bases)
        strips.append(_Strip(values, 100, "Greys", "repeats (soft-masked), %"))
    return strips


def _length(bases: int) -> str:
    """A length in two or three digits, as `290 kb`."""
    for size, name in ((1e6, "Mb"), (1e3, "kb")):
        if bases >= size:
            return f"{bases / size:.0f} {name}" if bases >= 10 * size else f"{bases / size:.1f} {name}"
    return f"{bases} bp"


def _sums_around(values: pd.Series, bins: pd.DataFrame, span: int) -> np.ndarray:
    """Sum over the `span` bins around each bin, as far as they are on its sequence."""
    place = np.arange(len(bins))
    sequence = pd.factorize(bins["seqid"])[0]
    first = np.searchsorted(sequence, sequence, side="left")
    last = np.searchsorted(sequence, sequence, side="right")
    so_far = np.concatenate([[0.0], np.cumsum(values.to_numpy(float))])
    sums: np.ndarray = so_far[np.minimum(place + span // 2 + 1, last)] - so_far[np.maximum(place - span // 2, first)]
    return sums


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, NaN where there is no whole."""
    ratio: np.ndarray = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio


def _arranged(shown: pd.DataFrame) -> pd.DataFrame:
    """Sequences with their column, their place in it (rows from the top), their label and that of their group."""
    group = np.where(shown["placed"], shown["group"], "unplaced")
    size = pd.Series(group).map(pd.Series(group).value_counts()).to_numpy()
    # Sequences without homologs are listed one below the other, under no heading.
    heading = np.where((size > 1) | (group == "unplaced"), group, "")
    n_columns = 1 + (len(shown) > _ROWS_OF_ONE_COLUMN) + (len(shown) > _ROWS_OF_TWO_COLUMNS)
    most = -(-len(shown) // n_columns)
    within = pd.Series(group).groupby(group).cumcount().to_numpy()
    # A group stays in one column where it can.
    block = pd.DataFrame({"group": group, "part": within // most}).groupby(["group", "part"], sort=False).ngroup()
    middle = pd.Series(np.arange(len(shown)) + 0.5).groupby(block).transform("mean").to_numpy()
    column = np.minimum((middle / len(shown) * n_columns).astype(int), n_columns - 1)
    is_same_column = np.append(False, column[1:] == column[:-1])
    gap = _GROUP_GAP * (is_same_column & np.append(False, heading[1:] != heading[:-1]))
    place = pd.Series(1 + gap).groupby(column).cumsum().to_numpy() - 1
    return shown.assign(column=column, place=place, heading=heading, label=_labels(shown))


def _labels(shown: pd.DataFrame) -> list[str]:
    """Subgenome and haplotype where these tell the homologs apart, else with the chromosome, else the whole name."""
    short = (shown["subgenome"] + shown["haplotype"]).astype(object)
    longer = (shown["own_group"] + short).astype(object)
    label = shown["seqid"].astype(object)
    for shorter in (longer, short):
        is_clear = (short != "") & ~(shown["group"] + "\t" + shorter).duplicated(keep=False)
        # One that is not clear makes its whole group unclear.
        label = label.where(~is_clear.groupby(shown["group"]).transform("all"), shorter)
    return [_shortened(name, _LONGEST_LABEL) for name in label]


def _shortened(name: str, most: int) -> str:
    """A long name without its middle: names often differ at their ends."""
    return name if len(name) <= most else f"{name[: most // 3]}…{name[len(name) - (most - most // 3 - 1) :]}"


def _draw_bar(axes: Axes, place: float, edges: np.ndarray, colours: np.ndarray) -> None:
    """The bar of a sequence, in the upper part of its row."""
    axes.pcolormesh(edges, [place, place + _BAR], colours[None], rasterized=True)
    outline = {"fill": False, "edgecolor": "#333333", "linewidth": 0.4}
    axes.add_patch(Rectangle((0, place), edges[-1], _BAR, **outline))  # type: ignore[arg-type]


def _draw_strips(axes: Axes, place: float, edges: np.ndarray, strips: list[np.ndarray]) -> None:
    """The densities of a sequence, one below the other in the lower part of its row."""
    for number, colours in enumerate(strips):
        top = place + _BAR + 0.04 + 0.2 * number
        axes.pcolormesh(edges, [top, top + 0.16], colours[None], rasterized=True)


def _label_rows(figure: Figure, axes: Axes, rows: pd.DataFrame, size: float) -> None:
    """Name of each sequence beside it, and of each group beside its sequences."""
    axes.set_yticks(rows["place"] + _BAR / 2, rows["label"].tolist(), fontsize=size, parse_math=False)
    axes.tick_params(axis="y", length=0, pad=3)
    for heading, of_group in rows[rows["heading"] != ""].groupby("heading", sort=False):
        points = 0.65 * size * of_group["label"].str.len().max() + 7
        beside = offset_copy(axes.get_yaxis_transform(), figure, x=-points, units="points")
        first, last = of_group["place"].min(), of_group["place"].max() + 0.84
        axes.plot([0, 0], [first, last], color="#999999", linewidth=0.8, transform=beside, clip_on=False)
        axes.annotate(
            _shortened(str(heading), _LONGEST_LABEL // 2),
            (0, (first + last) / 2),
            (-3, 0),
            xycoords=beside,
            textcoords="offset points",
            ha="right",
            va="center",
            rotation=90 if len(str(heading)) > 3 else 0,
            fontsize=8,
            fontweight="bold",
            parse_math=False,
        )


def _draw_scales(figure: Figure, grid: GridSpecBase, strips: list[_Strip]) -> None:
    for place, strip in enumerate(strips):
        bar = figure.colorbar(
            strip.scale,
            cax=figure.add_subplot(grid[0, place]),
            orientation="horizontal",
            extend="max" if np.nanmax(strip.densities) > strip.top else "neither",
        )
        bar.set_label(strip.label, fontsize=8)
        bar.ax.tick_params(labelsize=7, length=2)
        bar.ax.xaxis.set_major_locator(MaxNLocator(5))


def _draw_legend(figure: Figure, names: list[str]) -> None:
    handles = [Patch(facecolor=_FILLS[name], edgecolor="#333333", linewidth=0.4, label=name) for name in names]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handlelength=1.6)
