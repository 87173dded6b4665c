from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.metadata import Metadata

from tests.checkpoints.conftest import MBRIDGE, MBRIDGE_FULL, NEMO2, SAVANNA
from workflow.checkpoints.distributed import DistributedStore, read_metadata
from workflow.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
STATE = {"a.weight": torch.arange(12.0).reshape(3, 4), "b": torch.ones(3, dtype=torch.bfloat16), "step": 7}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dcp.save(dict(STATE), checkpoint_id=tmp_path / "plain", no_dist=True)
    return tmp_path / "plain"


def changed(folder: Path, change: Any) -> Path:
    """The checkpoint with its metadata changed."""
    with (folder / ".metadata").open("rb") as stream:
        metadata: Metadata = pickle.load(stream)
    change(metadata)
    with (folder / ".metadata").open("wb") as stream:
        pickle.dump(metadata, stream)
    return folder


def test_reads_what_torch_saves(folder: Path) -> None:
    store = DistributedStore(folder)
    assert store.others == ["step"]
    for name in ("a.weight", "b"):
        assert torch.equal(store.read(name), STATE[name])  # type: ignore[arg-type]
        assert store.infos[name].shape == tuple(STATE[name].shape)  # type: ignore[attr-defined]


def test_reads_what_megatron_saves_without_megatron(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "megatron", None)
    savanna = torch.load(SAVANNA, weights_only=True)["module"]
    w1, w2 = (savanna[f"module.sequential.3.mlp.{part}.weight"] for part in ("w1", "w2"))
    nemo2, mbridge = DistributedStore(NEMO2 / "weights"), DistributedStore(MBRIDGE / "iter_0000001")
    # In two pieces in the one, in one piece in the other.
    assert torch.equal(nemo2.read("module.decoder.layers.1.mlp.linear_fc1.weight"), torch.cat([w1, w2]))
    assert torch.equal(mbridge.read("decoder.layers.1.mlp.linear_fc1.weight"), torch.cat([w1, w2]))


def test_shards_must_be_there_whole_and_of_their_tensor(folder: Path) -> None:
    shard = folder / "__0_0.distcp"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] if len(content) > 1 else b"")
    with pytest.raises(InputError, match=r"__0_0\.distcp has \d+ bytes of at least \d+"):
        [DistributedStore(folder).read(name) for name in ("a.weight", "b")]
    shard.write_bytes(bytes(len(content)))
    with pytest.raises(InputError, match=r"__0_0\.distcp is damaged"):
        DistributedStore(folder).read("a.weight")
    shard.unlink()
    with pytest.raises(InputError, match=r"__0_0\.distcp is missing"):
        DistributedStore(folder).read("a.weight")


def swap(metadata: Any) -> None:
    data = metadata.storage_data
    a, b = (index for index in data if index.fqn in ("a.weight", "b"))
    data[a], data[b] = data[b], data[a]


def test_a_piece_of_another_tensor_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="something else than a piece of"):
        DistributedStore(changed(folder, swap)).read("a.weight")


def test_pieces_that_do_not_cover_the_tensor_are_refused(tmp_path: Path) -> None:
    shutil.copytree(MBRIDGE_FULL / "iter_0000006", tmp_path / "full")
    name = "decoder.layers.0.mlp.linear_fc1.weight"

    def lose_half(metadata: Any) -> None:
        metadata.state_dict_metadata[name].chunks.pop()

    def double_half(metadata: Any) -> None:
        chunks = metadata.state_dict_metadata[name].chunks
        chunks.append(chunks[0])

    for change in (lose_half, double_half):
        with pytest.raises(InputError, match=f"the pieces of {name} do not cover it"):
            DistributedStore(changed(tmp_path / "full", change)).read(name)


class Harmful:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


def test_code_in_the_metadata_is_not_run(tmp_path: Path) -> None:
    (tmp_path / ".metadata").write_bytes(pickle.dumps(Harmful(tmp_path / "run")))
    with pytest.raises(InputError, match=r"asks for .*which no checkpoint needs"):
        DistributedStore(tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("module", ["os", "torch.distributed.checkpointed", "megatron.core.dist_checkpointing_evil"])
def test_only_names_of_checkpoints_are_stood_in_for(tmp_path: Path, module: str) -> None:
    (tmp_path / ".metadata").write_bytes(f"c{module}\nsystem\n(S'touch run'\ntR.".encode())
    with pytest.raises(InputError, match=f"asks for {module}.system"):
        read_metadata(tmp_path / ".metadata")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "damaged or not what torch.distributed.checkpoint writes: Ran out of input"),
        (b"hello", "damaged"),
        (pickle.dumps({"a": 1}), "is not what torch.distributed.checkpoint writes"),
    ],
)
def test_damaged_metadata(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / ".metadata").write_bytes(content)
    with pytest.raises(InputError, match=message):
        DistributedStore(tmp_path)


def test_shards_lie_in_the_folder(folder: Path) -> None:
    def climb(metadata: Any) -> None:
        for index, place in list(metadata.storage_data.items()):
            metadata.storage_data[index] = replace(place, relative_path="../" + place.relative_path)

    with pytest.raises(InputError, match=r"a shard named '\.\./__0_0\.distcp'"):
        DistributedStore(changed(folder, climb))
