"""What shards cost: cutting the work, publishing each, and joining them, against a plain copy of the same bytes.

python benchmarks/sharding.py [--bases 2e8] [--shards 1000] [--folder FOLDER]

Made-up predictions (9 bytes a base, windows of 8,192 bases) are written to a folder as shards, and joined as the stage
`predict` joins them: complete, in order, each file compared with its hash. The plain copy appends the same files to
others by `sendfile`, and both end when the bytes are on the disk. Each case runs in a process of its own; nothing is
dropped from the page cache in between.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prepare import Case, Table, run

ROOT = Path(__file__).resolve().parent.parent
WINDOW, BATCH_TOKENS = 8192, 16384
#: Windows of a genome of 10 Gb, in both directions.
GENOME_READINGS = 2 * 10_000_000_000 // WINDOW
ARRAYS, SCORES = ("base/logprobs.npy", "base/bases.npy"), "base/scores.parquet"


def in_own_process(name: str, *arguments: object) -> Case:
    return run([sys.executable, str(Path(__file__).resolve()), "--case", name, *map(str, arguments)])


def store_and_shards(folder: str, bases: str, number: str) -> tuple[Any, list[Any]]:
    import numpy as np

    from workflow.sharding import ShardStore, divide

    windows = int(bases) // WINDOW
    weights = np.full(windows, WINDOW)
    return ShardStore(Path(folder), "predict", "0" * 64), divide("base", weights, np.arange(windows + 1), int(number))


def make(folder: str, bases: str, number: str, empty: str) -> dict[str, Any]:
    """Publish the shards; `empty` ones cost what claiming, describing and renaming cost."""
    import numpy as np
    import pandas as pd

    from workflow.artifacts import PerBaseWriter

    store, shards = store_and_shards(folder, bases, number)
    noise = np.random.default_rng(0).normal(-2, 1, (WINDOW, 4)).astype(np.float16)
    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, WINDOW)]

    def fill(shard: Any, out: Path) -> dict[str, Any]:
        if int(empty):
            return {}
        names = [f"chr1:{row * WINDOW}-{(row + 1) * WINDOW}(+)" for row in range(shard.start, shard.stop)]
        places = {"seqid": "chr1", "start": 0, "end": WINDOW, "strand": "+", "length": WINDOW}
        (out / "base").mkdir()
        writer = PerBaseWriter(out / "base", pd.DataFrame({"sequence_id": names, **places}))
        for row in range(len(shard)):
            writer.write(row, noise, letters)
        writer.close()
        scores = pd.DataFrame({"sequence_id": names, "n": WINDOW, "sum": 0.5, "mean": 0.5, "outside_acgt": 0.0})
        scores.to_parquet(out / SCORES, index=False)
        return {}

    return _timed(lambda: store.make(shards, fill))


def copy(folder: str, bases: str, number: str) -> dict[str, Any]:
    store, shards = store_and_shards(folder, bases, number)
    paths = {name: [store.place(shard) / name for shard in shards] for name in (*ARRAYS, SCORES)}

    def append() -> None:
        for name, parts in paths.items():
            with (Path(folder) / f"copy-{Path(name).name}").open("wb") as out:
                for path in parts:
                    with path.open("rb") as file:
                        while os.sendfile(out.fileno(), file.fileno(), None, 1 << 30):
                            pass
                os.fsync(out.fileno())

    told = _timed(append)
    for name in paths:
        (Path(folder) / f"copy-{Path(name).name}").unlink()
    return told


def join(folder: str, bases: str, number: str) -> dict[str, Any]:
    from workflow.sharding import check_complete, merge_arrays, merge_tables, require_room

    store, shards = store_and_shards(folder, bases, number)
    windows, out = int(bases) // WINDOW, Path(folder) / "joined"
    out.mkdir()

    def merge() -> None:
        check_complete(store, shards, windows)
        require_room(store, shards, out)
        for name in ARRAYS:
            merge_arrays(store, shards, name, windows * WINDOW, out / Path(name).name)
        merge_tables(store, shards, SCORES).to_parquet(out / "scores.parquet", index=False)

    told = _timed(merge)
    told["bytes"] = sum(path.stat().st_size for path in out.iterdir())
    shutil.rmtree(out)
    return told


def cut(number: str) -> dict[str, Any]:
    import numpy as np

    from workflow.sharding import divide
    from workflow.striped_hyena.batching import batches

    lengths = np.full(GENOME_READINGS, WINDOW)

    def divided() -> None:
        borders = np.cumsum([0, *(len(batch) for batch in batches(lengths.tolist(), BATCH_TOKENS, int))])
        divide("base", lengths, borders, int(number))

    return _timed(divided)


CASES = {case.__name__: case for case in (make, copy, join, cut)}


def _timed(action: Callable[[], object]) -> dict[str, Any]:
    started = time.perf_counter()
    action()
    return {"seconds": time.perf_counter() - started}


def measure(options: argparse.Namespace, folder: Path) -> None:
    given = (folder, options.bases, options.shards)
    table = Table(f"{options.bases / 1e6:g} Mb in {options.shards:,} shards, windows of {WINDOW}")
    each = lambda case: f"{case.seconds / options.shards * 1e3:.1f} ms a shard"  # noqa: E731
    table.row(
        "cutting a genome of 10 Gb",
        None,
        lambda: in_own_process("cut", options.shards),
        lambda _: f"{GENOME_READINGS:,} readings",
    )
    table.row("publishing empty shards", None, lambda: in_own_process("make", folder / "empty", *given[1:], 1), each)
    table.row("publishing shards", options.bases, lambda: in_own_process("make", *given, 0), each)
    # The first reads what is not in the page cache, so that both are measured after one that is not.
    in_own_process("copy", *given)
    table.row("plain copy", options.bases, lambda: in_own_process("copy", *given), lambda _: "")
    table.row(
        "joining",
        options.bases,
        lambda: in_own_process("join", *given),
        lambda case: (
            f"{case.told['bytes'] / case.seconds / 1e6:,.0f} MB/s, "
            f"{case.seconds / table.cases['plain copy'].seconds:.2f} × the plain copy"
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=lambda text: int(float(text)), default=2 * 10**8)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where to work")
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        sys.path.insert(0, str(ROOT))
        name, *arguments = options.case
        print(json.dumps(CASES[name](*arguments)))
        return
    with tempfile.TemporaryDirectory(prefix="sharding-", dir=options.folder) as folder:
        measure(options, Path(folder))


if __name__ == "__main__":
    main()
