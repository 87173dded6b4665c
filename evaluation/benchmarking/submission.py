"""What another group hands in: per-base predictions, or a table of sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.benchmarking.folder import Benchmark
from evaluation.per_base.shared import STRATA, WindowSums, sum_windows
from workflow.artifacts import InputError, PerBaseScores, describe_file, fingerprint

_ARRAYS = ("logprobs.npy", "bases.npy", "index.parquet")
_SUFFIXES = (".csv", ".tsv", ".parquet")
_PLACE = ["seqid", "start", "end", "strand", "length"]


def read_submission(path: Path, benchmark: Benchmark, model: str) -> WindowSums:
    """Sums of a model over the windows of a benchmark, in its order.

    Parameters
    ----------
    path : Path
        A folder with logprobs.npy, bases.npy and index.parquet, or a table with sequence_id, nll and n.
    benchmark : Benchmark
    model : str
        What the model is called in the result.

    Returns
    -------
    WindowSums
        Of a table, only the stratum of all bases is known, and no accuracy: the rest is NaN.

    Raises
    ------
    InputError
        Windows are missing, unknown or different; scored bases have no prediction.
    """
    return _from_arrays(path, benchmark, model) if path.is_dir() else _from_table(path, benchmark, model)


def hash_submission(path: Path) -> str:
    """SHA-256 that names the scores, wherever they lie."""
    if not path.is_dir():
        return str(describe_file(path)["sha256"])
    return fingerprint({name: describe_file(path / name)["sha256"] for name in _ARRAYS})


def read_user_scores(path: Path, columns: list[str]) -> pd.DataFrame:
    """A table of scores with the given columns, the first of them as text, the others as numbers.

    Raises
    ------
    InputError
        The file does not exist or is of another kind; a column is missing; a row has no number, or an id twice.
    """
    if path.suffix not in _SUFFIXES or not path.exists():
        raise InputError(
            f"{path} is no table of scores: give a folder of per-base scores, or a file {', '.join(_SUFFIXES)}"
        )
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}; it has: {', '.join(map(str, table.columns))}")
    numbers = {name: pd.to_numeric(table[name], errors="coerce").astype(float) for name in columns[1:]}
    found = pd.DataFrame({columns[0]: table[columns[0]].astype(str), **numbers})
    bad = ~np.isfinite(found[columns[1:]].to_numpy(float)).all(axis=1)
    if bad.any():
        raise InputError(f"{path}, row {int(bad.argmax()) + 1}: no number in {' or '.join(columns[1:])}")
    repeated = found[columns[0]].duplicated()
    if repeated.any():
        raise InputError(f"{path} has {columns[0]} {found[columns[0]][repeated].iloc[0]} twice")
    return found


def _from_arrays(path: Path, benchmark: Benchmark, model: str) -> WindowSums:
    store = PerBaseScores(path)
    if store.logprobs.ndim != 2 or store.logprobs.shape[1] != 4 or not store.logprobs.flags.c_contiguous:
        raise InputError(f"{path / 'logprobs.npy'} must be (positions, 4) in C order, columns A, C, G, T")
    if not {"sequence_id", "offset", *_PLACE} <= set(store.index.columns):
        raise InputError(f"{path / 'index.parquet'} needs the columns sequence_id, offset, {', '.join(_PLACE)}")
    _require_complete(path, store.index["sequence_id"], benchmark)
    given = store.index.astype({"sequence_id": object}).set_index("sequence_id")["length"]
    wanted = benchmark.index["sequence_id"].astype(object)
    different = given.loc[wanted].to_numpy() != benchmark.index["length"].to_numpy()
    if different.any():
        raise InputError(f"{path}: window {wanted[int(different.argmax())]} has another length than the benchmark's")
    sums = sum_windows(benchmark, {model: store}, benchmark.index, classes=benchmark, first_bases=False)
    left_out = sums.bases[:, 0] < benchmark.scored[:, 0]
    if left_out.any():
        row = int(left_out.argmax())
        lacking = int(benchmark.scored[row, 0] - sums.bases[row, 0])
        raise InputError(
            f"{path / 'logprobs.npy'}: {lacking:,} scored bases of window {wanted[row]} have no prediction; only the "
            "first base of a window may lack one"
        )
    return sums


def _from_table(path: Path, benchmark: Benchmark, model: str) -> WindowSums:
    table = read_user_scores(path, ["sequence_id", "nll", "n"])
    _require_complete(path, table["sequence_id"], benchmark)
    table = table.set_index("sequence_id").reindex(benchmark.index["sequence_id"].astype(str))
    wrong = table["n"].to_numpy() != benchmark.scored[:, 0]
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{path}: n of window {table.index[row]} is {table['n'].iloc[row]:g}, but {benchmark.scored[row, 0]:,} "
            "bases are scored there: all A, C, G, T except the first base of the window"
        )
    if (table["nll"] < 0).any():
        raise InputError(
            f"{path}: nll of window {table.index[int((table['nll'] < 0).argmax())]} is negative: give −Σ ln P"
        )
    unknown = np.full(benchmark.scored.shape, np.nan)
    nll = unknown.copy()
    nll[:, STRATA.index("all")] = table["nll"].to_numpy()
    return WindowSums(benchmark.index, benchmark.baselines.strata, benchmark.scored, {model: nll}, {model: unknown})


def _require_complete(path: Path, names: pd.Series, benchmark: Benchmark) -> None:
    given, wanted = set(names.astype(str)), set(benchmark.index["sequence_id"].astype(str))
    if len(given) < len(names):
        raise InputError(f"{path} has a window twice: {names[names.astype(str).duplicated()].iloc[0]}")
    for some, what in ((wanted - given, "lacks"), (given - wanted, "has other windows than the benchmark:")):
        if some:
            raise InputError(f"{path} {what} {len(some):,} of {len(wanted):,} windows, such as {min(some)}")
