"""What is joined is complete, in order and unharmed, or the shard at fault is named."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.sharding.conftest import ITEMS, fill, shards_of
from workflow.errors import InputError
from workflow.sharding import Shard, ShardStore, check_complete, merge_arrays, merge_tables, merging, require_room

NAME = "deep/values.npy"


@pytest.mark.parametrize("number", [1, 2, 3, 7, 25])
@pytest.mark.parametrize("chunk", [7, 1 << 26])
def test_the_joined_files_are_those_of_one_process(
    store: ShardStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, chunk: int
) -> None:
    monkeypatch.setattr(merging, "_CHUNK_BYTES", chunk)
    fill(Shard("whole", 0, 1, 0, ITEMS), tmp_path)
    shards = shards_of(number)
    store.make(shards, fill)
    check_complete(store, shards, ITEMS)
    require_room(store, shards, tmp_path)
    merge_arrays(store, shards, NAME, 2 * ITEMS, tmp_path / "joined.npy")
    assert (tmp_path / "joined.npy").read_bytes() == (tmp_path / NAME).read_bytes()
    pd.testing.assert_frame_equal(
        merge_tables(store, shards, "table.parquet"), pd.read_parquet(tmp_path / "table.parquet")
    )


def test_files_that_only_some_shards_hold(store: ShardStore, tmp_path: Path) -> None:
    def some(shard: Shard, out: Path) -> dict[str, Any]:
        return fill(shard, out) if shard.number != 1 else {}

    shards = shards_of(5)
    store.make(shards, some)
    merge_arrays(store, shards, NAME, 2 * (ITEMS - 2), tmp_path / "joined.npy")
    assert np.load(tmp_path / "joined.npy")[::2, 0].tolist() == [0, 1, 4, 5, 6, 7, 8, 9]


def test_missing_and_damaged_shards_are_named_with_the_command(store: ShardStore) -> None:
    shards = shards_of(5)
    store.make(shards, fill)
    shutil.rmtree(store.place(shards[3]))
    with pytest.raises(InputError, match=r"base-3-of-5 of 5 shards is missing") as one:
        check_complete(store, shards, ITEMS)
    assert str(one.value).endswith("make them with stage=predict predict.shards=5 predict.shard=3")
    (store.place(shards[1]) / "table.parquet").write_bytes(b"")
    with pytest.raises(InputError) as both:
        check_complete(store, shards, ITEMS)
    assert re.search(
        r"base-1-of-5, base-3-of-5 of 5 shards are missing or damaged \(the first is damaged \(table.parquet\)\)",
        str(both.value),
    )
    assert str(both.value).endswith("make them with stage=predict predict.shards=5") and "\n" not in str(both.value)


def test_of_very_many_missing_shards_some_are_named(store: ShardStore) -> None:
    with pytest.raises(InputError, match=r"base-9-of-1000 and 990 others of 1000 shards are missing"):
        check_complete(store, shards_of(1000), ITEMS)


@pytest.mark.parametrize("name", [NAME, "table.parquet"])
@pytest.mark.parametrize("bit", [1, 64])
def test_one_changed_bit_is_found(store: ShardStore, tmp_path: Path, name: str, bit: int) -> None:
    """Wherever it is: in the header, in the values; sizes are as they were."""
    shards = shards_of(3)
    store.make(shards, fill)
    path = store.place(shards[2]) / name
    whole = path.read_bytes()
    for at in range(0, len(whole), 1 if name == NAME else 97):
        content = bytearray(whole)
        content[at] ^= bit
        path.write_bytes(content)
        check_complete(store, shards, ITEMS)
        with pytest.raises(InputError, match=r"base-2-of-3/.* is damaged: it is not what was written|rows of deep"):
            if name == NAME:
                merge_arrays(store, shards, NAME, 2 * ITEMS, tmp_path / "joined.npy")
            merge_tables(store, shards, "table.parquet")


def test_another_number_of_rows_than_announced(store: ShardStore, tmp_path: Path) -> None:
    shards = shards_of(3)
    store.make(shards, fill)
    with pytest.raises(
        InputError, match=r"the shards hold 20 rows of deep/values\.npy of 1 kinds, and 21 are expected"
    ):
        merge_arrays(store, shards, NAME, 2 * ITEMS + 1, tmp_path / "joined.npy")


def test_arrays_of_different_kinds(store: ShardStore, tmp_path: Path) -> None:
    def mixed(shard: Shard, out: Path) -> dict[str, Any]:
        np.save(out / "values.npy", np.zeros(len(shard), np.float32 if shard.number else np.float16))
        return {}

    shards = shards_of(2)
    store.make(shards, mixed)
    with pytest.raises(InputError, match="of 2 kinds"):
        merge_arrays(store, shards, "values.npy", ITEMS, tmp_path / "joined.npy")


def test_a_disk_that_is_too_small(store: ShardStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = shards_of(2)
    store.make(shards, fill)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2**40, 2**40, 100))
    with pytest.raises(InputError, match=r"takes 0\.0 GiB and 0\.0 GiB are free .* the shards are kept"):
        require_room(store, shards, tmp_path)
