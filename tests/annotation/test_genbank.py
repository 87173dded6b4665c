from pathlib import Path

import pandas as pd

from workflow.annotation.diagnosis import diagnose
from workflow.annotation.genbank import import_genbank
from workflow.annotation.models import GeneModels, gene_models
from workflow.genome.sequences import Genome

#: 120 bases of a circle: a gene across the origin, one on the minus strand in two parts, and an RNA.
FEATURES = """\
     source          1..120
                     /organism="Made up; one"
     gene            join(100..120,1..9)
                     /gene="abc"
     CDS             join(100..120,1..9)
                     /gene="abc"
                     /codon_start=1
                     /transl_table=11
                     /product="a, b=c"
                     /protein_id="P1.1"
     gene            complement(20..70)
                     /locus_tag="L2"
     mRNA            complement(join(20..40,50..70))
                     /locus_tag="L2"
     CDS             complement(join(30..40,50..66))
                     /locus_tag="L2"
     gene            80..90
                     /gene="trn"
                     /pseudo
     tRNA            80..90
                     /gene="trn"
     variation       75^76
"""


def record(name: str = "REC1", features: str = FEATURES, bases: int = 120) -> str:
    lines = [
        f"LOCUS       {name:<16} {bases:>11} bp    DNA     circular UNK 01-JAN-2000",
        f"ACCESSION   {name}",
        f"VERSION     {name}.1",
        "FEATURES             Location/Qualifiers",
        features.rstrip("\n"),
        "ORIGIN",
    ]
    text = ("acgtac" * bases)[:bases]
    lines += [f"{at + 1:>9} {text[at : at + 60]}" for at in range(0, bases, 60)]
    return "\n".join([*lines, "//", ""])


def imported(tmp_path: Path, text: str) -> tuple[pd.DataFrame, GeneModels]:
    source = tmp_path / "in.gb"
    source.write_text(text)
    records, found = import_genbank(source, tmp_path / "genome.fa", tmp_path / "annotation.parquet")
    table = pd.read_parquet(tmp_path / "annotation.parquet")
    assert len(table) == found.features
    assert found.circular == set(records["seqid"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "annotation.parquet",
        "genome.fa",
        "genome.fa.fai",
        "in.gb",
    ]
    return table, gene_models(tmp_path / "annotation.parquet")


def test_rows(tmp_path: Path) -> None:
    table, _ = imported(tmp_path, record())
    assert table.loc[table["type"] == "region", "name"].tolist() == ["Made up; one"]
    cds = table[table["type"] == "CDS"]
    assert cds["id"].tolist() == ["cds-P1.1", "cds-P1.1", "cds-L2", "cds-L2"]
    assert cds["parent"].tolist() == ["gene-abc", "gene-abc", "gene-L2", "gene-L2"]
    assert cds["phase"].tolist() == [0, 0, 0, 1]
    assert cds["transl_table"].fillna(0).tolist() == [11, 11, 0, 0]
    assert "product=a%2C b%3Dc" in cds["attributes"].tolist()[0]
    assert table.loc[table["type"] == "variation", ["start", "end"]].to_numpy().tolist() == [[74, 75]]


def test_models(tmp_path: Path) -> None:
    _, models = imported(tmp_path, record())
    assert models.genes["gene_id"].tolist() == ["gene-L2", "gene-trn", "gene-abc"]
    assert models.genes["type"].tolist() == ["gene", "pseudogene", "gene"]
    assert models.genes[["start", "end"]].to_numpy().tolist() == [[19, 70], [79, 90], [99, 129]]
    assert models.transcripts["transcript_id"].tolist() == ["rna-L2", "rna-trn", "cds-P1.1"]
    assert models.transcripts["coding"].tolist() == [True, False, True]
    assert models.cds[["start", "end"]].to_numpy().tolist() == [[49, 66], [29, 40], [99, 120], [0, 9]]
    assert models.exons[["start", "end"]].to_numpy().tolist()[:2] == [[49, 70], [19, 40]]
    with Genome(tmp_path / "genome.fa") as genome:
        assert genome.lengths == {"REC1.1": 120}
        assert genome.fetch("REC1.1", 0, 8).tobytes() == b"ACGTACAC"
        assert diagnose(models, genome)["cds"] == 2


def test_records_keep_their_ids_apart(tmp_path: Path) -> None:
    table, models = imported(tmp_path, record() + "\n" + record("REC2"))
    assert models.genes["seqid"].tolist() == ["REC1.1"] * 3 + ["REC2.1"] * 3
    assert models.genes["gene_id"].is_unique
    own = table[(table["seqid"] == "REC2.1") & (table["type"] == "CDS")]
    assert set(own["parent"]) == {"gene-abc-2", "gene-L2-2"}
