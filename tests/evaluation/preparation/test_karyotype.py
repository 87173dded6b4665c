from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from evaluation.drawing import style
from evaluation.preparation.karyotype import karyotype, shown_sequences
from evaluation.preparation.leakage import leakage, share_at_least


def sequences_of(rows: list[tuple[str, int, str, str]]) -> pd.DataFrame:
    """seqid, length, group, haplotype; without a group: unplaced."""
    table = pd.DataFrame(rows, columns=["seqid", "length", "group", "haplotype"])
    return table.assign(placed=table["group"] != "", own_group=table["group"], subgenome="")


def density_of(sequences: pd.DataFrame, size: int, **columns: int) -> pd.DataFrame:
    parts = []
    for seqid, length in sequences[["seqid", "length"]].itertuples(index=False):
        start = np.arange(0, length, size)
        parts.append(pd.DataFrame({"seqid": seqid, "start": start, "end": np.minimum(start + size, length)}))
    return pd.concat(parts, ignore_index=True).assign(**({"n": 0, "soft_masked": 0, "genes": 0} | columns))


def split_of(*regions: tuple[str, int, int, str]) -> pd.DataFrame:
    return pd.DataFrame(list(regions), columns=["seqid", "start", "end", "split"])


def bar_colours(figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Colours (pieces, 3) of the first bar, and the sizes of the pieces."""
    mesh = figure.axes[0].collections[0]
    return np.asarray(mesh.get_array())[0, :, :3], np.diff(mesh.get_coordinates()[0, :, 0])  # type: ignore[attr-defined]


def texts(figure: Figure, panel: int = 0) -> list[str]:
    axes = figure.axes[panel]
    return [label.get_text() for label in axes.get_yticklabels()] + [text.get_text() for text in axes.texts]


def test_colours_are_those_of_the_bases() -> None:
    sequences = sequences_of([("s", 1000, "s", "")])
    density = density_of(sequences, 100)
    density.loc[9, "n"] = 100
    split = split_of(("s", 500, 700, "test"), ("s", 0, 350, "train"), ("s", 400, 500, "val"))
    colours, sizes = bar_colours(karyotype(sequences, density, split))
    np.testing.assert_allclose(sizes, 0.001)
    palette = {name: np.array(to_rgb(colour)) for name, colour in style.SPLIT_COLOURS.items()}
    for name, start, end in (("train", 0, 350), ("val", 400, 500), ("test", 500, 700)):
        np.testing.assert_allclose(colours[start:end], [palette[name]] * (end - start))
    left_out = colours[350]
    np.testing.assert_allclose(colours[350:400], [left_out] * 50)
    np.testing.assert_allclose(colours[700:900], [left_out] * 200)
    np.testing.assert_allclose(colours[900:], [[1, 1, 1]] * 100)
    assert not any(np.allclose(left_out, colour) for colour in [*palette.values(), [1, 1, 1]])


@settings(max_examples=30)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=12), st.integers(50, 900), st.data())
def test_any_division_keeps_its_bases(lengths: list[int], size: int, data: st.DataObject) -> None:
    """The mean colour over all bases is the mix of the splits' colours, wherever bins and regions begin."""
    borders = np.concatenate([[0], np.cumsum(lengths)])
    names = [data.draw(st.sampled_from(["train", "val", "test"])) for _ in lengths]
    sequences = sequences_of([("s", int(borders[-1]), "s", "")])
    density = density_of(sequences, size)
    split = split_of(*zip(["s"] * len(names), borders[:-1].tolist(), borders[1:].tolist(), names, strict=True))
    colours, weights = bar_colours(karyotype(sequences, density, split))
    wanted = np.average([to_rgb(style.SPLIT_COLOURS[name]) for name in names], axis=0, weights=lengths)
    np.testing.assert_allclose(np.average(colours, axis=0, weights=weights), wanted, atol=1e-9)


def test_homologs_stand_together_with_their_haplotypes() -> None:
    rows = [("Chr1A", 900, "1", "A"), ("Chr2A", 800, "2", "A"), ("Chr1B", 700, "1", "B"), ("utg$7", 90, "", "")]
    shown = shown_sequences(sequences_of(rows))
    assert shown["seqid"].tolist() == ["Chr1A", "Chr1B", "Chr2A", "utg$7"]
    figure = karyotype(shown, density_of(shown, 100), split_of(("Chr1A", 0, 900, "train")))
    assert texts(figure) == ["A", "B", "A", "utg$7", "1", "unplaced"]


def test_haplotypes_that_do_not_tell_homologs_apart_come_with_their_chromosome() -> None:
    shown = sequences_of([("Chr7A", 900, "7_10", "A"), ("Chr10A", 800, "7_10", "A"), ("Chr7_10B", 10, "7_10", "B")])
    shown["own_group"] = ["7", "10", "7_10"]
    assert texts(karyotype(shown, density_of(shown, 100), split_of()))[:3] == ["7A", "10A", "7_10B"]
    shown["own_group"] = "7"
    assert texts(karyotype(shown, density_of(shown, 100), split_of()))[:3] == ["Chr7A", "Chr10A", "Chr7_10B"]


def test_only_the_longest_of_many_scaffolds_are_shown() -> None:
    rows = [(f"ctg{number:05}", 100 + number, f"ctg{number:05}", "") for number in range(20_000)]
    shown = shown_sequences(sequences_of(rows))
    assert len(shown) == 60
    assert shown["length"].min() == 100 + 20_000 - 60
    assert shown["seqid"].is_monotonic_increasing


@pytest.mark.parametrize(("groups", "haplotypes", "panels"), [(1, 1, 1), (23, 2, 2), (10, 14, 3), (1, 150, 3)])
def test_every_sequence_is_drawn_once_on_one_page(groups: int, haplotypes: int, panels: int) -> None:
    rows = [
        (f"Chr{group}_{haplotype}", 1_000_000 + haplotype, str(group), f"h{haplotype}")
        for group in range(groups)
        for haplotype in range(haplotypes)
    ]
    shown = shown_sequences(sequences_of(rows))
    figure = karyotype(shown, density_of(shown, 100_000, genes=3, soft_masked=5), split_of(("Chr0_0", 0, 9, "val")))
    assert sum(len(axes.collections) for axes in figure.axes[:panels]) == 3 * groups * haplotypes
    assert len(figure.axes) == panels + 2
    assert figure.get_figheight() < 10.5


def test_strips_are_left_out_where_there_is_nothing_to_show() -> None:
    shown = sequences_of([("s", 1000, "s", "")])
    assert len(karyotype(shown, density_of(shown, 100), split_of()).axes) == 1
    assert len(karyotype(shown, density_of(shown, 100, genes=1), split_of()).axes) == 2


def test_few_genes_are_averaged_over_more_bins_but_not_across_sequences() -> None:
    shown = sequences_of([("a", 10_000, "a", ""), ("b", 10_000, "b", "")])
    density = density_of(shown, 100)
    density.loc[density["seqid"] == "a", "genes"] = 1
    figure = karyotype(shown, density, split_of())
    genes = [np.asarray(mesh.get_array())[0] for mesh in figure.axes[0].collections[1::2]]
    assert np.unique(genes[0], axis=0).shape == (1, 4)
    assert np.unique(genes[1], axis=0).shape == (1, 4)
    assert "mean over 700 bp" in figure.axes[1].get_xlabel()


@given(st.lists(st.floats(0, 1), min_size=1))
def test_survival_counts_what_is_at_or_above(values: list[float]) -> None:
    limits = np.array([0, 0.3, 1])
    wanted = [np.mean(np.array(values) >= limit) for limit in limits]
    np.testing.assert_allclose(share_at_least(pd.Series(values), limits), wanted)


def test_leakage_lines_are_named_beside_them_without_overlap() -> None:
    windows = pd.DataFrame({"split": ["val", "test"] * 50, "containment": 0.01, "in_train": 0.1})
    windows.loc[0, "containment"] = np.nan
    naive = pd.DataFrame({"split": "test", "containment": [0.95] * 100, "in_train": 1.0})
    figure = leakage(windows, naive, 0.5)
    labels = figure.axes[0].texts
    assert [label.get_text() for label in labels] == ["left out", "val: 0.0 %", "test: 0.0 %", "random split: 100.0 %"]
    heights = sorted(label.get_position()[1] for label in labels[1:])
    assert np.diff(heights).min() > 0.08
    assert heights[-1] < 1
    assert "left out" not in [label.get_text() for label in leakage(windows, naive, 1.0).axes[0].texts]


def test_labels_lie_on_no_line() -> None:
    windows = pd.DataFrame({"split": ["val", "test"] * 50, "containment": 0.01, "in_train": 0.1})
    naive = pd.DataFrame({"split": "test", "containment": [0.95] * 3 + [0.0] * 97, "in_train": 1.0})
    labels = leakage(windows, naive, 0.5).axes[0].texts[1:]
    assert min(label.get_position()[1] for label in labels) > 0.03
