from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.benchmarking.folder import Benchmark, open_benchmark
from evaluation.benchmarking.packing import pack

CACHE: dict[str, Path] = {}


def add_tasks(run: Path) -> None:
    """What the task stages publish, small: columns of inputs, labels, and scores of the run's models."""
    generator = np.random.default_rng(8)
    rows = 60
    letters = np.array(list("ACGT"))
    sequences = ["".join(letters[generator.integers(0, 4, 80)]) for _ in range(rows)]
    variants = pd.DataFrame(
        {
            "variant_id": [f"v{row}" for row in range(rows)],
            "seqid": "chr1",
            "position": range(rows),
            "ref": "A",
            "alt": "C",
            "label": ["LOF" if row % 3 == 0 else "FUNC" for row in range(rows)],
            "positive": pd.array([row % 3 == 0 if row < 50 else None for row in range(rows)], "boolean"),
            "measured": np.where(np.arange(rows) % 2, np.arange(rows, dtype=float), np.nan),
            "left_flank": "ACGT",
            "right_flank": [sequence[:15] for sequence in sequences],
            "delta_base": 0.5,
            "delta_forward_base": 0.5,
        }
    )
    kinds = np.repeat(["element", "background", "shuffled"], rows // 3)
    elements = pd.DataFrame(
        {"element_id": [f"e{row % 20}" for row in range(rows)], "set": kinds, "score_base": 1.0, "sequence": sequences}
    )
    measured = {"value": generator.normal(size=rows), "group": None, "gc": 0.5, "length": 80, "score_base": -1.3}
    experiment = pd.DataFrame({"row": range(2, rows + 2), "id": None, "sequence": sequences} | measured)
    for name, table in (("variants", variants), ("elements", elements), ("experiment", experiment)):
        (run / name).mkdir()
        table.to_parquet(run / name / f"{name}.parquet", index=False)


@pytest.fixture
def packed(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, with tasks, and its benchmark; made once, not to be changed."""
    if not CACHE:
        run = make_run(seqid="chr1", windows=30, generated=False)
        add_tasks(run)
        out = tmp_path_factory.mktemp("packed")
        pack(run, out)
        CACHE.update(run=run, benchmark=out)
    return CACHE["run"], CACHE["benchmark"]


@pytest.fixture
def benchmark_folder(packed: tuple[Path, Path], tmp_path: Path) -> Iterator[Path]:
    """A copy of the benchmark that a test may change."""
    yield Path(shutil.copytree(packed[1], tmp_path / "benchmark"))


@pytest.fixture
def bench(benchmark_folder: Path) -> Benchmark:
    """The copy, read."""
    return open_benchmark(benchmark_folder)


@pytest.fixture
def scores(packed: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the run's per-base scores, of a uniform model."""
    return Path(shutil.copytree(packed[0] / "predict" / "base", tmp_path / "my-model"))
