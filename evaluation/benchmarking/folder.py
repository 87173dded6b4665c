"""The folder of a benchmark: what lies in it, and the proof that nobody has changed it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.per_base.shared import CLASS_STRATA, STRATA, WindowSums
from workflow.artifacts import InputError, describe_file, read_json, read_table, write_json

#: Number of the layout; another one is refused.
FORMAT = 1
MANIFEST = "benchmark.json"
WINDOWS, FASTA, BASES, CLASSES = "windows.parquet", "windows.fa.gz", "bases.npy", "classes.npy"
BASELINES, SPLIT, README, TASKS = "baselines.parquet", "split.parquet", "README.md", "tasks"
#: What scoring adds; all other files are frozen.
RESULTS, STRATA_RESULTS, TASK_RESULTS = "results.csv", "results_by_class.csv", "results_of_tasks.csv"
_ALL_STRATA = (*STRATA, *CLASS_STRATA)
_SUMS = ("nll", "correct")


@dataclass(frozen=True)
class Benchmark:
    """An unchanged benchmark.

    Attributes
    ----------
    folder : Path
    manifest : dict
        Content of benchmark.json.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the manifest, which holds those of all frozen files: it names this very benchmark."""
        return str(describe_file(self.folder / MANIFEST)["sha256"])

    @property
    def intervals(self) -> dict[str, Any]:
        """samples, confidence and seed of every interval."""
        return {key: self.manifest["intervals"][key] for key in ("samples", "confidence", "seed")}

    @cached_property
    def index(self) -> pd.DataFrame:
        """Windows: sequence_id, seqid, start, end (0-based half-open), strand, length, offset, block."""
        table = read_table(self.folder / WINDOWS)
        return table[[name for name in table.columns if not name.startswith("bases_")]]

    @cached_property
    def bases(self) -> np.ndarray:
        """(positions,) uint8 ASCII, memory-mapped; soft-masked repeats in lower case."""
        return _mapped(self.folder / BASES)

    @cached_property
    def scored(self) -> np.ndarray:
        """(windows, strata) int64: bases that are scored, by window and stratum."""
        table = read_table(self.folder / WINDOWS)
        counts: np.ndarray = table[[f"bases_{stratum}" for stratum in _ALL_STRATA]].to_numpy(np.int64)
        return counts

    @property
    def baselines(self) -> WindowSums:
        """Sums of the baselines."""
        table = read_table(self.folder / BASELINES)
        names = [name.removeprefix("nll_all_") for name in table.columns if name.startswith("nll_all_")]
        nll, correct = (
            {name: table[[f"{kind}_{stratum}_{name}" for stratum in _ALL_STRATA]].to_numpy(float) for name in names}
            for kind in _SUMS
        )
        return WindowSums(self.index, _ALL_STRATA, self.scored, nll, correct)

    def of(self, windows: pd.DataFrame) -> np.ndarray:
        """Classes of the bases of windows of the index (`evaluation.per_base.shared.Classes`)."""
        track = _mapped(self.folder / CLASSES)
        places = zip(windows["offset"], windows["length"], strict=True)
        return np.concatenate([track[offset : offset + length] for offset, length in places])


def open_benchmark(folder: Path) -> Benchmark:
    """Read a benchmark and check every frozen file.

    Raises
    ------
    InputError
        The folder is no benchmark, has another format, or a file is missing, changed, or does not belong to it.
    """
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{folder / MANIFEST} is of another format than {FORMAT}: use the version that made it")
    missing = [key for key in ("files", "intervals", "tasks") if not isinstance(manifest.get(key), dict)]
    if missing:
        raise InputError(f"{folder / MANIFEST} has no {missing[0]}: fetch the benchmark again")
    for name, known in manifest["files"].items():
        path = folder / name
        if not path.exists():
            raise InputError(f"{path} is missing: the benchmark is not complete, fetch it again")
        if describe_file(path)["sha256"] != known:
            raise InputError(f"{path} was changed after the benchmark was packed: fetch it again")
    for path in sorted((folder / TASKS).glob("*")):
        if f"{TASKS}/{path.name}" not in manifest["files"]:
            raise InputError(f"{path} does not belong to the benchmark: remove it")
    return Benchmark(folder, manifest)


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write benchmark.json with the hash of every file that is there."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    hashes = {name: describe_file(folder / name)["sha256"] for name in names}
    write_json(folder / MANIFEST, {"format": FORMAT, **content, "files": hashes})


def write_sums(folder: Path, sums: WindowSums, offsets: np.ndarray, blocks: np.ndarray) -> None:
    """Write windows.parquet and baselines.parquet."""
    counts = {f"bases_{stratum}": sums.bases[:, place] for place, stratum in enumerate(sums.strata)}
    windows = sums.windows.assign(offset=offsets, block=blocks)
    pd.concat([windows, pd.DataFrame(counts)], axis=1).to_parquet(folder / WINDOWS, index=False)
    columns = {
        f"{kind}_{stratum}_{name}": values[:, place]
        for kind, of_models in zip(_SUMS, (sums.nll, sums.correct), strict=True)
        for name, values in of_models.items()
        for place, stratum in enumerate(sums.strata)
    }
    table = pd.DataFrame({"sequence_id": sums.windows["sequence_id"], **columns})
    table.to_parquet(folder / BASELINES, index=False)


def _mapped(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
