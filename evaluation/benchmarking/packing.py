"""From a run to a benchmark: what it held out, frozen, and what the baselines make of it."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.artefacts.facts import RunFacts, read_run
from evaluation.baselines import copying, markov
from evaluation.benchmarking import folder as layout
from evaluation.benchmarking.readme import readme
from evaluation.benchmarking.scoring import score_baselines
from evaluation.benchmarking.tasks import pack_tasks
from evaluation.per_base.classes import ClassTrack
from evaluation.per_base.shared import shared_windows, sum_windows
from evaluation.statistics.blocks import blocks
from workflow.artifacts import InputError, PerBaseScores, describe_file, open_new_array, read_table, write_text

_MODELS = ("base", "adapted")
_WINDOWS_AT_A_TIME = 256


def pack(run: Path, out: Path, name: str | None = None, version: str = "1.0") -> None:
    """Pack the test windows of a run, its tasks and its baselines; the same run always gives the same bytes.

    No score of a language model goes in. Scored are all bases A, C, G, T but the first of each window, which few
    models can predict.

    Parameters
    ----------
    run : Path
        Run folder with the stages prepare and predict.
    out : Path
        An existing empty folder.
    name, version : str
        What the benchmark is called; by default after the genome.

    Raises
    ------
    InputError
        The run scored another split than test, or a file is missing.
    """
    facts = read_run(run)
    if facts.split != "test":
        raise InputError(
            f"{run / 'predict'} scored the {facts.split} split, which training has used: a benchmark needs "
            "stage=predict predict.split=test"
        )
    observed = PerBaseScores(next(path for model in _MODELS if (path := run / "predict" / model).exists()))
    windows = shared_windows([observed])
    track = ClassTrack(run / "prepare")
    order, seed = facts.setting("predict", "evaluation", "markov_max_order"), facts.setting("predict", "seed")
    background = markov.fit_prepared(run / "prepare", order)
    copy = copying.fit(run / "prepare", background, int(windows["length"].median()), seed)
    sums = sum_windows(observed, {}, windows, {"markov": background, "copy": copy}, track, first_bases=False)
    lengths = windows["length"].to_numpy(np.int64)
    offsets = np.cumsum(lengths) - lengths
    numbers = blocks(windows, read_table(run / "prepare" / "sequences.parquet"))
    layout.write_sums(out, sums, offsets, numbers)
    _write_bases(out, observed, windows, offsets)
    _write_classes(out, track, windows, offsets)
    shutil.copyfile(run / "prepare" / "split.parquet", out / layout.SPLIT)
    tasks = pack_tasks(run, out, seed)
    manifest = _manifest(facts, run, name or facts.genome, version) | {
        "windows": len(windows),
        "bases_scored": int(sums.bases[:, 0].sum()),
        "baselines": {
            "markov": {"order": background.order, "strength": background.strength},
            "copy": {"note": "the choice of the stretch of train that is copied is not charged"},
        },
        "tasks": tasks,
    }
    write_text(out / layout.README, readme(manifest))
    layout.write_manifest(out, manifest)
    score_baselines(layout.open_benchmark(out))


def _manifest(facts: RunFacts, run: Path, name: str, version: str) -> dict[str, Any]:
    prepare = facts.manifests["prepare"]
    inputs = [
        {"name": Path(item["path"]).name, "bytes": item["bytes"], "sha256": item["sha256"]}
        for item in prepare.content.get("inputs", [])
    ]
    setting = facts.setting
    return {
        "name": name,
        "version": version,
        "genome": {
            "name": facts.genome,
            "organism": setting("predict", "genome", "organism"),
            "source": setting("predict", "genome", "source"),
            "inputs": inputs,
            "prepared_sha256": describe_file(run / "prepare" / "genome.fa")["sha256"],
        },
        "split": {
            "by": prepare.value("counts", "split_by"),
            "bases": facts.accounting.value("kept"),
            "settings": setting("prepare", "split"),
            "window_set": setting("predict", "predict", "windows"),
        },
        "intervals": {
            "samples": setting("predict", "evaluation", "bootstrap_samples"),
            "confidence": setting("predict", "evaluation", "confidence"),
            "seed": setting("predict", "seed"),
        },
        "scoring": "python -m evaluation.benchmark score BENCHMARK SCORES --model NAME",
    }


def _write_bases(out: Path, observed: PerBaseScores, windows: pd.DataFrame, offsets: np.ndarray) -> None:
    """The windows as FASTA and as an array, both as they are read: case kept, in the direction of the strand."""
    bases = open_new_array(out / layout.BASES, (int(windows["length"].sum()),), np.uint8)
    # Neither time nor name, so that the same windows give the same bytes.
    with (out / layout.FASTA).open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
        for row, (sequence_id, offset) in enumerate(zip(windows["sequence_id"], offsets.tolist(), strict=True)):
            part = np.asarray(observed.window(row)[1])
            bases[offset : offset + len(part)] = part
            stream.write(b">" + str(sequence_id).encode() + b"\n" + part.tobytes() + b"\n")
    bases.flush()


def _write_classes(out: Path, track: ClassTrack, windows: pd.DataFrame, offsets: np.ndarray) -> None:
    classes = open_new_array(out / layout.CLASSES, (int(windows["length"].sum()),), np.uint8)
    for first in range(0, len(windows), _WINDOWS_AT_A_TIME):
        part = track.of(windows.iloc[first : first + _WINDOWS_AT_A_TIME])
        classes[offsets[first] : offsets[first] + len(part)] = part
    classes.flush()
