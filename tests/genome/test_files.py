import gzip
from pathlib import Path

import pytest

from workflow.errors import InputError
from workflow.genome.files import locate, read_blocks


def test_locate_prefers_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = locate("data/demo/phix174_NC_001422.1.fa", "")
    assert shipped.is_absolute() and tmp_path not in shipped.parents
    (tmp_path / "data/demo").mkdir(parents=True)
    (tmp_path / "data/demo/phix174_NC_001422.1.fa").write_text(">x\nA\n")
    assert locate("data/demo/phix174_NC_001422.1.fa", "").parent == tmp_path / "data/demo"


def test_missing_file_is_named_with_its_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data/none\.fa does not exist \(get it from the archive\)$"):
        locate("data/none.fa", "get it from the archive")
    with pytest.raises(InputError, match=r"is a folder, not a file$"):
        locate(str(tmp_path), "")


@pytest.mark.parametrize("name", ["x.fa", "x.fa.gz"])
def test_gzip_is_recognised_by_its_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"plain text")
    assert list(read_blocks(path, 4)) == [b"plai", b"n te", b"xt"]
    path.write_bytes(gzip.compress(b"plain ") + gzip.compress(b"text"))
    assert b"".join(read_blocks(path, 4)) == b"plain text"


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:30] + b"\xff\xff\xff" + data[33:]])
def test_damaged_gzip(tmp_path: Path, damage) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(damage(gzip.compress(bytes(range(256)) * 50)))
    with pytest.raises(InputError, match=r"x\.gz, after line \d+: the gzip data are cut short or damaged .*copy the"):
        list(read_blocks(path))


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(read_blocks(tmp_path))
