import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from megatron.core.datasets.indexed_dataset import IndexedDataset

from tests.dataset.conftest import documents_at, write_token_file
from workflow.dataset.megatron import TokenFile, check_lengths
from workflow.dataset.writing import PartWriter, Tags
from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement
from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome

#: Token files that `preprocess_evo2` of bionemo-framework 2.7.1 wrote: each record, then its reverse complement.
NVIDIA = Path(__file__).parents[1] / "data" / "nvidia_preprocess"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    write_token_file(tmp_path / "a.v1_train", [b"ACGTacN", b"G"])
    return tmp_path / "a.v1_train"


def test_what_is_written_is_read(prefix: Path) -> None:
    file = TokenFile(prefix)
    assert len(file) == 2
    assert file.lengths.tolist() == [8, 2]
    assert [document.tobytes() for document in file] == [b"ACGTacN\0", b"G\0"]
    assert file[1].dtype == np.uint8
    assert isinstance(file[1], np.memmap)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6))
def test_megatron_reads_the_same(tmp_path: Path, documents: list[bytes]) -> None:
    ours = write_token_file(tmp_path / "x", documents)
    theirs = IndexedDataset(str(tmp_path / "x"))
    expected = [document + b"\0" for document in documents]
    assert [theirs[i].tobytes() for i in range(len(theirs))] == expected
    assert [ours[i].tobytes() for i in range(len(ours))] == expected
    assert theirs.document_indices.tolist() == list(range(len(documents) + 1))
    assert theirs.sequence_lengths.tolist() == ours.lengths.tolist()


@pytest.mark.parametrize("name", ["test", "val"])
def test_files_are_those_of_nvidia_byte_for_byte(name: str, tmp_path: Path) -> None:
    write_token_file(tmp_path / name, [document[:-1].tobytes() for document in TokenFile(NVIDIA / name)])
    for suffix in (".bin", ".idx"):
        assert (tmp_path / f"{name}{suffix}").read_bytes() == (NVIDIA / f"{name}{suffix}").read_bytes()


def test_records_become_the_tokens_of_nvidia(tmp_path: Path) -> None:
    import_fasta(NVIDIA / "test.fa", tmp_path / "genome.fa")
    with Genome(tmp_path / "genome.fa") as genome:
        records = [genome.fetch(seqid, 0, length) for seqid, length in genome.lengths.items()]
    both = [bases.tobytes() for record in records for bases in (record, reverse_complement(record))]
    (tmp_path / "test.fa").write_bytes(b"".join(both))
    lengths = np.array([len(bases) for bases in both])
    writer = PartWriter(tmp_path / "test", tmp_path / "out.fa", "regions")
    tags = Tags([b""], np.zeros(len(both), int), 1)
    writer.add(documents_at(tmp_path / "test.fa", lengths), tags, lambda done: None)
    writer.close()
    for suffix in (".bin", ".idx"):
        assert (tmp_path / f"test{suffix}").read_bytes() == (NVIDIA / f"test{suffix}").read_bytes()


def test_documents_longer_than_the_format_allows() -> None:
    check_lengths(Path("x"), np.array([2**31 - 1, 4]))
    with pytest.raises(
        InputError,
        match=r"x\.bin: document 1 has 2147483648 tokens, the format holds at most 2147483647; use split\.method=block",
    ):
        check_lengths(Path("x"), np.array([1, 2**31]))


def damaged(prefix: Path, suffix: str, change) -> None:
    path = prefix.with_name(prefix.name + suffix)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        (
            ".bin",
            lambda data: data[:-1],
            r"train\.bin has 9 bytes, a\.v1_train\.idx says 10: cut short or of another run",
        ),
        (".bin", lambda data: b"", r"train\.bin has 0 bytes, a\.v1_train\.idx says 10"),
        (".idx", lambda data: b"", r"train\.idx is not the index of a Megatron token file"),
        (".idx", lambda data: b"X" + data[1:], r"train\.idx is not the index of a Megatron token file"),
        (".idx", lambda data: data[:-3], r"train\.idx is cut short or does not hold one sequence a document"),
        (".idx", lambda data: data[:9] + struct.pack("<Q", 2) + data[17:], r"has version 2 and token type 1"),
        (
            ".idx",
            lambda data: data[:17] + b"\x08" + data[18:],
            r"has version 1 and token type 8; only version 1 with uint8",
        ),
        (".idx", lambda data: data[:34] + struct.pack("<ii", 2, 8) + data[42:], r"train\.idx is damaged: its offsets"),
        (".idx", lambda data: data[:18] + struct.pack("<QQq", 0, 1, 0), r"train\.idx holds no documents"),
    ],
)
def test_damaged_files(prefix: Path, suffix: str, change, message: str) -> None:
    damaged(prefix, suffix, change)
    with pytest.raises(InputError, match=message):
        TokenFile(prefix)


@pytest.mark.parametrize("suffix", [".bin", ".idx"])
def test_missing_files(prefix: Path, suffix: str) -> None:
    prefix.with_name(prefix.name + suffix).unlink()
    with pytest.raises(InputError, match=rf"a\.v1_train\{suffix} does not exist: run stage=preprocess first"):
        TokenFile(prefix)
