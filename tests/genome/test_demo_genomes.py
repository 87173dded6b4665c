"""The genomes that ship, and the script that made them."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Seq import Seq

from workflow.annotation.gff3 import import_annotation
from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome

DEMO = Path(__file__).parents[2] / "data" / "demo"
GENBANK = """LOCUS       TINY                      30 bp    DNA     circular PHG 01-JAN-2000
DEFINITION  A tiny circle.
ACCESSION   TINY
VERSION     TINY.1
FEATURES             Location/Qualifiers
     source          1..30
                     /organism="none"
     gene            join(25..30,1..6)
                     /locus_tag="T1"
     CDS             join(25..30,1..6)
                     /locus_tag="T1"
                     /codon_start=2
                     /product="one; two"
                     /protein_id="P1"
     gene            complement(10..20)
                     /locus_tag="T2"
     tRNA            complement(join(10..12,18..20))
                     /locus_tag="T2"
ORIGIN
        1 acgtacgtac gtacgtacgt acgtacgtac
//
"""


def read(stem: str, tmp_path: Path) -> tuple[Genome, pd.DataFrame]:
    records = import_fasta(DEMO / f"{stem}.fa", tmp_path / "genome.fa")
    lengths = dict(zip(records["seqid"], records["length"], strict=True))
    import_annotation(DEMO / f"{stem}.gff3", tmp_path / "annotation.parquet", lengths)
    return Genome(tmp_path / "genome.fa"), pd.read_parquet(tmp_path / "annotation.parquet")


@pytest.mark.parametrize(
    ("stem", "n_genes", "n_proteins"), [("athaliana_plastid_NC_000932.1", 129, 85), ("phix174_NC_001422.1", 0, 11)]
)
def test_every_coding_sequence_is_read_without_a_stop_inside(stem, n_genes, n_proteins, tmp_path: Path) -> None:
    genome, annotation = read(stem, tmp_path)
    assert annotation.loc[annotation["type"] == "region", "attributes"].str.contains("Is_circular=true").all()
    assert annotation.loc[annotation["type"] == "gene", "id"].nunique() == n_genes
    proteins = annotation[annotation["type"] == "CDS"].groupby("id", sort=False)
    assert len(proteins) == n_proteins
    for _, parts in proteins:
        pieces = [genome.fetch(*row) for row in parts[["seqid", "start", "end", "strand"]].itertuples(index=False)]
        coding = np.concatenate(pieces).tobytes().decode()[int(parts["phase"].iloc[0]) :]
        assert len(coding) % 3 == 0
        assert "*" not in str(Seq(coding).translate(table=11))[:-1]
        before = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
        assert parts["phase"].tolist() == (-before % 3).tolist()


def test_parents_are_there(tmp_path: Path) -> None:
    _, annotation = read("athaliana_plastid_NC_000932.1", tmp_path)
    children = annotation[annotation["type"].isin(["CDS", "tRNA", "rRNA", "exon"])]
    assert set(children["parent"]) <= set(annotation["id"])
    trans_spliced = annotation[annotation["attributes"].str.contains("trans-splicing")]
    assert set(trans_spliced["name"]) == {"rps12"}
    assert trans_spliced[trans_spliced["type"] == "CDS"].groupby("id")["strand"].agg(list).tolist() == [
        ["-"] * 3,
        ["-", "+", "+"],
    ]


def test_the_script_converts_a_record(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_demo_genomes", DEMO / "make_demo_genomes.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    (tmp_path / "tiny.gb").write_text(GENBANK)
    script.main([str(tmp_path / "tiny.gb")], tmp_path)
    assert str(SeqIO.read(tmp_path / "TINY_TINY.1.fa", "fasta").seq) == ("ACGT" * 8)[:30]
    rows = [line.split("\t")[2:] for line in (tmp_path / "TINY_TINY.1.gff3").read_text().splitlines()[2:]]
    assert [row[0] for row in rows] == ["region", "gene", "gene", "CDS", "CDS", "gene", "tRNA", "exon", "exon"]
    assert [row[1:] for row in rows if row[0] == "CDS"] == [
        [
            start,
            end,
            ".",
            "+",
            phase,
            "ID=cds-P1;Parent=gene-T1;Name=one%3B two;locus_tag=T1;product=one%3B two;protein_id=P1",
        ]
        for start, end, phase in (("25", "30", "1"), ("1", "6", "1"))
    ]
    assert rows[-2] == ["exon", "18", "20", ".", "-", ".", "ID=exon-T2-1;Parent=rna-T2"]
