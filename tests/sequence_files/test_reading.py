"""Sequences of users' files: every format gives the same records, and every fault is told with its line."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest

from workflow.errors import InputError
from workflow.genome.files import read_blocks
from workflow.sequence_files import SequenceRecord, lines, read_sequences

GENBANK = """LOCUS       {name}                 {length} bp    {kind}     linear   PLN 01-JAN-2000
DEFINITION  x.
ACCESSION   {name}
VERSION     {name}.1
FEATURES             Location/Qualifiers
     source          1..{length}
ORIGIN
        1 {bases}
//
"""


def written(folder: Path, name: str, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(path: Path, **columns: str) -> list[SequenceRecord]:
    return list(read_sequences(path, "embed.input", **columns))


def plain(records: list[SequenceRecord]) -> list[tuple[str, str]]:
    return [(record.id, record.bases.tobytes().decode()) for record in records]


FASTA = ">a first\nACgt\nRN\n\n>b\r\nTT\r\nGA\r\n>a\nC"
FASTQ = "@a first\nACgtRN\n+a\n@@@@@@\n@b\r\nTTGA\r\n+\r\n>+@I\r\n@a\nC\n+\nI"
EXPECTED = [("a", "ACGTNN"), ("b", "TTGA"), ("a", "C")]


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_all_formats_give_the_same_records(tmp_path: Path, packed: str, capsys: pytest.CaptureFixture[str]) -> None:
    genbank = "".join(
        GENBANK.format(name=name, kind="DNA", length=len(bases), bases=bases)
        for name, bases in [("a", "acgtrn"), ("b", "ttga"), ("c", "c")]
    )
    table = "id,sequence\na,ACgtRN\nb,TTGA\na,C\n"
    found = {
        "fasta": read(written(tmp_path, "x.fasta" + packed, FASTA)),
        "fastq": read(written(tmp_path, "x.fq" + packed, FASTQ)),
        "named as a table": read(written(tmp_path, "x.txt" + packed, FASTA)),
        "csv": read(written(tmp_path, "x.csv" + packed, table), id_column="id"),
    }
    assert {name: plain(records) for name, records in found.items()} == dict.fromkeys(found, EXPECTED)
    records = read(written(tmp_path, "x.gb" + packed, genbank))
    assert plain(records) == [("a.1", "ACGTNN"), ("b.1", "TTGA"), ("c.1", "C")]
    assert [record.place for record in records] == [f"x.gb{packed}, line {line}" for line in (1, 10, 19)]
    assert [record.place.partition(", ")[2] for record in found["fastq"]] == ["line 1", "line 5", "line 9"]
    assert [record.place.partition(", ")[2] for record in found["fasta"]] == ["line 1", "line 5", "line 8"]
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"  note: 1 ambiguity letters (R, Y, …) of x.fasta{packed} are read as N"
    assert len(told) == 5


def test_rows_of_tables_without_ids_have_their_number(tmp_path: Path) -> None:
    pd.DataFrame({"dna": ["ACGT", "GG"]}).to_parquet(tmp_path / "x.parquet")
    assert plain(read(tmp_path / "x.parquet", sequence_column="dna")) == [("1", "ACGT"), ("2", "GG")]
    assert plain(read(written(tmp_path, "x.tsv", "sequence\tlabel\nACGT\t1\nGG\t0\n"))) == [("2", "ACGT"), ("3", "GG")]


def test_what_omnibiote_loses_is_read(tmp_path: Path) -> None:
    """Of this text, with amino acids, it keeps the first record alone: the last is lost, and so is the empty one."""
    text = ">p1 a\nACT\nTT\n>p3\nAAA\nC"
    assert plain(read(written(tmp_path, "x.fa", text))) == [("p1", "ACTTT"), ("p3", "AAAC")]
    # Records of DNA and of mRNA, and a file of which it says that it was read when nothing was.
    both = [("d", "DNA", "acgtnn"), ("m", "mRNA", "ggcc")]
    text = "".join(GENBANK.format(name=name, kind=kind, length=len(b), bases=b) for name, kind, b in both)
    assert plain(read(written(tmp_path, "x.seq.gz", text))) == [("d.1", "ACGTNN"), ("m.1", "GGCC")]
    with pytest.raises(InputError, match=r"cut\.seq, line 17: the record that begins in line 10 has no end"):
        read(written(tmp_path, "cut.seq", text.removesuffix("//\n")))


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("x.fa", ">a\nACGT\n>b\n>c\nA\n", "line 3: sequence b is empty; remove it"),
        ("x.fa", ">a\nACGT\nAC-T\n", "line 3: letter '-' in sequence a is not IUPAC DNA; remove alignment gaps"),
        ("x.fa", ">a\nAC\n\nACU\n", "line 4: letter 'U' in sequence a is not IUPAC DNA; this looks like RNA"),
        ("x.fa", b">a\nAC\xff\n", "line 2: byte 0xff in sequence a"),
        ("x.fa", ">a\nAC\n> b\nAC\n", "line 3: the header has no id right after '>'"),
        ("x.fa", b">\xe4\nAC\n", "line 1: the sequence id holds bytes that are not printable ASCII"),
        ("x.fa", ">a\nAC\n>b\nNNRY\n", "line 3: sequence b holds no A, C, G or T; remove it"),
        ("x.fa", "\n\n", r"line 1: the file is empty \(embed\.input\)"),
        ("x.fa", "<html>", "GenBank .*: this is a web page; download the file again"),
        ("x.fa", f">{'x' * 999}\n", r"line 1: sequence x{60}… is empty"),
        ("x.sam", "@HD\tVN:1.6\nr\t0\n", "this is SAM; write FASTQ with samtools fastq"),
        ("x.fq", "@a\nACGT\n+\nIII\n", "line 4: record a has 3 qualities for 4 bases; cut short, or damaged"),
        ("x.fq", "@a\nACGT\n+\nIIII\n@b\nAC\n", "line 6: record b ends after 2 of 4 lines; cut short"),
        ("x.fq", "@a\nACGT\nACGT\n+\n", "line 3: the third line of record a does not begin with '[+]'"),
        ("x.fq", "@a\nACGT\n+\nIIII\n\n@b\nA\n+\nI\n", "line 5: a FASTQ record begins with '@', not with ''"),
        ("x.fq", "@a\n\n+\n\n", "line 1: sequence a is empty"),
        ("x.csv", "sequence\nACGT\nAXGT\n", "row 3: letter 'X' in sequence 3 is not IUPAC DNA"),
        ("x.csv", "id,sequence\n1,ACGT\n2,\n", "row 3: sequence 3 is empty"),
        ("x.csv", "seq\nACGT\n", "has no column sequence; it has seq: choose one with embed.sequence_column"),
        (
            "x.gb",
            GENBANK.format(name="a", kind="DNA", length=5, bases="acgt"),
            "line 1: LOCUS says 5 bp, the record holds 4",
        ),
    ],
)
def test_faults(tmp_path: Path, name: str, text: str | bytes, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as told:
        read(written(tmp_path, name, text))
    assert "\n" not in str(told.value)
    assert str(tmp_path / name) in str(told.value)


def test_an_id_column_must_be_full(tmp_path: Path) -> None:
    path = written(tmp_path, "x.csv", "id,sequence\na,ACGT\n,GG\n")
    with pytest.raises(InputError, match="row 3: column id is empty; give each row an id"):
        read(path, id_column="id")
    with pytest.raises(InputError, match=r"has no column name; it has id, sequence: choose one with embed\.id_column"):
        read(path, id_column="name")


def test_gzip_that_is_cut_short(tmp_path: Path) -> None:
    path = written(tmp_path, "x.fq.gz", "".join(f"@r{n}\nACGTACGTTT\n+\nIIIIIIIIII\n" for n in range(5000)))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="the gzip data are cut short or damaged"):
        read(path)


@pytest.mark.parametrize("block", [1, 3, 7])
def test_lines_that_span_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(lines, "read_blocks", lambda path: read_blocks(path, block))
    assert plain(read(written(tmp_path, "x.fa", "\n  " + FASTA))) == EXPECTED
    assert plain(read(written(tmp_path, "x.fq", FASTQ))) == EXPECTED


def test_a_chromosome_takes_a_few_bytes_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines, each an object of its own, would take fourteen."""
    monkeypatch.setattr(lines, "read_blocks", lambda path: read_blocks(path, 1 << 12))
    path = written(tmp_path, "x.fa", ">a\n" + "ACGTACGTAC\n" * 20_000)
    tracemalloc.start()
    try:
        (record,) = read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(record.bases) == 200_000
    assert peak < 6 * len(record.bases)
