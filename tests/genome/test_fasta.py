import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow.errors import InputError
from workflow.genome.alphabet import IUPAC
from workflow.genome.fasta import import_fasta


def imported(tmp_path: Path, data: bytes, block_bytes: int = 1 << 20) -> tuple[dict[str, int], str]:
    source, target = tmp_path / "in.fa", tmp_path / "out.fa"
    source.write_bytes(data)
    records = import_fasta(source, target, block_bytes)
    return dict(zip(records["seqid"], records["length"], strict=True)), target.read_text()


record = st.tuples(
    st.text("abcXYZ019_.|", min_size=1, max_size=8),
    st.lists(st.text(IUPAC.decode(), max_size=12), min_size=1, max_size=5).filter(any),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(record, min_size=1, max_size=5, unique_by=lambda pair: pair[0]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
)
def test_any_layout_gives_the_same_records(tmp_path: Path, records, line_end, block_bytes, end_last, packed) -> None:
    text = "".join(
        f">{name} about it{line_end}" + "".join(f"{line}{line_end}" for line in lines) for name, lines in records
    )
    data = (text if end_last else text.removesuffix(line_end)).encode()
    lengths, clean = imported(tmp_path, gzip.compress(data) if packed else data, block_bytes)
    assert clean == "".join(f">{name}\n{''.join(lines)}\n" for name, lines in records)
    assert lengths == {name: len("".join(lines)) for name, lines in records}


def test_index_points_at_the_bases(tmp_path: Path) -> None:
    _, clean = imported(tmp_path, b">a x\nACG\nT\n>b\nggN\n")
    index = [line.split("\t") for line in (tmp_path / "out.fa.fai").read_text().splitlines()]
    assert [row[:2] for row in index] == [["a", "4"], ["b", "3"]]
    assert [clean[int(offset) : int(offset) + int(length)] for _, length, offset, *_ in index] == ["ACGT", "ggN"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "line 1: the file is empty"),
        (b"ACGT\n", "line 1: does not start with a '>' header: not a FASTA file"),
        (b"\n>a\nA\n", "line 1: does not start with a '>' header: not a FASTA file"),
        (b"BZh91AY", "line 1: does not start with a '>' header: not a FASTA file"),
        (b">a\n>b\nA\n", "line 1: sequence a is empty"),
        (b">a\nA\n>b\n\n", "line 3: sequence b is empty"),
        (b">a\nA\n>b", "line 3: sequence b is empty"),
        (b">a\nA\n>\nA\n", "line 3: the header has no id right after '>'"),
        (b">a\nA\n> b\nA\n", "line 3: the header has no id right after '>'"),
        (b">a\nA\nC\n>a again\nA\n", "line 4: id a was already used in line 1; ids must be unique"),
        (b">a\xff\nA\n", "line 1: the sequence id holds bytes that are not printable ASCII"),
        (b">a\nAC\nA-C\n", "line 3: letter '-' in sequence a is not IUPAC DNA; remove alignment gaps"),
        (b">a\nACU\n", "line 2: letter 'U' in sequence a is not IUPAC DNA; this looks like RNA; write T for U"),
        (b">a\nMK*\n", "line 2: letter '*' in sequence a is not IUPAC DNA; this looks like protein"),
        (b">a\nAC\n>b\nA\nAC>G\n", "line 5: letter '>' in sequence b is not IUPAC DNA; allowed are ACGTN and"),
        (b">a\nAC \n", "line 2: letter ' ' in sequence a is not IUPAC DNA; allowed are ACGTN and"),
        (b">a\nAC\n\x00\x00", "line 3: byte 0x00 in sequence a is not IUPAC DNA; allowed are ACGTN and"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 3, 1000])
def test_malformed_input_is_one_line(tmp_path: Path, data: bytes, message: str, block_bytes: int) -> None:
    with pytest.raises(InputError) as caught:
        imported(tmp_path, data, block_bytes)
    assert str(caught.value).startswith(f"{tmp_path / 'in.fa'}, {message}")
    assert "\n" not in str(caught.value)


def test_truncated_gzip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"in\.fa, after line \d+: the gzip data are cut short"):
        imported(tmp_path, gzip.compress(b">a\n" + b"ACGT\n" * 1000)[:-10])
