from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from workflow.errors import InputError
from workflow.variants.vcf import is_vcf, read_vcf

HEADER = (
    "##fileformat=VCFv4.3\n"
    '##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">\n'
    '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="significance">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tsample\n"
)


def write(path: Path, *records: str, header: str = HEADER) -> Path:
    text = header + "".join(record.replace(" ", "\t") + "\n" for record in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.vcf", "a.vcf.gz"])
def test_one_row_an_allele_with_the_values_of_its_own(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        "chr1 10 rs1 A C,T . PASS AF=0.1,0.2;CLNSIG=Benign,Likely;DB GT 0/1",
        "chr1 12 . AT A . . CLNSIG=a%3Bb GT 0/1",
        "chr2 7 . G <DEL> . . . GT 0/1",
    )
    table = read_vcf(path, ["AF", "CLNSIG", "DB"])
    assert table[["CHROM", "POS", "REF", "ALT"]].to_numpy().tolist() == [
        ["chr1", "10", "A", "C"],
        ["chr1", "10", "A", "T"],
        ["chr1", "12", "AT", "A"],
        ["chr2", "7", "G", "<DEL>"],
    ]
    assert table.index.tolist() == [5, 5, 6, 7]
    assert table["AF"].tolist() == ["0.1", "0.2", None, None]
    assert table["CLNSIG"].tolist() == ["Benign,Likely", "Benign,Likely", "a;b", None]
    assert table["DB"].tolist() == ["true", "true", None, None]


def test_windows_line_ends_and_no_last_line_end(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.write_bytes(HEADER.replace("\n", "\r\n").encode() + b"1\t3\t.\tA\tC\t.\t.\tAF=1")
    assert read_vcf(path, ["AF"])["AF"].tolist() == ["1"]


def test_names() -> None:
    assert all(is_vcf(Path(name)) for name in ("a.vcf", "a.VCF.gz", "a.vcf.bgz"))
    assert not any(is_vcf(Path(name)) for name in ("a.tsv", "vcf.csv", "a.vcf.txt"))


@pytest.mark.parametrize(
    ("header", "record", "keys", "message"),
    [
        (HEADER, "1 3 . A", (), "line 5: not VCF"),
        ("##fileformat=VCFv4.3\n", "1 3 . A C . . .", (), "line 2: not VCF"),
        (HEADER, "1 3 . A C . . AF=1;X=2", ("EFF",), "no record has the INFO key EFF; there are AF, X"),
    ],
)
def test_what_is_no_vcf_is_refused(
    tmp_path: Path, header: str, record: str, keys: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_vcf(write(tmp_path / "a.vcf", record, header=header), keys)


def test_no_records(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no records"):
        read_vcf(write(tmp_path / "a.vcf"), [])
