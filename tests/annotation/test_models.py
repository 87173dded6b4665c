"""Gene models from every way of writing them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.annotation.gff3 import import_annotation
from workflow.annotation.models import GeneModels, gene_models
from workflow.errors import InputError

LENGTHS = {"chr10": 100_000, "chr2": 100_000, "circle": 1000}
Row = tuple[str, int, int, str, str]  # type, start and end as in the file, phase, attributes


def models_of(tmp_path: Path, rows: Sequence[Row], strand: str = "+", seqid: str = "chr2") -> GeneModels:
    lines = [
        f"{seqid}\tt\t{kind}\t{start}\t{end}\t.\t{strand}\t{phase}\t{told}" for kind, start, end, phase, told in rows
    ]
    return models_of_text(tmp_path, "\n".join(lines))


def models_of_text(tmp_path: Path, text: str) -> GeneModels:
    source, target = tmp_path / "in.gff", tmp_path / "annotation.parquet"
    source.write_text(text + "\n")
    import_annotation(source, target, LENGTHS)
    models = gene_models(target)
    again = gene_models(pd.read_parquet(target))
    for name in ("genes", "transcripts", "exons", "cds"):
        pd.testing.assert_frame_equal(getattr(models, name), getattr(again, name))
    return models


def spans(parts: pd.DataFrame, transcript: int = 0) -> list[tuple[int, int]]:
    own = parts[parts["transcript"] == transcript]
    return list(zip(own["start"].tolist(), own["end"].tolist(), strict=True))


def test_a_whole_gene(tmp_path: Path) -> None:
    models = models_of(
        tmp_path,
        [
            ("gene", 101, 500, ".", "ID=g;Name=abc"),
            ("mRNA", 101, 500, ".", "ID=g.1;Parent=g"),
            ("exon", 401, 500, ".", "Parent=g.1"),
            ("exon", 101, 200, ".", "Parent=g.1"),
            ("CDS", 151, 200, "2", "ID=c;Parent=g.1"),
            ("CDS", 401, 440, "0", "ID=c;Parent=g.1"),
        ],
        strand="-",
    )
    assert models.genes.to_dict("records") == [
        {"gene_id": "g", "seqid": "chr2", "start": 100, "end": 500, "strand": "-", "type": "gene", "name": "abc"}
    ]
    transcript = models.transcripts.to_dict("records")[0]
    assert (transcript["transcript_id"], transcript["gene"], transcript["coding"]) == ("g.1", 0, True)
    assert spans(models.exons) == [(400, 500), (100, 200)]
    assert spans(models.cds) == [(400, 440), (150, 200)]
    assert models.cds["phase"].tolist() == [0, 2]
    assert models.cds["phase"].dtype == "int8"


def test_order_of_genes(tmp_path: Path) -> None:
    rows = [("chr10", 5), ("chr2", 9), ("chr2", 3)]
    text = "\n".join(f"{seqid}\tt\tgene\t{start}\t20\t.\t+\t.\tID={seqid}.{start}" for seqid, start in rows)
    assert models_of_text(tmp_path, text).genes["gene_id"].tolist() == ["chr2.3", "chr2.9", "chr10.5"]


def test_exons_from_cds_and_utrs(tmp_path: Path) -> None:
    models = models_of(
        tmp_path,
        [
            ("gene", 1, 300, ".", "ID=g"),
            ("mRNA", 1, 300, ".", "ID=m;Parent=g"),
            ("five_prime_UTR", 1, 30, ".", "Parent=m"),
            ("CDS", 31, 100, ".", "Parent=m"),
            ("CDS", 201, 240, ".", "Parent=m"),
            ("three_prime_UTR", 241, 250, ".", "Parent=m"),
            ("three_prime_UTR", 281, 300, ".", "Parent=m"),
        ],
    )
    assert spans(models.exons) == [(0, 100), (200, 250), (280, 300)]
    assert models.cds["phase"].tolist() == [0, 2]  # 70 bases leave one over, two are missing


def test_parts_with_several_parents_count_for_each(tmp_path: Path) -> None:
    models = models_of(
        tmp_path,
        [
            ("gene", 1, 90, ".", "ID=g"),
            ("mRNA", 1, 90, ".", "ID=a;Parent=g"),
            ("mRNA", 1, 90, ".", "ID=b;Parent=g"),
            ("protein", 1, 9, ".", "ID=a-Protein;Derives_from=a"),
            ("exon", 1, 90, ".", "Parent=a,b"),
            ("CDS", 1, 9, "0", "Parent=a,a-Protein"),
            ("CDS", 1, 9, "0", "Parent=b,b-Protein"),
        ],
    )
    assert models.transcripts["transcript_id"].tolist() == ["a", "b"]
    assert len(models.genes) == 1
    assert spans(models.exons, 0) == spans(models.exons, 1) == [(0, 90)]
    assert spans(models.cds, 0) == spans(models.cds, 1) == [(0, 9)]


@pytest.mark.parametrize(
    ("rows", "gene", "transcript"),
    [
        ([("gene", 1, 9, ".", "ID=g"), ("CDS", 1, 9, "0", "ID=c;Parent=g")], "g", "c"),
        ([("gene", 1, 9, ".", "ID=g"), ("CDS", 1, 9, "0", "Parent=g")], "g", "g"),
        ([("CDS", 1, 9, "0", "ID=c")], "c", "c"),
        ([("CDS", 1, 9, "0", ".")], "CDS:chr2:1-9", "CDS:chr2:1-9"),
        ([("CDS", 1, 9, "0", "Parent=m")], "m", "m"),
        ([("CDS", 1, 9, "0", "Parent=m,n")], "m", "m"),
        ([("mRNA", 1, 9, ".", "ID=m"), ("CDS", 1, 9, "0", "Parent=m")], "m", "m"),
        ([("mRNA", 1, 9, ".", "ID=m;Parent=g"), ("CDS", 1, 9, "0", "Parent=m")], "g", "m"),
        ([("gene", 1, 9, ".", "ID=g"), ("exon", 1, 9, ".", "Parent=g"), ("CDS", 1, 9, "0", "ID=c;Parent=g")], "g", "c"),
    ],
)
def test_missing_parents_are_derived(tmp_path: Path, rows: list[Row], gene: str, transcript: str) -> None:
    models = models_of(tmp_path, rows)
    assert models.genes["gene_id"].tolist() == [gene]
    assert models.transcripts["transcript_id"].tolist() == [transcript]
    assert models.transcripts["type"].tolist() == ["mRNA"]
    assert spans(models.exons) == spans(models.cds) == [(0, 9)]


def test_an_mrna_takes_the_cds_of_its_gene(tmp_path: Path) -> None:
    """GenBank and what is made from it put CDS under the gene, beside the mRNA."""
    models = models_of(
        tmp_path,
        [
            ("gene", 1, 200, ".", "ID=g"),
            ("mRNA", 1, 200, ".", "ID=short;Parent=g"),
            ("exon", 1, 80, ".", "Parent=short"),
            ("mRNA", 1, 200, ".", "ID=m;Parent=g"),
            ("exon", 1, 90, ".", "Parent=m"),
            ("exon", 101, 200, ".", "Parent=m"),
            ("CDS", 11, 90, "0", "ID=c;Parent=g"),
            ("CDS", 101, 110, "1", "ID=c;Parent=g"),
            ("CDS", 150, 160, "0", "ID=second;Parent=g"),
        ],
    )
    assert models.transcripts["transcript_id"].tolist() == ["short", "m", "second"]
    assert models.transcripts["coding"].tolist() == [False, True, True]
    assert spans(models.cds, 1) == [(10, 90), (100, 110)]
    assert spans(models.exons, 2) == [(149, 160)]


def test_rnas(tmp_path: Path) -> None:
    models = models_of(
        tmp_path,
        [
            ("gene", 1, 90, ".", "ID=t"),
            ("tRNA", 1, 20, ".", "ID=t.1;Parent=t"),
            ("tRNA", 61, 90, ".", "ID=t.1;Parent=t"),
            ("exon", 61, 90, ".", "Parent=t"),
            ("gene", 101, 190, ".", "ID=mir"),
            ("primary_transcript", 101, 190, ".", "ID=pri;Parent=mir"),
            ("miRNA", 111, 130, ".", "ID=mature;Parent=pri"),
            ("pseudogene", 201, 290, ".", "ID=p"),
            ("CDS", 201, 290, "0", "ID=cp;Parent=p"),
        ],
    )
    assert models.transcripts["transcript_id"].tolist() == ["t.1", "pri", "mature", "cp"]
    assert models.transcripts["gene"].tolist() == [0, 1, 1, 2]
    assert not models.transcripts["coding"].any()
    assert models.cds.empty
    assert spans(models.exons, 0) == [(0, 20), (60, 90)]
    assert spans(models.exons, 2) == [(110, 130)]


def test_trans_splicing_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [("-", 900, 999), ("+", 300, 330), ("+", 100, 130)]
    text = [f"chr2\tt\tCDS\t{a}\t{b}\t.\t{strand}\t.\tID=c" for strand, a, b in lines]
    models = models_of_text(tmp_path, "\n".join(text))
    assert spans(models.cds) == spans(models.exons) == [(899, 999), (299, 330), (99, 130)]
    assert models.cds["strand"].tolist() == ["-", "+", "+"]
    assert models.genes[["start", "end", "strand"]].to_numpy().tolist() == [[99, 999, "-"]]


@pytest.mark.parametrize("told", ["exception=trans-splicing", "part={}"])
def test_trans_splicing_on_one_strand(tmp_path: Path, told: str) -> None:
    rows = [("CDS", a, a + 29, "0", f"ID=c;{told.format(part)}") for part, a in ((1, 100), (3, 300), (2, 500))]
    first, second, third = (99, 129), (299, 329), (499, 529)
    expected = [first, third, second] if "part" in told else [first, second, third]
    assert spans(models_of(tmp_path, rows, strand="-").cds) == expected


@pytest.mark.parametrize(("strand", "order"), [("+", [(939, 1000), (0, 30)]), ("-", [(0, 30), (939, 1000)])])
def test_parts_on_both_sides_of_the_origin(tmp_path: Path, strand: str, order: list[tuple[int, int]]) -> None:
    region = ("region", 1, 1000, ".", "ID=r;Is_circular=true")
    parts: list[Row] = [("CDS", 1, 30, ".", "ID=c"), ("CDS", 940, 1000, ".", "ID=c")]
    models = models_of(tmp_path, [region, *parts], strand, "circle")
    assert spans(models.cds) == order
    assert models.genes[["start", "end"]].to_numpy().tolist() == [[939, 1030]]
    wrapped = models_of(tmp_path, [region, ("CDS", 940, 1030, "0", "ID=c")], strand, "circle")
    assert spans(wrapped.cds) == [(939, 1030)]


def test_circle_of_parents(tmp_path: Path) -> None:
    rows: list[Row] = [("mRNA", 1, 9, ".", "ID=a;Parent=b"), ("mRNA", 1, 9, ".", "ID=b;Parent=a")]
    with pytest.raises(InputError, match=r"the annotation's feature [ab] is its own ancestor; mend its Parent"):
        models_of(tmp_path, rows)


def test_nothing(tmp_path: Path) -> None:
    models = models_of(tmp_path, [("match", 1, 9, ".", "ID=a")])
    assert [len(table) for table in (models.genes, models.transcripts, models.exons, models.cds)] == [0, 0, 0, 0]
    assert models.cds.columns.tolist() == ["transcript", "seqid", "start", "end", "strand", "phase"]


@st.composite
def made_genes(draw: st.DrawFn) -> list[tuple[str, list[tuple[int, int]], int, int]]:
    """Strand, exons, and the coding stretch of genes one after another; starts are 0-based."""
    genes, at = [], 10
    for _ in range(draw(st.integers(1, 4))):
        exons = []
        for _ in range(draw(st.integers(1, 4))):
            length = draw(st.integers(8, 40))
            exons.append((at, at + length))
            at += length + draw(st.integers(1, 30))
        first = draw(st.integers(exons[0][0], exons[0][1] - 4))
        last = draw(st.integers(exons[-1][0] + 4, exons[-1][1]))
        genes.append((draw(st.sampled_from("+-")), exons, first, max(last, first + 4)))
    return genes


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(made_genes(), st.randoms(use_true_random=False))
def test_every_dialect_gives_the_same_models(tmp_path: Path, genes, random) -> None:
    gff3, gtf, bare = [], [], []
    for number, (strand, exons, first, last) in enumerate(genes):
        start, end = exons[0][0], exons[-1][1]
        cds = [(max(a, first), min(b, last)) for a, b in exons if max(a, first) < min(b, last)]
        utrs = [(a, min(b, first)) for a, b in exons if a < first] + [(max(a, last), b) for a, b in exons if b > last]

        def line(kind: str, a: int, b: int, told: str, strand: str = strand) -> str:
            return f"chr2\tt\t{kind}\t{a + 1}\t{b}\t.\t{strand}\t.\t{told}"

        head = [
            line("gene", start, end, f"ID=g{number}"),
            line("mRNA", start, end, f"ID=t{number};Parent=g{number}"),
        ]
        body = [line("exon", a, b, f"Parent=t{number}") for a, b in exons]
        coding = [line("CDS", a, b, f"ID=c{number};Parent=t{number}") for a, b in cds]
        gff3 += [*head, *random.sample([*body, *coding], len(body) + len(coding))]
        bare += [*head, *coding, *(line("UTR", a, b, f"Parent=t{number}") for a, b in utrs)]
        told = f'gene_id "g{number}"; transcript_id "t{number}";'
        # GTF leaves the last codon out of the CDS.
        lengths = [b - a for a, b in cds]
        if strand == "+" and lengths[-1] > 3:
            stop, cds[-1] = (cds[-1][1] - 3, cds[-1][1]), (cds[-1][0], cds[-1][1] - 3)
            gtf.append(line("stop_codon", *stop, told))
        elif strand == "-" and lengths[0] > 3:
            stop, cds[0] = (cds[0][0], cds[0][0] + 3), (cds[0][0] + 3, cds[0][1])
            gtf.append(line("stop_codon", *stop, told))
        gtf += [line("exon", a, b, told) for a, b in exons] + [line("CDS", a, b, told) for a, b in cds]
    one, two, three = (models_of_text(tmp_path, "\n".join(lines)) for lines in (gff3, bare, gtf))
    for table in ("genes", "exons", "cds"):
        pd.testing.assert_frame_equal(getattr(one, table), getattr(two, table))
        pd.testing.assert_frame_equal(getattr(one, table), getattr(three, table))
    lengths = one.cds["end"] - one.cds["start"]
    before = lengths.groupby(one.cds["transcript"]).cumsum() - lengths
    assert one.cds["phase"].tolist() == (-before % 3).tolist()
