"""The earlier ways of preparing that the benchmark measures: they must do what they are measured for."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

# The scripts are no package: they import one another from their own folder.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
earlier_ways = importlib.import_module("earlier_ways")

GENES = [
    ("g1", "Chr1A", 3001, 5000, "+"),
    ("g2", "Chr1A", 9001, 9900, "-"),
    ("g3", "Chr1A", 40001, 62000, "+"),
    ("g4", "Chr1A", 66500, 67000, "+"),
    ("g5", "Chr1A", 69500, 69990, "-"),
]
RECORDS = {"Chr1A": "ACGTacgtN" * 300, "Chr1B": "GGCATn" * 400}


def write_genome(folder: Path) -> Path:
    fasta = folder / "genome.fa"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in RECORDS.items()))
    return fasta


def test_units_have_the_extents_of_the_sugarcane_workflow() -> None:
    names = ("id", "seqid", "start", "end", "strand")
    genes = [SimpleNamespace(**dict(zip(names, gene, strict=True))) for gene in GENES]
    database = SimpleNamespace(features_of_type=lambda kind, order_by: iter(genes))
    assert [unit[2:] for unit in earlier_ways._units(database)] == [
        (1000, 11900, "+"),
        (40000, 62000, "+"),
        (64499, 71990, "+"),
    ]


def test_units_and_splits_hold_the_genome(tmp_path: Path) -> None:
    line = "Chr1B\ttest\tgene\t101\t200\t.\t-\t.\tID=g1\n"
    (tmp_path / "genes.gff3").write_text("##gff-version 3\n" + line)
    earlier_ways.prepare_with_gffutils(write_genome(tmp_path), tmp_path / "genes.gff3", tmp_path)
    texts = [(tmp_path / f"{split}.fa").read_text() for split in ("train", "val", "test")]
    records = [record.split("\n", 1) for text in texts for record in text.split(">")[1:]]
    assert {name: lines.replace("\n", "") for name, lines in records} == RECORDS
    unit = "".join((tmp_path / "units.fa").read_text().splitlines()[1:])
    assert unit == RECORDS["Chr1B"][:2200].translate(str.maketrans("ACGTacgt", "TGCAtgca"))[::-1]


def test_both_tokenizers_write_the_letters(tmp_path: Path) -> None:
    fasta = write_genome(tmp_path)
    expected = b"".join(text.encode() + b"\0" for text in RECORDS.values())
    for tokenizer in ("bytes", "huggingface"):
        written = earlier_ways.write_tokens_by_tokenizer(fasta, tmp_path, tokenizer, 10**6)
        assert written == sum(map(len, RECORDS.values()))
        assert (tmp_path / f"{tokenizer}.bin").read_bytes() == expected
