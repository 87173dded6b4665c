from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.checkpoints.conftest import SAVANNA
from workflow.checkpoints.archives import ArchiveStore, Piece
from workflow.errors import InputError

TABLE = {
    "plain": torch.arange(12.0).reshape(3, 4),
    "half": torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).bfloat16(),
    "transposed": torch.arange(6).reshape(2, 3).T,
    "scalar": torch.tensor(3.5, dtype=torch.float64),
    "empty": torch.empty(0, 4),
    "flags": torch.tensor([True, False]),
    "parameter": torch.nn.Parameter(torch.ones(2)),
}


def saved(path: Path, content: Any = None, **options: Any) -> Path:
    torch.save(TABLE if content is None else content, path, **options)
    return path


def same(store: ArchiveStore, expected: dict[str, Any]) -> None:
    assert store.infos.keys() == expected.keys()
    for name, tensor in expected.items():
        read = store.read(name)
        assert (read.dtype, tuple(read.shape)) == (tensor.dtype, tuple(tensor.shape))
        assert (store.infos[name].dtype, store.infos[name].shape) == (tensor.dtype, tuple(tensor.shape))
        assert torch.equal(read, tensor), name


@pytest.mark.parametrize("content", [TABLE, OrderedDict(TABLE), {"module": TABLE, "step": 3}])
def test_every_tensor_is_what_torch_reads(tmp_path: Path, content: Any) -> None:
    same(ArchiveStore(Piece.whole(saved(tmp_path / "a.pt", content))), TABLE)


def test_a_real_file_is_what_torch_reads() -> None:
    same(ArchiveStore(Piece.whole(SAVANNA)), torch.load(SAVANNA, weights_only=True)["module"])


@given(cuts=st.lists(st.integers(1, 3000), max_size=4))
def test_a_split_file_reads_as_the_whole_one(cuts: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("split")
    whole = saved(folder / "a.pt").read_bytes()
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    parts = [folder / f"part{number}" for number in range(len(edges) - 1)]
    for part, start, end in zip(parts, edges, edges[1:], strict=False):
        part.write_bytes(whole[start:end])
    same(ArchiveStore(*map(Piece.whole, parts)), TABLE)


def test_numbers_are_memory_mapped_and_the_file_is_never_changed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"w": torch.zeros(4096)})
    before = path.read_bytes()
    tensor = ArchiveStore(Piece.whole(path)).read("w")
    assert str(path) in Path("/proc/self/maps").read_text()
    tensor += 1
    assert path.read_bytes() == before


def test_fp8_state_stays_beside_the_weights(tmp_path: Path) -> None:
    content = {"w": torch.ones(1), "w._extra_state": io.BytesIO(b"\x00scales\xff")}
    store = ArchiveStore(Piece.whole(saved(tmp_path / "a.pt", content)))
    assert list(store.infos) == ["w"]
    assert store.others["w._extra_state"].getvalue() == b"\x00scales\xff"


class Harmful:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path / "harm.pt", {"w": Harmful(tmp_path / "run")})
    with pytest.raises(InputError, match=r"harm\.pt is damaged .*asks for .*which no table of weights needs"):
        ArchiveStore(Piece.whole(path))
    assert not (tmp_path / "run").exists()


def rewritten(path: Path, **changes: bytes) -> Path:
    """The archive with records replaced, added or (empty) left out."""
    with zipfile.ZipFile(path) as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (records | changes).items():
            if content:
                archive.writestr(f"a/{name}", content)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.pkl": b""}, "it holds no data.pkl"),
        ({"byteorder": b"big"}, "its numbers are big-endian"),
        ({"data.pkl": b"\x80\x02]q\x00"}, "damaged"),
        ({"data.pkl": pickle.dumps([1, 2], 2)}, "holds a list, not a table of weights"),
        ({"data/0": b""}, "the numbers of storage 0 are missing or cut short"),
        ({"data/0": b"1234"}, "the numbers of storage 0 are missing or cut short"),
    ],
)
def test_damaged_archives_are_told_in_one_line(tmp_path: Path, changes: dict[str, bytes], message: str) -> None:
    path = rewritten(saved(tmp_path / "a.pt", {"w": torch.ones(4)}), **changes)
    with pytest.raises(InputError, match=message) as caught:
        ArchiveStore(Piece.whole(path)).read("w")
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@given(data=st.data())
def test_a_file_cut_anywhere_is_an_input_error(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = saved(tmp_path_factory.mktemp("cut") / "a.pt", {"w": torch.ones(64)})
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(InputError, match="damaged"):
        ArchiveStore(Piece.whole(path)).read("w")


def test_the_old_format_and_other_files_are_refused(tmp_path: Path) -> None:
    old = saved(tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"old\.pt is damaged or not a plain table of weights: it is no zip file"):
        ArchiveStore(Piece.whole(old))
    packed = tmp_path / "packed.pt"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, 2))
    with pytest.raises(InputError, match="compressed"):
        ArchiveStore(Piece.whole(packed))


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.pt", {"w": torch.ones(4)})

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"a\.pt cannot be read: Permission denied"):
        ArchiveStore(Piece.whole(path))


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ((0, 1), r"cut short, or a part behind x\.pt\.part1 is missing"),
        ((1, 2), r"no part is there before x\.pt\.part1"),
    ],
)
def test_the_first_and_the_last_part_are_missed(tmp_path: Path, kept: tuple[int, ...], message: str) -> None:
    content = saved(tmp_path / "a.pt", {"w": torch.ones(256)}).read_bytes()
    size = len(content) // 3 + 1
    parts = [tmp_path / f"x.pt.part{number}" for number in range(3)]
    for number, part in enumerate(parts):
        part.write_bytes(content[number * size : (number + 1) * size])
    with pytest.raises(InputError, match=message):
        ArchiveStore(*(Piece.whole(parts[number]) for number in kept))


def test_a_single_tensor_is_no_table(tmp_path: Path) -> None:
    torch.save(torch.ones(2), tmp_path / "a.pt")
    with pytest.raises(InputError, match="holds a single tensor, not a table of weights"):
        ArchiveStore(Piece.whole(tmp_path / "a.pt"))
