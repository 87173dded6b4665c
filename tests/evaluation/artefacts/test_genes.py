from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from evaluation.artefacts.genes import GeneModel, read_genes
from workflow.artifacts import InputError

LENGTH = 1000
Row = tuple[str, int, int, str, str | None, str | None, str | None]


def write(path: Path, rows: list[Row], seqid: str = "s") -> Path:
    """Type, start, end, strand, id, parent, name of each feature."""
    columns = ["type", "start", "end", "strand", "id", "parent", "name"]
    pd.DataFrame(rows, columns=columns).assign(seqid=seqid).to_parquet(path, index=False)
    return path


def read(path: Path, rows: list[Row], start: int = 0, end: int = LENGTH) -> list[GeneModel]:
    return read_genes(write(path / "annotation.parquet", rows), "s", start, end, LENGTH)


def transcript(strand: str = "+", start: int = 100) -> list[Row]:
    """A gene of two exons with UTRs, named by its gene."""
    return [
        ("gene", start, start + 300, strand, "g", None, "abc1"),
        ("mRNA", start, start + 300, strand, "t", "g", "abc1.1"),
        ("exon", start, start + 100, strand, None, "t", None),
        ("exon", start + 200, start + 300, strand, None, "t", None),
        ("CDS", start + 50, start + 100, strand, "p", "t", None),
        ("CDS", start + 200, start + 250, strand, "p", "t", None),
    ]


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_transcript_has_exons_and_coding_parts_and_the_name_of_its_gene(tmp_path: Path, strand: str) -> None:
    (model,) = read(tmp_path, transcript(strand))
    assert (model.gene, model.strand, model.start, model.end) == ("abc1", strand, 100, 400)
    assert model.exons.tolist() == [[100, 200], [300, 400]]
    assert model.cds.tolist() == [[150, 200], [300, 350]]


@pytest.mark.parametrize(("start", "end", "found"), [(0, 100, 0), (0, 101, 1), (399, 500, 1), (400, 500, 0)])
def test_only_what_overlaps_the_region(tmp_path: Path, start: int, end: int, found: int) -> None:
    assert len(read(tmp_path, transcript(), start, end)) == found


def test_a_region_within_an_intron_knows_the_exons_outside(tmp_path: Path) -> None:
    (model,) = read(tmp_path, transcript(), 230, 260)
    assert model.exons.tolist() == [[100, 200], [300, 400]]


def test_other_sequences_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "annotation.parquet", transcript(), seqid="other")
    assert read_genes(path, "s", 0, LENGTH, LENGTH) == []


def test_coding_parts_of_a_gene_without_transcripts(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("gene", 10, 90, "-", "g", None, None),
        ("CDS", 10, 30, "-", "p", "g", None),
        ("CDS", 50, 90, "-", "p", "g", None),
    ]
    (model,) = read(tmp_path, rows)
    assert (model.gene, model.exons.tolist(), model.cds.tolist()) == ("g", [[10, 30], [50, 90]], [[10, 30], [50, 90]])


def test_what_has_no_parts_is_one_exon_and_without_a_strand_a_dot(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("gene", 10, 90, "?", "g", None, "lonely"),
        ("tRNA", 200, 270, "+", "t", "h", None),
        ("gene", 200, 270, "+", "h", None, "trnA"),
        ("region", 0, LENGTH, "+", "r", None, None),
    ]
    models = read(tmp_path, rows)
    assert [(m.gene, m.strand, m.exons.tolist(), len(m.cds)) for m in models] == [
        ("lonely", ".", [[10, 90]], 0),
        ("trnA", "+", [[200, 270]], 0),
    ]


def test_a_trans_spliced_gene_is_one_model_a_row(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("gene", 100, 150, "-", "g", None, "rps12"),
        ("gene", 700, 800, "+", "g", None, "rps12"),
        ("CDS", 100, 150, "-", "p", "g", None),
        ("CDS", 700, 720, "+", "p", "g", None),
        ("CDS", 780, 800, "+", "p", "g", None),
    ]
    models = read(tmp_path, rows)
    assert [(m.strand, m.start, m.end, m.cds.tolist()) for m in models] == [
        ("-", 100, 150, [[100, 150]]),
        ("+", 700, 800, [[700, 720], [780, 800]]),
    ]
    (second,) = read(tmp_path, rows, 730, 740)
    assert second.start == 700


def test_parts_without_a_parent_that_is_there(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("CDS", 10, 40, "+", "p", None, None),
        ("CDS", 60, 90, "+", "p", None, None),
        ("exon", 200, 300, "+", "e", None, None),
        ("CDS", 400, 450, "-", None, "missing", None),
    ]
    models = read(tmp_path, rows)
    assert [(m.gene, m.start, m.end) for m in models] == [("p", 10, 90), ("missing", 400, 450)]


def test_a_part_of_several_transcripts_counts_for_each_and_a_protein_is_none(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("gene", 0, 100, "+", "g", None, "a,b"),
        ("mRNA", 0, 100, "+", "t,1", "g", None),
        ("mRNA", 0, 60, "+", "t2", "g", None),
        ("protein", 0, 60, "+", "t2-protein", None, None),
        ("CDS", 0, 60, "+", "p", "t%2C1,t2,t2-protein", None),
        ("exon", 80, 100, "+", None, "t%2C1", None),
    ]
    models = read(tmp_path, rows)
    assert [(m.gene, m.end, m.exons.tolist()) for m in models] == [
        ("a,b", 60, [[0, 60]]),
        ("a,b", 100, [[0, 60], [80, 100]]),
    ]


def test_equal_models_are_given_once(tmp_path: Path) -> None:
    rows: list[Row] = [("gene", 0, 50, "+", name, None, "twin") for name in ("g1", "g2")]
    assert len(read(tmp_path, rows)) == 1


def test_a_gene_across_the_origin_is_at_both_ends(tmp_path: Path) -> None:
    rows: list[Row] = [("gene", 950, 1030, "+", "g", None, "ori")]
    assert [(m.start, m.end) for m in read(tmp_path, rows, 0, 20)] == [(-50, 30)]
    assert [(m.start, m.end) for m in read(tmp_path, rows, 990, 1000)] == [(950, 1030)]
    assert read(tmp_path, rows, 30, 40) == []


def test_features_that_are_each_others_parents_do_not_hang(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("gene", 0, 50, "+", "a", "b", None),
        ("mRNA", 0, 50, "+", "b", "a", None),
        ("exon", 0, 50, "+", None, "b", None),
    ]
    assert [m.exons.tolist() for m in read(tmp_path, rows)] == [[[0, 50]]]


def test_a_missing_annotation_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"annotation\.parquet does not exist"):
        read_genes(tmp_path / "annotation.parquet", "s", 0, 10, 10)
