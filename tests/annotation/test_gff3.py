import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.annotation.gff3 import import_annotation
from workflow.annotation.table import write_empty_annotation
from workflow.errors import InputError

LENGTHS = {"chr1": 1000, "circle": 100, "2": 50}
GOOD = "chr1\ttool\tgene\t1\t10\t.\t+\t.\tID=g1"


def imported(tmp_path: Path, text: str | bytes, block_bytes: int = 1 << 20) -> pd.DataFrame:
    source, target = tmp_path / "in.gff3", tmp_path / "annotation.parquet"
    source.write_bytes(text.encode() if isinstance(text, str) else text)
    found = import_annotation(source, target, LENGTHS, block_bytes)
    table = pd.read_parquet(target)
    assert len(table) == found.features
    return table


def test_columns(tmp_path: Path) -> None:
    text = "\n".join(
        [
            "##gff-version 3",
            "chr1\ttool\tmRNA\t11\t20\t1.5e-3\t-\t.\tID=m%3B1;Parent=g1,g%2c2,g%253;Name=a%20b,c;Note=ID=x",
            "# comment\twith\ttabs\t1\t2\t3\t4\t5\t6\t7",
            "",
            "chr1\ttool\tCDS\t11\t13\t.\t.\t2\tNote=No id;  ID=late",
            "chr1\ttool\tgene\t1\t1000\t0\t?\t.\t.",
            "##FASTA",
            ">chr1",
            "ACGT",
        ]
    )
    table = imported(tmp_path, text)
    assert table["type"].tolist() == ["mRNA", "CDS", "gene"]
    assert table[["start", "end"]].to_numpy().tolist() == [[10, 20], [10, 13], [0, 1000]]
    assert table["phase"].dtype == "Int8"
    assert table["phase"].fillna(-1).tolist() == [-1, 2, -1]
    np.testing.assert_array_equal(table["score"], [1.5e-3, np.nan, 0.0])
    assert table["id"].fillna("").tolist() == ["m;1", "late", ""]
    assert table["parent"].fillna("").tolist() == ["g1,g%2C2,g%3", "", ""]
    assert table["name"].fillna("").tolist() == ["a b,c", "", ""]
    assert table["attributes"][0] == "ID=m%3B1;Parent=g1,g%2c2,g%253;Name=a%20b,c;Note=ID=x"


features = st.tuples(
    st.sampled_from(["chr1", "2"]),
    st.integers(1, 50),
    st.integers(1, 50),
    st.sampled_from("+-.?"),
    st.sampled_from("012."),
)
noise = st.sampled_from(["", "#", "###", "# a\tb", "##sequence-region chr1 1 1000"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(features, noise), max_size=12).filter(lambda lines: any(isinstance(x, tuple) for x in lines)),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 200),
    st.booleans(),
    st.booleans(),
)
def test_any_layout_gives_the_same_rows(tmp_path: Path, lines, line_end, block_bytes, end_last, packed) -> None:
    rows = [(q, min(a, b), max(a, b), s, p) for q, a, b, s, p in (x for x in lines if isinstance(x, tuple))]
    left = iter(rows)
    text = line_end.join(
        x if isinstance(x, str) else "{}\tt\tCDS\t{}\t{}\t.\t{}\t{}\tID=é".format(*next(left)) for x in lines
    )
    data = (text + line_end * end_last).encode()
    table = imported(tmp_path, gzip.compress(data) if packed else data, block_bytes)
    assert list(zip(table["seqid"], table["start"] + 1, table["end"], table["strand"], strict=True)) == [
        r[:4] for r in rows
    ]
    assert table["phase"].astype("string").fillna(".").tolist() == [row[4] for row in rows]
    assert set(table["attributes"]) == {"ID=é"}


def replaced(column: int, value: str) -> str:
    columns = GOOD.split("\t")
    columns[column] = value
    return "\t".join(columns)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.rsplit("\t", 1)[0], "8 tab-separated columns, GFF3 and GTF have 9"),
        (GOOD + "\tmore", "10 tab-separated columns, GFF3 and GTF have 9"),
        (GOOD.replace("\t", " "), "1 tab-separated columns, GFF3 and GTF have 9"),
        (replaced(0, "Chr01"), "sequence Chr01 is not in the FASTA; did you mean chr1? Rename one of the two"),
        (replaced(0, "chr2.1"), "sequence chr2.1 is not in the FASTA; did you mean 2? Rename one of the two"),
        (replaced(0, "X"), "sequence X is not in the FASTA; it has chr1, circle, 2"),
        (replaced(3, "1.5"), "start 1.5 is not a whole number"),
        (replaced(3, "-4"), "start -4 is not a whole number"),
        (replaced(4, ""), "end  is not a whole number"),
        (replaced(3, "0"), "start 0 is less than 1"),
        (replaced(3, "11"), "start 11 is past end 10; GFF3 wants start ≤ end on either strand: swap the two"),
        (replaced(4, "1001"), "end 1001 is past the end of sequence chr1 (1000 bases); another assembly's annotation?"),
        (replaced(5, "high"), "score high is neither a number nor '.'"),
        (replaced(6, "1"), "strand 1 is not one of + - . ?"),
        (replaced(7, "3"), "phase 3 is not one of 0 1 2 ."),
        (replaced(8, 'gene_id "g1";'), "column 9 is not key=value as GFF3 has it"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 70, 1 << 20])
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str, block_bytes: int) -> None:
    with pytest.raises(InputError) as caught:
        imported(tmp_path, f"##gff-version 3\r\n{GOOD}\r\n\r\n{line}\r\n{GOOD}\r\n", block_bytes)
    assert str(caught.value).startswith(f"{tmp_path / 'in.gff3'}, line 4: {message}")
    assert "\n" not in str(caught.value)


def test_the_first_bad_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: phase 9"):
        imported(tmp_path, "\n".join([GOOD, replaced(7, "9"), replaced(0, "none")]))


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: not UTF-8 text; convert the file with iconv"):
        imported(tmp_path, f"{GOOD}\n".encode() + replaced(8, "ID=é").encode("latin-1") + b"\n")


@pytest.mark.parametrize("text", ["", "##gff-version 3\n", "##FASTA\n>a\nA\n"])
def test_a_file_without_features(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"line 1: the file (is empty|holds no features)"):
        imported(tmp_path, text)


def test_features_across_the_origin(tmp_path: Path) -> None:
    across = "circle\tt\tCDS\t90\t{end}\t.\t+\t0\tID=c"
    region = "circle\tt\tregion\t1\t100\t.\t+\t.\tID=r;Is_circular=true"
    table = imported(tmp_path, "\n".join([across.format(end=200), region]), block_bytes=20)
    assert table["end"].tolist() == [200, 100]
    with pytest.raises(InputError, match=r"line 1: end 201 is past twice the length of circular sequence circle \(100"):
        imported(tmp_path, "\n".join([across.format(end=201), region]))
    with pytest.raises(InputError, match=r"line 1: .*a circular sequence needs Is_circular=true on its region"):
        imported(tmp_path, across.format(end=200))


def test_circular_sequences_are_told(tmp_path: Path) -> None:
    region = "{}\tt\tregion\t1\t50\t.\t+\t.\tID=r;Is_circular={}\n"
    source, target = tmp_path / "in.gff3", tmp_path / "annotation.parquet"
    source.write_text(GOOD + "\n" + region.format("circle", "true") + region.format("2", "false"))
    assert import_annotation(source, target, LENGTHS, 20).circular == {"circle"}
    assert write_empty_annotation(target).circular == set()


def test_empty_table_has_the_same_columns(tmp_path: Path) -> None:
    write_empty_annotation(tmp_path / "empty.parquet")
    empty, full = pd.read_parquet(tmp_path / "empty.parquet"), imported(tmp_path, GOOD)
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
