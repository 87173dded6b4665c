from pathlib import Path

import pandas as pd
import pytest

from workflow.annotation import batches
from workflow.annotation.batches import read_gene_models
from workflow.annotation.gff3 import import_annotation
from workflow.annotation.models import GeneModels, gene_models

LENGTHS = {f"chr{number}": 10_000 for number in (1, 2, 10)}


def lines(seqid: str, genes: int) -> list[str]:
    rows = []
    for number in range(genes):
        gene, start = f"{seqid}g{number}", 100 * number + 1
        place = f"{seqid}\tx\t{{}}\t{start}\t{start + 59}\t.\t{'+-'[number % 2]}\t{{}}\t"
        rows.append(place.format("gene", ".") + f"ID={gene}")
        rows.append(place.format("mRNA", ".") + f"ID={gene}.t;Parent={gene}")
        rows.append(place.format("CDS", "0") + f"ID={gene}.c;Parent={gene}.t")
    return rows


def imported(folder: Path, text: list[str]) -> Path:
    (folder / "a.gff3").write_text("\n".join(text) + "\n")
    import_annotation(folder / "a.gff3", folder / "a.parquet", LENGTHS)
    return folder / "a.parquet"


def assert_equal(one: GeneModels, other: GeneModels) -> None:
    for name in ("genes", "transcripts", "exons", "cds"):
        left, right = (getattr(models, name).astype(object) for models in (one, other))
        pd.testing.assert_frame_equal(left, right, check_dtype=False)


@pytest.mark.parametrize("most_rows", [1, 20, 40, 1_000])
def test_batches_make_no_difference(tmp_path: Path, most_rows: int) -> None:
    path = imported(tmp_path, [*lines("chr10", 5), *lines("chr2", 6), *lines("chr1", 4)])
    models = read_gene_models(path, most_rows)
    assert_equal(models, gene_models(path))
    assert models.genes["seqid"].tolist() == 4 * ["chr1"] + 6 * ["chr2"] + 5 * ["chr10"]


def test_a_gene_on_two_sequences_is_kept_whole(tmp_path: Path) -> None:
    torn = ["chr1\tx\tgene\t9001\t9060\t.\t+\t.\tID=g", "chr2\tx\tmRNA\t9001\t9060\t.\t+\t.\tID=t;Parent=g"]
    path = imported(tmp_path, [*lines("chr1", 3), *lines("chr2", 3), *torn])
    models = read_gene_models(path, 1)
    assert_equal(models, gene_models(path))
    assert (models.genes["gene_id"] == "g").sum() == 1


def test_only_a_batch_is_worked_on_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = imported(tmp_path, [*lines("chr10", 5), *lines("chr2", 6), *lines("chr1", 4)])
    rows = []
    monkeypatch.setattr(batches, "gene_models", lambda table: rows.append(table.num_rows) or gene_models(table))
    read_gene_models(path, 30)
    assert rows == [30, 15]
