from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.markers import CARETLEFTBASE, CARETRIGHTBASE

from evaluation.artefacts.genes import GeneModel
from evaluation.drawing.gene_models import draw_gene_models, pack
from evaluation.drawing.style import new_figure


def model(
    start: int, end: int, gene: str = "g", strand: str = "+", exons: object = None, cds: object = ()
) -> GeneModel:
    parts = np.array(exons if exons is not None else [[start, end]], np.int64).reshape(-1, 2)
    return GeneModel(gene, strand, start, end, parts, np.array(cds, np.int64).reshape(-1, 2))


def test_models_side_by_side_share_a_row_and_overlapping_ones_do_not() -> None:
    packed = pack([model(500, 900, "b"), model(0, 400, "a"), model(300, 600, "c")], 0, 1000)
    assert [m.gene for m in packed.models] == ["a", "c", "b"]
    assert packed.rows == [0, 1, 0]
    assert packed.named


def test_a_name_needs_room_too() -> None:
    packed = pack([model(100, 110, "a_gene_with_a_long_name"), model(120, 130, "b")], 0, 1000)
    assert packed.rows == [0, 1]


def test_only_models_of_the_region_are_drawn() -> None:
    packed = pack([model(0, 100, "a"), model(100, 101, "b"), model(199, 300, "c"), model(200, 300, "d")], 100, 200)
    assert [m.gene for m in packed.models] == ["b", "c"]


def test_of_many_transcripts_the_one_with_the_longest_coding_sequence_is_drawn() -> None:
    isoforms = [model(0, 500 + place, "a", cds=[[0, 10 * place]]) for place in (1, 9, 3, 4, 5, 6, 7)]
    packed = pack([*isoforms, model(0, 400, "a", "-")], 0, 1000)
    assert [(m.strand, m.end) for m in packed.models] == [("-", 400), ("+", 509)]
    assert packed.left_out == 0


def test_copies_of_a_gene_in_different_places_are_all_drawn() -> None:
    crowd = [model(0, 100, f"x{place}") for place in range(4)]
    packed = pack([*crowd, *(model(start, start + 50, "copy") for start in (0, 10, 20, 600))], 0, 1000)
    assert [m.start for m in packed.models if m.gene == "copy"] == [0, 600]


def test_what_finds_no_room_is_counted() -> None:
    packed = pack([model(0, 900, f"gene{place}") for place in range(20)], 0, 1000)
    assert (len(packed.models), packed.left_out, packed.named) == (6, 14, False)
    figure = new_figure(1)
    axes = figure.subplots()
    draw_gene_models(axes, packed)
    assert "14 more not drawn" in [text.get_text() for text in axes.texts]


def spans(axes: Axes, collection: int) -> list[tuple[float, float]]:
    """Left and right end of each box."""
    corners = [path.vertices[:, 0] for path in axes.collections[collection].get_paths()]
    return sorted((float(x.min()), float(x.max())) for x in corners)


def test_parts_cover_their_bases_within_the_region() -> None:
    axes = new_figure(1).subplots()
    gene = model(100, 400, "a$b", exons=[[100, 200], [300, 400]], cds=[[150, 200]])
    draw_gene_models(axes, pack([gene], 0, 350))
    # A base is drawn from half a unit left of its position to half a unit right.
    assert spans(axes, 0) == [(99.5, 199.5), (299.5, 349.5)]
    assert spans(axes, 1) == [(149.5, 199.5)]
    assert axes.texts[0].get_text() == r"a\$b"


@pytest.mark.parametrize(("strand", "tip", "marker"), [("+", 400, CARETRIGHTBASE), ("-", 100, CARETLEFTBASE)])
def test_a_triangle_stands_where_transcription_ends(strand: str, tip: int, marker: int) -> None:
    axes = new_figure(1).subplots()
    draw_gene_models(axes, pack([model(100, 400, strand=strand)], 0, 450))
    assert [list(line.get_xdata()) for line in axes.lines if line.get_marker() == marker] == [[tip - 0.5]]


def test_an_end_outside_of_the_region_has_no_triangle() -> None:
    axes = new_figure(1).subplots()
    draw_gene_models(axes, pack([model(100, 400)], 0, 350))
    assert {line.get_marker() for line in axes.lines} == {"None"}


def test_no_genes_are_said() -> None:
    axes = new_figure(1).subplots()
    draw_gene_models(axes, pack([], 0, 100))
    assert axes.get_ylabel() == "no genes"
