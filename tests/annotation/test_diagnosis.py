import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import Seq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.annotation.diagnosis import count_orphans, diagnose
from workflow.annotation.gff3 import import_annotation
from workflow.annotation.models import GeneModels, gene_models
from workflow.annotation.translation import translate
from workflow.errors import InputError
from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo"
MakeGenome = Callable[[dict[str, str]], Genome]


def models_of(tmp_path: Path, lines: list[str], genome: Genome) -> GeneModels:
    source, target = tmp_path / "in.gff3", tmp_path / "annotation.parquet"
    source.write_text("\n".join(lines) + "\n")
    import_annotation(source, target, genome.lengths)
    return gene_models(target)


@pytest.mark.parametrize(("name", "cds"), [("athaliana_plastid_NC_000932.1", 85), ("phix174_NC_001422.1", 11)])
def test_demo_genomes(tmp_path: Path, name: str, cds: int) -> None:
    """Every CDS is whole: trans-spliced, across the origin, in other frames."""
    records = import_fasta(DEMO / f"{name}.fa", tmp_path / "genome.fa")
    import_annotation(
        DEMO / f"{name}.gff3", tmp_path / "a.parquet", dict(zip(records["seqid"], records["length"], strict=True))
    )
    with Genome(tmp_path / "genome.fa") as genome:
        found = diagnose(gene_models(tmp_path / "a.parquet"), genome)
    assert (found["cds"], found["cds_without_internal_stop"]) == (cds, cds)
    assert (found["cds_not_in_codons"], found["phases_that_disagree"], found["warnings"]) == (0, 0, [])


def gene(name: str, parts: list[tuple[int, int]], strand: str, told: str = "") -> list[str]:
    return [f"c\tt\tCDS\t{a + 1}\t{b}\t.\t{strand}\t.\tID={name}{told}" for a, b in parts]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.text("ACGTNacgt", min_size=120, max_size=120),
    st.lists(st.integers(0, 120), min_size=2, max_size=6, unique=True),
    st.sampled_from("+-"),
    st.sampled_from([1, 4, 11]),
)
def test_stops_are_biopythons(tmp_path: Path, genome_of: MakeGenome, bases, borders, strand, table) -> None:
    genome = genome_of({"c": bases})
    borders = sorted(borders)[: len(borders) // 2 * 2]
    parts = list(zip(borders[::2], borders[1::2], strict=True))
    models = models_of(tmp_path, gene("a", parts, strand, f";transl_table={table}"), genome)
    spliced = Seq("".join(bases[a:b] for a, b in parts))
    spliced = spliced if strand == "+" else spliced.reverse_complement()
    whole = spliced[: len(spliced) // 3 * 3]
    expected = str(whole.translate(table=table))[:-1].count("*")
    found = translate(models, genome)
    assert found.stops.tolist() == [expected]
    assert found.lengths.tolist() == [len(spliced)]


def random_genes(count: int) -> tuple[str, list[tuple[int, int]]]:
    """A sequence with open reading frames in it, and where they are."""
    random = np.random.default_rng(0)
    codons = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"]
    sense = [codon for codon in codons if codon not in ("TAA", "TAG", "TGA")]
    text, places = "", []
    for _ in range(count):
        text += "".join(random.choice(list("ACGT"), 50))
        start = len(text)
        text += "ATG" + "".join(random.choice(sense, 100)) + "TAA"
        places.append((start, len(text)))
    return text, places


@pytest.mark.parametrize(
    ("shift", "columns"), [((-1, 0), "starts"), ((-1, -1), "starts and ends")], ids=["half-open", "closed"]
)
def test_a_file_that_counts_from_0(tmp_path: Path, genome_of: MakeGenome, shift, columns) -> None:
    text, places = random_genes(20)
    genome = genome_of({"c": text})
    right = [line for number, place in enumerate(places) for line in gene(f"g{number}", [place], "+")]
    assert diagnose(models_of(tmp_path, right, genome), genome)["warnings"] == []
    moved = [(a + shift[0], b + shift[1]) for a, b in places]
    wrong = [line for number, place in enumerate(moved) for line in gene(f"g{number}", [place], "+")]
    with pytest.raises(
        InputError, match=f"the annotation's {columns} count from 0: 19 of 20 CDS .*, 0 when 1 is added; add 1 to all"
    ):
        diagnose(models_of(tmp_path, wrong, genome), genome)


def test_counts_and_warnings(tmp_path: Path, genome_of: MakeGenome) -> None:
    genome = genome_of({"c": "ATGTAAGGGTAA" + "ATGGGGTA" + "AAAA", "d": "ATGAAA"})
    lines = [
        *gene("stop", [(0, 12)], "+"),
        *gene("edited", [(0, 12)], "+", ";exception=RNA editing"),
        *gene("short", [(12, 20)], "+"),
        "c\tt\tCDS\t1\t3\t.\t+\t0\tID=two",
        "d\tt\tCDS\t1\t3\t.\t+\t0\tID=two",
        "c\tt\tCDS\t13\t16\t.\t+\t0\tID=frame",
        "c\tt\tCDS\t18\t19\t.\t+\t0\tID=frame",
    ]
    found = diagnose(models_of(tmp_path, lines, genome), genome)
    assert {key: value for key, value in found.items() if key.startswith(("cds", "phases", "share"))} == {
        "cds": 4,
        "cds_without_internal_stop": 2,
        "cds_with_internal_stop": 2,
        "cds_with_stop_and_exception": 1,
        "share_with_internal_stop": 0.5,
        "cds_not_in_codons": 1,
        "cds_on_several_sequences": 1,
        "phases_that_disagree": 1,
        "cds_with_overlapping_parts": 0,
    }
    assert found["warnings"] == [
        "2 of 4 CDS (50.0%) have stop codons inside; another assembly's annotation, or pseudogenes?",
        "1 of 4 CDS (25.0%) have a length that is no multiple of three; cut gene models?",
        "1 CDS lie on several sequences and were not translated",
        "1 CDS parts have a phase that the parts before do not leave over",
    ]


def test_an_unknown_genetic_code(tmp_path: Path, genome_of: MakeGenome) -> None:
    genome = genome_of({"c": "ATGTAA"})
    with pytest.raises(InputError, match="transl_table=77; NCBI has no such genetic code"):
        diagnose(models_of(tmp_path, gene("a", [(0, 6)], "+", ";transl_table=77"), genome), genome)


def test_no_genes(tmp_path: Path, genome_of: MakeGenome) -> None:
    genome = genome_of({"c": "ATGTAA"})
    found = diagnose(models_of(tmp_path, ["c\tt\tmatch\t1\t2\t.\t+\t.\tID=m"], genome), genome)
    assert (found["cds"], found["share_with_internal_stop"], found["warnings"]) == (0, 0.0, [])


def test_packed_files_are_read(tmp_path: Path) -> None:
    data = (DEMO / "phix174_NC_001422.1.gff3").read_bytes()
    tables = []
    for name, written in (("plain", data), ("packed", gzip.compress(data))):
        (tmp_path / name).write_bytes(written)
        import_annotation(tmp_path / name, tmp_path / "a.parquet", {"NC_001422.1": 5386})
        tables.append(pd.read_parquet(tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(*tables)


def test_exons_without_a_parent_are_counted(tmp_path: Path) -> None:
    lines = [
        f"s\tx\t{kind}\t1\t9\t.\t+\t.\t{attributes}"
        for kind, attributes in (
            ("gene", "ID=g"),
            ("mRNA", "ID=t;Parent=g"),
            ("exon", "Parent=t"),
            ("exon", "ID=e"),
            ("noncoding_exon", "."),
            ("five_prime_UTR", "ID=u"),
            ("CDS", "ID=c"),
            ("region", "ID=r"),
        )
    ]
    (tmp_path / "in.gff3").write_text("\n".join(lines) + "\n")
    import_annotation(tmp_path / "in.gff3", tmp_path / "annotation.parquet", {"s": 10})
    assert count_orphans(tmp_path / "annotation.parquet") == (3, 1)
