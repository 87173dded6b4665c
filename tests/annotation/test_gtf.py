from pathlib import Path

import pandas as pd

from workflow.annotation.gff3 import import_annotation
from workflow.annotation.models import gene_models


def imported(tmp_path: Path, *lines: tuple[str, int, int, str], strand: str = "+") -> tuple[pd.DataFrame, Path]:
    source, target = tmp_path / "in.txt", tmp_path / "annotation.parquet"
    source.write_text("".join(f"1\tt\t{kind}\t{a}\t{b}\t.\t{strand}\t.\t{told}\n" for kind, a, b, told in lines))
    import_annotation(source, target, {"1": 1000}, block_bytes=64)
    return pd.read_parquet(target), target


def test_ids_and_parents(tmp_path: Path) -> None:
    both = 'gene_id "g; 1"; transcript_id "t=1"; gene_name "x";'
    table, _ = imported(
        tmp_path,
        ("gene", 1, 90, 'gene_id "g; 1"; transcript_id ""; gene_name "x";'),
        ("transcript", 1, 90, both),
        ("exon", 1, 90, both + " exon_number 1"),
    )
    assert table["id"].fillna("").tolist() == ["g; 1", "t=1", ""]
    assert table["parent"].fillna("").tolist() == ["", "g; 1", "t=1"]
    assert table["name"].fillna("").tolist() == ["x", "", ""]


def test_genes_and_transcripts_without_a_line(tmp_path: Path) -> None:
    table, _ = imported(
        tmp_path,
        ("exon", 11, 20, "gene_id g; transcript_id a;"),
        ("exon", 41, 60, "gene_id g; transcript_id a;"),
        ("exon", 31, 90, "gene_id g; transcript_id b;"),
    )
    assert table["type"].tolist() == ["exon"] * 3 + ["gene", "transcript", "transcript"]
    assert table["id"].tolist()[3:] == ["g", "a", "b"]
    assert table[["start", "end"]].to_numpy().tolist()[3:] == [[10, 90], [10, 60], [30, 90]]


def test_a_transcript_with_its_genes_id(tmp_path: Path) -> None:
    told = 'gene_id "b1"; transcript_id "b1";'
    _, target = imported(tmp_path, ("exon", 1, 9, told), ("CDS", 1, 6, told), ("stop_codon", 7, 9, told))
    models = gene_models(target)
    assert models.genes["gene_id"].tolist() == ["b1"]
    assert models.transcripts["transcript_id"].tolist() == ["b1.transcript"]
    assert models.cds["end"].tolist() == [9]


def test_stop_codons(tmp_path: Path) -> None:
    """One beside the CDS lengthens it, one inside is part of it already, one behind an intron is a part."""
    lines = []
    for name, stop in (("beside", (98, 100)), ("inside", (104, 106)), ("apart", (51, 53))):
        told = f'gene_id "{name}"; transcript_id "{name}.1";'
        lines += [("exon", 51, 150, told), ("CDS", 101, 150, told), ("stop_codon", *stop, told)]
    _, target = imported(tmp_path, *lines, strand="-")
    models = gene_models(target)
    spans = {
        str(name): models.cds.loc[models.cds["transcript"] == row, ["start", "end"]].to_numpy().tolist()
        for row, name in enumerate(models.transcripts["transcript_id"])
    }
    assert spans["beside.1"] == [[97, 150]]
    assert spans["inside.1"] == [[100, 150]]
    assert spans["apart.1"] == [[100, 150], [50, 53]]
