from __future__ import annotations

from pathlib import Path

import pytest

from workflow.errors import InputError
from workflow.stages.genes import read_genes


def write(folder: Path, text: str) -> Path:
    path = folder / "genes.csv"
    path.write_text(text)
    return path


def test_prompts_by_what_the_table_says(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "gene,organism,domain,cds_start,reference_protein,genomic_sequence,accession\n"
        f"a,Escherichia coli,Prokaryota,10,MKL*,{'acgtACGTAC' * 5},X\n"
        "b,,,,mkl,ACGTACGT,X\n"
        "c,Zea mays,Eukaryota,0,MKL,ACGTACGTAC,X\n",
    )
    genes = read_genes(path, 0.25)
    assert genes["prompt_length"].tolist() == [20, 8, 2]
    assert genes["spliced"].tolist() == [False, True, True]
    assert genes["reference_protein"].tolist() == ["MKL"] * 3
    assert genes["genomic_sequence"].iloc[0] == "ACGTACGTAC" * 5
    assert genes["organism"].tolist() == ["Escherichia coli", "", "Zea mays"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "genes.csv holds no gene"),
        ("a,MK,ACGN,\n", "row 2: genomic_sequence must hold A, C, G, T, and no other letters"),
        ("a,MK,,\n", "row 2: genomic_sequence must hold"),
        ("a,M1,ACGT,\n", "row 2: reference_protein must hold letters of amino acids"),
        ("a,,ACGT,\n", "row 2: reference_protein must hold"),
        ("a,MK,ACGT,\na,MK,ACGT,\n", "row 3: the gene a stands there already; rename one"),
        ("a,MK,ACGT,4\n", "row 2: cds_start=4 is no position in the 4 bases"),
        ("a,MK,ACGT,-1\n", "row 2: cds_start=-1 is no position"),
        (",MK,ACGT,\n", "row 2: the gene has no name"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, rows: str, message: str) -> None:
    path = write(tmp_path, "gene,reference_protein,genomic_sequence,cds_start\n" + rows)
    with pytest.raises(InputError, match=message):
        read_genes(path, 0.5)


def test_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no column genomic_sequence: a table of genes needs gene, reference"):
        read_genes(write(tmp_path, "gene,reference_protein\na,MK\n"), 0.5)
    with pytest.raises(InputError, match=r"genes\.csv is empty"):
        read_genes(write(tmp_path, ""), 0.5)
