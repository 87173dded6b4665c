from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.dataset.conftest import SEQUENCES
from workflow.dataset.documents import Documents, read_documents
from workflow.dataset.megatron import TokenFile
from workflow.dataset.writing import SCHEMA, PartWriter, Tags
from workflow.errors import InputError


def everything(prepared: Path, name: str) -> Documents:
    """The only batch of a small set."""
    (documents,) = read_documents(prepared, name)
    return documents


def text_of(documents: Documents) -> list[bytes]:
    source = documents.fasta.read_bytes()
    return [source[first : first + n] for first, n in zip(documents.offset, documents.bases, strict=True)]


def untagged(documents: Documents) -> Tags:
    return Tags([b""], np.zeros(len(documents), np.int64), 1)


def test_regions_lie_in_the_genome(prepared: Path) -> None:
    regions = everything(prepared, "regions")
    assert text_of(regions) == [b"CGTacgtRYN", b"GGGG", b"CC", SEQUENCES["chr10"][:30]]
    assert regions.table["sequence_id"].to_pylist() == ["chr1:1-11", "2:0-4", "2:6-8", "chr10:0-30"]


def test_windows_lie_in_their_own_file_on_their_strand(prepared: Path) -> None:
    windows = everything(prepared, "genic")
    assert text_of(windows)[0] == b"acgtAC"
    assert text_of(windows)[1:3] == [b"ACG", b"ACGGTTacnn"]
    assert text_of(windows)[3] == b"atcTGTAATC"
    assert windows.table["copies"].to_pylist() == [1, 1, 3, 3, 2]
    some = windows.take(np.array([2, 1]))
    assert text_of(some) == [b"ACGGTTacnn", b"ACG"]
    assert some.table["sequence_id"].to_pylist() == ["chr10:0-10(+)", "chr1:0-3(+)"]


def test_documents_become_tokens_records_and_rows(prepared: Path, tmp_path: Path) -> None:
    regions = everything(prepared, "regions").take(np.array([0, 2, 1]))
    writer = PartWriter(tmp_path / "x_val", tmp_path / "val.fa", "regions")
    rows = writer.add(regions, untagged(regions), lambda done: None)
    writer.close()
    assert [document.tobytes() for document in TokenFile(tmp_path / "x_val")] == [b"CGTacgtRYN\0", b"CC\0", b"GGGG\0"]
    assert (tmp_path / "val.fa").read_text() == ">chr1:1-11\nCGTacgtRYN\n>2:6-8\nCC\n>2:0-4\nGGGG\n"
    assert (writer.documents, writer.tokens, writer.weighted_bases) == (3, 19, 16)
    assert rows.schema == SCHEMA
    assert rows.slice(1, 1).to_pylist() == [
        {
            "file": "x_val",
            "set": "regions",
            "split": "test",
            "document": 1,
            "sequence_id": "2:6-8",
            "seqid": "2",
            "start": 6,
            "end": 8,
            "strand": "+",
            "group": "g",
            "tag": 0,
        }
    ]


def test_documents_that_come_in_batches_are_written_as_those_that_come_at_once(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rows_at_a_time, folder in ((2, tmp_path / "batches"), (100, tmp_path / "at_once")):
        folder.mkdir()
        monkeypatch.setattr("workflow.dataset.documents.ROWS_AT_A_TIME", rows_at_a_time)
        writer = PartWriter(folder / "x", folder / "x.fa", "genic")
        parts = list(read_documents(prepared, "genic"))
        rows = [writer.add(part, untagged(part), lambda done: None) for part in parts]
        writer.close()
        assert len(parts) == (3 if rows_at_a_time == 2 else 1)
        assert [row for part in rows for row in part["document"].to_pylist()] == [0, 1, 2, 3, 4]
        assert [name for part in rows for name in part["sequence_id"].to_pylist()][1] == "chr1:0-3(+)"
    for name in ("x.bin", "x.idx", "x.fa"):
        assert (tmp_path / "batches" / name).read_bytes() == (tmp_path / "at_once" / name).read_bytes()


@pytest.mark.parametrize("path", ["split.parquet", "genome.fa", "genome.fa.fai"])
def test_what_prepare_did_not_leave(prepared: Path, path: str) -> None:
    (prepared / path).unlink()
    with pytest.raises(InputError, match=rf"{path} does not exist: run stage=prepare"):
        everything(prepared, "regions")


def test_a_table_without_a_column(prepared: Path) -> None:
    table = pd.read_parquet(prepared / "windows" / "genic.parquet")
    table.drop(columns="copies").to_parquet(prepared / "windows" / "genic.parquet")
    with pytest.raises(InputError, match=r"genic\.parquet has no column copies: run stage=prepare again"):
        everything(prepared, "genic")


def test_a_table_of_other_windows(prepared: Path) -> None:
    table = pd.read_parquet(prepared / "windows" / "genic.parquet")
    table[:3].to_parquet(prepared / "windows" / "genic.parquet")
    with pytest.raises(InputError, match=r"genic\.fa has 5 records and genic\.parquet 3 rows: run stage=prepare"):
        everything(prepared, "genic")


def test_a_table_of_another_genome(prepared: Path) -> None:
    table = pd.read_parquet(prepared / "split.parquet")
    table.assign(seqid=["chr1", "3", "3", "chr1"]).to_parquet(prepared / "split.parquet")
    with pytest.raises(InputError, match=r"genome\.fa has no sequence 3, split\.parquet names it: run stage=prepare"):
        everything(prepared, "regions")
