import gzip
from pathlib import Path

import pytest

from workflow.errors import InputError
from workflow.genome.files import describe, find, locate, locate_all, read_blocks

#: Ways to damage a gzip file behind its data.
OTHER = [
    lambda data: data[:-8] + b"\0\0\0\0" + data[-4:],  # its checksum
    lambda data: data[:-4],  # its length
    lambda data: data + b"garbage",
    lambda data: data + data[:-1],  # a second member
]


def test_locate_prefers_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = locate("data/demo/phix174_NC_001422.1.fa", "")
    assert shipped.is_absolute() and tmp_path not in shipped.parents
    (tmp_path / "data/demo").mkdir(parents=True)
    (tmp_path / "data/demo/phix174_NC_001422.1.fa").write_text(">x\nA\n")
    assert locate("data/demo/phix174_NC_001422.1.fa", "").parent == tmp_path / "data/demo"


def test_missing_file_is_named_with_its_place_and_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^{tmp_path}/data/none\.fa does not exist \(get it from the archive\)$"):
        locate("data/none.fa", "get it from the archive")
    with pytest.raises(InputError, match=rf"^{tmp_path}/a and {tmp_path}/b do not exist$"):
        locate_all(["a", "data/demo/phix174_NC_001422.1.fa", "b"], "")
    with pytest.raises(InputError, match=r"is a folder, not a file$"):
        locate(str(tmp_path), "")


def test_several_files_in_their_order(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in "ba"]
    for name in names:
        Path(name).touch()
    assert [str(path) for path in locate_all([*names, names[0]], "")] == [*names, names[0]]


@pytest.mark.parametrize("name", ["x.fa", "x.fa.gz"])
def test_gzip_is_recognised_by_its_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"plain text")
    assert list(read_blocks(path, 4)) == [b"plai", b"n te", b"xt"]
    path.write_bytes(gzip.compress(b"plain ") + gzip.compress(b"text"))
    assert b"".join(read_blocks(path, 4)) == b"plain text"


def test_members_of_bgzip_and_padding(tmp_path: Path) -> None:
    path = tmp_path / "x.fa.gz"
    lines = [b">chr%d\n%s\n" % (number, b"ACGT" * number) for number in range(300)]
    path.write_bytes(b"".join(map(gzip.compress, lines)) + gzip.compress(b"") + b"\0" * 600)
    assert b"".join(read_blocks(path, 1000)) == b"".join(lines)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: data[:30] + b"\xff\xff\xff" + data[33:], *OTHER]
)
def test_damaged_gzip(tmp_path: Path, damage) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(damage(gzip.compress(bytes(range(256)) * 50)))
    with pytest.raises(InputError, match=r"x\.gz, after line \d+: the gzip data are cut short or damaged .*copy the"):
        list(read_blocks(path))


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(read_blocks(tmp_path))


def test_file_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.fa"
    path.write_text(">a\nACGT\n")
    told = describe(path)
    path.write_text(">a\nACGTA\n")
    changed = describe(path)
    assert (changed["bytes"], changed["sha256"] == told["sha256"]) == (9, False)
    monkeypatch.setattr("workflow.artifacts._HASH_CHUNK_BYTES", None)  # hashing would be a fault
    assert describe(path) == changed


def test_find(tmp_path: Path) -> None:
    assert find(tmp_path / "none") is None and find(tmp_path) is None
