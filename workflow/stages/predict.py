"""Stage `predict`: per-base log-probabilities of the held-out windows, by the base and the adapted model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workflow.artifacts import PerBaseWriter, read_table
from workflow.backends import ModelFiles, SequenceSet
from workflow.config import Config
from workflow.console import track
from workflow.errors import InputError
from workflow.genome.sequences import Genome
from workflow.preflight import check_context
from workflow.stages.context import StageContext
from workflow.stages.vocabulary import check_mass_outside_acgt


def predict(context: StageContext) -> dict[str, object]:
    """Score the windows of `predict.split` with every model of the run.

    Writes for each model a folder with `logprobs.npy`, `bases.npy`, `index.parquet` (see
    `workflow.artifacts.PerBaseWriter`) and `scores.parquet`: sequence_id, n (scored bases), sum and mean of
    the observed bases' log-likelihood in nats, outside_acgt (mean probability of other tokens).

    Returns
    -------
    dict
        Windows, bases, and the mean NLL of each model.

    Raises
    ------
    GateError
        A model gives much of its probability to tokens that are not bases.
    InputError
        The split has no windows.
    """
    config = context.config
    windows, sequences = _windows(context.published("prepare") / "windows", config)
    lengths = windows["length"].to_numpy(np.int64)
    check_context(config, context.gates, lengths, "scored windows")
    counts: dict[str, object] = {"windows": len(windows), "bases": int(lengths.sum())}
    for name, files in context.models().items():
        out = context.out / name
        out.mkdir()
        scores = _score(context, files, windows, sequences, out, name)
        scores.to_parquet(out / "scores.parquet", index=False)
        nll = -float(scores["sum"].sum() / scores["n"].sum())
        counts |= {f"{name}_nll_nats_per_base": nll, f"{name}_perplexity": float(np.exp(nll))}
        outside = float(np.average(scores["outside_acgt"], weights=lengths))
        saw = f"{outside:.2%} of the {name} model's probability on tokens other than A, C, G, T"
        check_mass_outside_acgt(context.gates, outside, saw=saw, subject=name)
    return counts


def _windows(folder: Path, config: Config) -> tuple[pd.DataFrame, Genome]:
    """The windows to score, and their sequences by sequence_id: strands are turned and exons joined there."""
    name, split = config.predict.windows, config.predict.split
    windows = read_table(folder / f"{name}.parquet")
    windows = windows[windows["split"] == split].reset_index(drop=True)
    if windows.empty:
        raise InputError(f"the split {split} has no {name} windows: make split.fractions larger")
    return windows, Genome(folder / f"{name}.fa")


def _score(
    context: StageContext, files: ModelFiles, windows: pd.DataFrame, sequences: Genome, out: Path, name: str
) -> pd.DataFrame:
    writer = PerBaseWriter(out, windows)
    names = windows["sequence_id"].tolist()
    wanted = SequenceSet(names, windows["length"].to_numpy(np.int64), lambda row: sequences.whole(names[row]))
    results = context.backend().score(context.config, files, wanted)
    rows = []
    for row, score in enumerate(track(results, f"scoring with the {name} model", len(names), "windows")):
        writer.write(row, score.logprobs, sequences.whole(names[row]))
        mean = score.total / score.n if score.n else np.nan
        rows.append((score.n, score.total, mean, score.outside_acgt))
    writer.close()
    table = pd.DataFrame(rows, columns=["n", "sum", "mean", "outside_acgt"])
    return pd.concat([windows[["sequence_id"]], table], axis=1)
