from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from workflow.elements.bed import read_bed
from workflow.errors import InputError

LENGTHS = {"chr1": 100, "chr2": 50}
TEXT = "track name=peaks\n#comment\nchr1\t0\t10\tpeak1\t5\t-\n\nchr2 40 50\nchr1\t5\t6\tpeak2\t0\t.\r\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "peaks.bed"
    path.write_text(text)
    return path


def test_rows_are_read_plain_and_packed(tmp_path: Path) -> None:
    packed = tmp_path / "packed.bed.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    expected = [("chr1", 0, 10, "-"), ("chr2", 40, 50, "+"), ("chr1", 5, 6, "+")]
    for path in (write(tmp_path, TEXT), packed):
        assert list(read_bed(path, LENGTHS).itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t5", r"line 2: 2 columns; a BED row has at least"),
        ("chr1\t5\t1e3", r"line 2: start “5” and end “1e3” must be whole numbers"),
        ("chr1\t-5\t10", r"line 2: start “-5” and end “10” must be whole numbers"),
        ("Chr1\t5\t10", r"line 2: the genome has no sequence Chr1; did you mean chr1"),
        ("chr2\t5\t51", r"line 2: chr2:5-51 is not within the sequence's 50 bases"),
        ("chr2\t5\t5", r"line 2: chr2:5-5 is not within the sequence's 50 bases, or has none"),
        ("chr2\t1\t5\tname\t0\tforward", r"line 2: strand “forward” must be"),
    ],
)
def test_unusable_rows_are_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_bed(write(tmp_path, f"chr1\t0\t1\n{line}\n"), LENGTHS)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no rows"):
        read_bed(write(tmp_path, "# nothing\n"), LENGTHS)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "peaks.bed"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="is not text"):
        read_bed(path, LENGTHS)
