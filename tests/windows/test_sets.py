import numpy as np
import pandas as pd
import pytest

from workflow.annotation.classes import CLASS_NAMES
from workflow.config import WINDOW_KINDS, WindowSetConfig
from workflow.errors import InputError
from workflow.windows.tables import SCHEMA

TEXT = "".join(np.random.default_rng(3).choice(list("ACGTacgtN"), 400))
SEQUENCES = {"chr10": TEXT, "chr2": TEXT[::-1]}
REGIONS = [("chr10", 0, 200, "train"), ("chr10", 220, 400, "test"), ("chr2", 0, 400, "val")]


@pytest.fixture
def genes(gene) -> list:
    return [
        gene("g1", "chr10", "+", [(50, 80), (110, 140)], [(60, 80), (110, 130)]),
        gene("g2", "chr2", "-", [(300, 340), (200, 250)], [(300, 330), (210, 250)]),
    ]


@pytest.mark.parametrize("kind", WINDOW_KINDS)
def test_every_kind_is_complete(window_set, genes, kind) -> None:
    settings = WindowSetConfig(kind, upstream=20, downstream=10)
    made = window_set(SEQUENCES, REGIONS, genes, settings)
    table = made.table
    assert list(table.columns) == SCHEMA.names
    assert len(table) > 0
    assert table["sequence_id"].tolist() == list(made.records)
    assert [len(text) for text in made.records.values()] == table["length"].tolist()
    assert table["seqid"].tolist() == sorted(table["seqid"], key=lambda name: int(name.removeprefix("chr")))
    for _, of_sequence in table.groupby("seqid"):
        assert of_sequence["start"].is_monotonic_increasing
    assert set(table["kind"]) == {kind}
    assert set(table["group"]) <= {"group of chr10", "group of chr2"}
    assert table["haplotype"].isna().tolist() == (table["seqid"] == "chr2").tolist()
    assert table["parent"].notna().all() == (kind not in ("tiling", "background"))
    shares = table[[f"share_{name}" for name in CLASS_NAMES]]
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(shares["share_gap"], table["n_share"], rtol=1e-5)
    for row in table.itertuples():
        assert any(
            (row.seqid, row.split) == (seqid, split) and start <= row.start < row.end <= end
            for seqid, start, end, split in REGIONS
        )
        text = made.records[row.sequence_id]
        gc, at = (sum(text.upper().count(base) for base in pair) for pair in ("GC", "AT"))
        np.testing.assert_allclose(row.gc, gc / (gc + at) if gc + at else np.nan)
        np.testing.assert_allclose(row.soft_masked, sum(map(str.islower, text)) / len(text))
    counted = table.groupby("split")["length"].agg(["size", "sum"])
    assert made.summary["windows"] == {name: counted["size"].get(name, 0) for name in ("train", "val", "test")}
    assert made.summary["bases"] == {name: counted["sum"].get(name, 0) for name in ("train", "val", "test")}


def test_coding_windows_are_coding(window_set, genes) -> None:
    table = window_set(SEQUENCES, REGIONS, genes, WindowSetConfig("cds")).table
    coding = table[[f"share_cds_{position}" for position in range(3)]].sum(axis=1) + table["share_gap"]
    np.testing.assert_allclose(coding, 1, rtol=1e-5)


def pairs(windows: pd.DataFrame) -> pd.DataFrame:
    """Windows of a sequence, by twos."""
    number = windows.groupby("seqid", observed=True).cumcount().to_numpy()
    return pd.DataFrame({"copies": 2, "is_first": number % 2 == 0}, index=range(len(windows)))


@pytest.mark.parametrize(("treatment", "weight", "removed"), [("weight", 0.5, 0), ("keep", 1, 0), ("remove", 1, 20)])
def test_copies_are_weighted_or_removed(window_set, treatment, weight, removed) -> None:
    regions = [(seqid, 0, 200, "train") for seqid in SEQUENCES]
    made = window_set(SEQUENCES, regions, [], WindowSetConfig("tiling"), copies=pairs, treatment=treatment)
    assert made.summary["mean_weight"] == {"train": weight, "val": None, "test": None}
    assert made.summary["dropped"] == ({"removed_copies": removed} if removed else {})
    assert made.table["weight"].tolist() == [weight] * (40 - removed)
    assert set(made.table["copies"]) == {2}
    assert len(made.records) == 40 - removed


def test_only_the_splits_that_are_asked_for(window_set) -> None:
    made = window_set(SEQUENCES, REGIONS, [], WindowSetConfig("tiling", splits=["test", "val"]))
    assert set(made.table["split"]) == {"test", "val"}
    assert list(made.summary["windows"]) == ["val", "test"]


def test_lengths_of_a_set_go_before_those_of_all(window_set) -> None:
    regions = [("chr2", 0, 95, "train")]
    made = window_set(SEQUENCES, regions, [], WindowSetConfig("tiling", length=30, stride=20), min_length=25)
    assert made.table[["start", "end"]].to_numpy().tolist() == [[0, 30], [20, 50], [40, 70], [60, 90]]
    assert made.summary["dropped"] == {"short": 1}


@pytest.mark.parametrize("kind", [kind for kind in WINDOW_KINDS if kind != "tiling"])
def test_gene_models_are_needed(window_set, kind) -> None:
    with pytest.raises(InputError) as caught:
        window_set(SEQUENCES, REGIONS, [], WindowSetConfig(kind))
    assert str(caught.value) == (
        f"windows.sets.some: kind {kind} needs gene models and the annotation has none; give genome.annotation, "
        "or take the set out (~windows.sets.some)"
    )


def test_names_of_transcripts_become_ids(window_set, gene) -> None:
    genes = [gene("the gene", "chr2", "+", [(5, 50)]), gene("the gene", "chr2", "+", [(5, 50)])]
    made = window_set(SEQUENCES, REGIONS, genes, WindowSetConfig("transcript", upstream=0))
    assert list(made.records) == ["t_the%20gene:chr2:5-50(+)", "t_the%20gene/2:chr2:5-50(+)"]
    assert made.table["sequence_id"].tolist() == list(made.records)
    assert made.table["parent"].tolist() == ["the gene", "the gene"]


def test_background_keeps_away_from_genes_across_the_origin(window_set, gene) -> None:
    genes = [gene("g", "a", "+", [(95, 105)])]
    settings = WindowSetConfig("background", upstream=10, downstream=20)
    made = window_set({"a": "ACGTA" * 20}, [("a", 0, 100, "train")], genes, settings)
    assert made.table["start"].tolist() == [30, 40, 50, 60, 70]
    assert made.summary["dropped"] == {"near_genes": 5}
