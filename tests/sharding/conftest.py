"""A store of small shards of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workflow.sharding import Shard, ShardStore, divide

ITEMS = 10


def fill(shard: Shard, out: Path) -> dict[str, Any]:
    """An array with two rows of three an item, and a table with one row an item, in a folder of their own."""
    (out / "deep").mkdir()
    items = np.arange(shard.start, shard.stop)
    np.save(out / "deep" / "values.npy", np.repeat(items, 2)[:, None] + np.array([[0.0, 0.25, 0.5]], np.float16))
    pd.DataFrame({"item": items, "name": [f"item {item}" for item in items]}).to_parquet(out / "table.parquet")
    return {"notes": [f"shard {shard.number}"]}


def shards_of(number: int) -> list[Shard]:
    return divide("base", np.ones(ITEMS, np.int64), np.arange(ITEMS + 1), number)


@pytest.fixture
def store(tmp_path: Path) -> ShardStore:
    return ShardStore(tmp_path / "run", "predict", "0123456789abcdef")
