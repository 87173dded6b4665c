import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow.config import WindowSetConfig
from workflow.genome.layout import Layout
from workflow.windows.genic import genic_windows, place_genes
from workflow.windows.pieces import Regions

#: Five genes (1-based, inclusive) of a chromosome of 70,000 bases and the units that the earlier workflow made of them.
GENES = [
    ("g1", 3001, 5000, "+"),
    ("g2", 9001, 9900, "-"),
    ("g3", 40001, 62000, "+"),
    ("g4", 66500, 67000, "+"),
    ("g5", 69500, 69990, "-"),
]
UNITS = [("cluster_g1_g2", 1001, 11900, 10900), ("g3", 40001, 62000, 22000), ("cluster_g4_g5", 64500, 71990, 5501)]


@pytest.fixture
def chromosome() -> str:
    return "".join(np.random.default_rng(0).choice(list("ACGT"), 70_000))


def whole(length: int) -> list[tuple[str, int, int, str]]:
    return [("Chr1A", 0, length, "train")]


def test_units_of_the_earlier_workflow(window_set, gene, chromosome) -> None:
    genes = [gene(name, "Chr1A", strand, [(start - 1, end)]) for name, start, end, strand in GENES]
    made = window_set({"Chr1A": chromosome}, whole(70_000), genes, WindowSetConfig("genic", compatible=True))
    table = made.table
    assert table["sequence_id"].tolist() == [name for name, *_ in UNITS]
    assert (table["start"] + 1).tolist() == [start for _, start, *_ in UNITS]
    assert table["end"].tolist() == [min(end, 70_000) for _, _, end, _ in UNITS]
    assert [len(text) for text in made.records.values()] == [emitted for *_, emitted in UNITS]
    assert set(table["strand"]) == {"+"}
    assert table["parent"].tolist() == ["g1,g2", "g3", "g4,g5"]


def test_ids_name_the_first_three_genes(window_set, gene) -> None:
    genes = [gene(f"g{n}", "Chr1A", "+", [(n * 100, n * 100 + 50)]) for n in range(4)]
    made = window_set({"Chr1A": "ACGT" * 200}, whole(800), genes, WindowSetConfig("genic", compatible=True))
    assert made.table["sequence_id"].tolist() == ["cluster_g0_g1_g2"]
    assert made.table["parent"].tolist() == ["g0,g1,g2,g3"]


def test_by_default_units_are_clamped_capped_and_stranded(window_set, gene, chromosome) -> None:
    genes = [gene(name, "Chr1A", strand, [(start - 1, end)]) for name, start, end, strand in GENES[1:]]
    genes.append(gene("g6", "Chr1A", "-", [(12_000, 39_000)]))
    made = window_set({"Chr1A": chromosome}, whole(70_000), genes, WindowSetConfig("genic", merge_distance=1000))
    found = list(made.table[["start", "end", "strand", "parent"]].itertuples(index=False, name=None))
    assert found == [
        (8000, 11_900, "-", "g2"),
        (19_000, 39_000, "-", "g6"),
        (40_000, 60_000, "+", "g3"),
        (64_499, 70_000, "+", "g4,g5"),
    ]
    assert made.table["sequence_id"].tolist()[0] == "Chr1A:8000-11900(-)"


def test_genes_on_the_minus_strand_are_read_from_it(window_set, gene) -> None:
    text = "AAAACCCCGGNNTTTTACGT"
    settings = WindowSetConfig("genic", upstream=2, downstream=1)
    made = window_set({"Chr1A": text}, whole(20), [gene("g", "Chr1A", "-", [(4, 8)])], settings)
    assert made.records == {"Chr1A:3-10(-)": "CCGGGGT"}


def test_genes_that_are_not_in_one_region_are_counted(window_set, gene) -> None:
    genes = [
        gene("inside", "a", "+", [(10, 20)]),
        gene("across", "a", "+", [(45, 55)]),
        gene("outside", "b", "+", [(10, 20)]),
        gene("origin", "a", "+", [(95, 105)]),
        gene("test", "a", "+", [(60, 70)]),
    ]
    regions = [("a", 0, 50, "train"), ("a", 50, 100, "test")]
    settings = WindowSetConfig("genic", upstream=20, downstream=40, splits=["train"])
    made = window_set({"a": "ACGTA" * 20, "b": "ACGT" * 10}, regions, genes, settings)
    assert made.table["sequence_id"].tolist() == ["a:0-50(+)"]
    assert made.summary["dropped"] == {"crosses_origin": 1, "crosses_region": 1, "outside_regions": 1}
    assert made.summary["windows"] == {"train": 1}


def test_promoters_are_shared_by_genes_that_start_together(window_set, gene) -> None:
    genes = [
        gene("one", "a", "+", [(20, 40)]),
        gene("two", "a", "+", [(20, 30)]),
        gene("back", "a", "-", [(20, 40)]),
        gene("edge", "a", "+", [(2, 9)]),
    ]
    text = "".join(np.random.default_rng(1).choice(list("ACGT"), 60))
    settings = WindowSetConfig("promoter", upstream=5, downstream=3)
    made = window_set({"a": text}, [("a", 0, 60, "train")], genes, settings)
    parents = dict(zip(made.table["sequence_id"], made.table["parent"], strict=True))
    assert parents == {"a:0-5(+)": "edge", "a:15-23(+)": "one,two", "a:37-45(-)": "back"}
    assert made.records["a:15-23(+)"] == text[15:23]


placed_gene = st.tuples(st.integers(0, 900), st.integers(1, 99), st.sampled_from("+-"))


@given(
    st.lists(placed_gene, max_size=12),
    st.lists(st.integers(0, 1000), min_size=2, max_size=8, unique=True),
    st.tuples(*[st.integers(0, 60)] * 3),
    st.integers(1, 150),
)
def test_windows_lie_inside_regions_and_hold_each_gene_once(genes, cuts, sizes, max_length) -> None:
    table = pd.DataFrame(
        [(f"g{n}", "a", at, at + length, strand) for n, (at, length, strand) in enumerate(genes)],
        columns=["gene_id", "seqid", "start", "end", "strand"],
    ).astype({"start": np.int64, "end": np.int64})
    cuts = sorted(cuts)
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    layout = Layout({"a": 1000})
    regions = Regions(
        pd.DataFrame([("a", *span, "val") for span in spans], columns=["seqid", "start", "end", "split"]), layout
    )
    placed = place_genes(table, layout, regions)
    upstream, downstream, distance = sizes
    windows = genic_windows(placed, regions, upstream, downstream, max_length, distance)
    names = [name for names in windows.parents.to_pylist() for name in names.split(",")]
    assert sorted(names) == sorted(placed.ids.to_pylist())
    assert len(names) + sum(placed.dropped.values()) == len(genes)
    assert len({*zip(windows.start, windows.end, windows.reverse, strict=True)}) == len(windows)
    for start, end, region in zip(windows.start, windows.end, windows.region, strict=True):
        assert spans[region][0] <= start < end <= spans[region][1]
        assert end - start <= max_length
