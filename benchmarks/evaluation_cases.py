"""What `benchmarks/evaluate.py` measures, each in a process of its own: its arguments are a JSON list, name first."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evaluation.baselines import markov
from evaluation.per_base.analysis import analyse
from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.scores import BASE_COLUMN
from evaluation.per_base.stream import Baseline
from workflow.artifacts import BASE_CLASSES, PerBaseScores, PerBaseWriter

WINDOW, SEQUENCES, ORDER = 8192, 20, 10
MODELS = ("base", "adapted")
#: Made-up predictions are drawn once for so many bases and then repeat.
DRAWN_BASES = 1 << 20
MARKOV_BASES = 20_000_000
PLAIN_BASES = 20_000_000
LETTERS = np.frombuffer(b"ACGTacgt", np.uint8)


# ---------------------------------------------------------------- made-up predictions


def make(folder: Path, bases: int) -> None:
    """Predictions of both models, class track and table of sequences."""
    windows = bases // WINDOW // SEQUENCES * SEQUENCES
    number = np.arange(windows)
    of_sequence = windows // SEQUENCES
    seqids = np.array([f"Chr{place // 4 + 1}{'ABCD'[place % 4]}" for place in range(SEQUENCES)])
    start = number % of_sequence * WINDOW
    index = pd.DataFrame({"seqid": seqids[number // of_sequence], "start": start, "end": start + WINDOW})
    index["sequence_id"] = [f"{row.seqid}:{row.start}-{row.end}(+)" for row in index.itertuples()]
    index = index.assign(strand="+", length=WINDOW)
    generator = np.random.default_rng(0)
    in_repeats = np.repeat(generator.integers(0, 2, DRAWN_BASES // 512), 512)
    letters = LETTERS[generator.integers(0, 4, DRAWN_BASES) + 4 * in_repeats]
    for model in MODELS:
        (folder / model).mkdir(parents=True)
        writer = PerBaseWriter(folder / model, index)
        logprobs = np.log(generator.dirichlet(np.full(4, 2.0), DRAWN_BASES)).astype(np.float16)
        for row in range(windows):
            first = row * WINDOW % DRAWN_BASES
            part = logprobs[first : first + WINDOW].copy()
            part[0] = np.nan
            writer.write(row, part, letters[first : first + WINDOW])
        writer.close()
    length = of_sequence * WINDOW
    rows = [f"{seqid}\t{length}\t0\t60\t61\n" for seqid in seqids]
    (folder / "genome.fa.fai").write_text("".join(rows))
    runs = np.repeat(generator.integers(0, len(BASE_CLASSES) - 1, DRAWN_BASES // 64).astype(np.uint8), 64)
    np.save(folder / "classes.npy", np.resize(runs, windows * WINDOW))
    table = {"seqid": seqids, "length": length, "group": [name[3:-1] for name in seqids]}
    pd.DataFrame(table).assign(haplotype=[name[-1] for name in seqids], subgenome="").to_parquet(
        folder / "sequences.parquet"
    )


# ---------------------------------------------------------------- cases


def ours(folder: Path, samples: int, with_markov: bool) -> dict[str, float]:
    """The analysis as the report runs it, with a Markov model or without any baseline."""
    stores = {model: PerBaseScores(folder / model) for model in MODELS}
    sequences = pd.read_parquet(folder / "sequences.parquet")
    baselines: dict[str, Baseline] = {}
    if with_markov:
        pieces = np.random.default_rng(1).integers(0, 4, (2, MARKOV_BASES)).astype(np.uint8)
        baselines["markov"] = markov.fit([LETTERS[pieces[0]]], [LETTERS[pieces[1]]], ORDER)
    started = times()
    result = analyse(stores, baselines, ClassTrack(folder), sequences, samples, 0.95, 0)
    return since(started) | {"bases": float(result.scores.bases)}


def plain(folder: Path) -> dict[str, float]:
    """NLL and accuracy of each window with numpy, as the first version had it; of as many bases as take seconds."""
    stores = {model: PerBaseScores(folder / model) for model in MODELS}
    lengths = next(iter(stores.values())).index["length"].to_numpy()
    windows = min(len(lengths), PLAIN_BASES // WINDOW)
    step = (1 << 18) // WINDOW
    started = times()
    scored = 0
    for first in range(0, windows, step):
        rows = slice(first * WINDOW, min(first + step, windows) * WINDOW)
        starts = np.arange(0, rows.stop - rows.start, WINDOW)
        codes = BASE_COLUMN[np.asarray(stores["base"].bases[rows])]
        arrays = [np.ascontiguousarray(store.logprobs[rows].T).astype(np.float32) for store in stores.values()]
        defined = np.logical_and.reduce([~np.isnan(array.sum(axis=0)) for array in arrays])
        keep = (codes < 4) & defined
        scored += int(np.add.reduceat(keep, starts, dtype=np.int64).sum())
        for array in arrays:
            if np.any(np.exp(array).sum(axis=0)[keep] > 1.01):
                raise ValueError("no log-probabilities")
            observed = np.take_along_axis(array, np.minimum(codes, 3)[None].astype(np.intp), axis=0)[0]
            best = array.max(axis=0)
            ties = (array == best).sum(axis=0, dtype=np.uint8)
            correct = (observed == best) / np.maximum(ties, 1)
            for values in (-observed, correct):
                np.add.reduceat(np.where(keep, values, 0), starts, dtype=np.float64)
    return since(started) | {"bases": float(scored)}


def times() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(started: tuple[float, float]) -> dict[str, float]:
    """Wall time, and processor time of all threads: on a busy machine the second tells more."""
    return {name: now - then for name, now, then in zip(("seconds", "cpu"), times(), started, strict=True)}


CASES: dict[str, Callable[[Path], dict[str, float]]] = {
    "pass": lambda folder: ours(folder, 10, with_markov=False),
    "pass_markov": lambda folder: ours(folder, 10, with_markov=True),
    "whole": lambda folder: ours(folder, 10_000, with_markov=True),
    "plain": plain,
}


def run(name: str, folder: str, small: str) -> dict[str, float]:
    """A case, after it has run on the small predictions: that compiles what is compiled once."""
    CASES[name](Path(small))
    found = CASES[name](Path(folder))
    return found | {"peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


if __name__ == "__main__":
    name, *arguments = json.loads(sys.argv[1])
    if name == "make":
        make(Path(arguments[0]), arguments[1])
    else:
        print(json.dumps(run(name, *arguments)))
