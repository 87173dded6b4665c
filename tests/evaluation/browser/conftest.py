"""A small annotated genome with predictions on it, and what a browser folder is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.browser.folder import BrowserFiles, new_tracks, write_browser
from evaluation.per_base.stream import stream
from workflow.artifacts import PerBaseScores, PerBaseWriter

LABELS = {"base": "base", "adapted": "adapted", "markov": "Markov <order> 3 & more", "uniform": "uniform guess"}
LENGTHS = {"chr2": 300, "chr10": 900, "empty": 50}
Window = tuple[str, int, int, str]


class Markov:
    """Gives every base the same probability."""

    def logprobs(self, bases: np.ndarray, starts: np.ndarray, rows: slice) -> np.ndarray:
        return np.full((len(bases), 4), np.log(0.25), np.float32)


def nll_at(seqid: str, position: int, model: str) -> float:
    """What the models say of the base at a position, whichever window it is in: exact in 16 bits."""
    return (position % 64) / 32 + (0.5 if model == "base" else 0) + (0.25 if seqid == "chr10" else 0)


def write_model(folder: Path, model: str, windows: list[Window], spliced: tuple[int, ...]) -> PerBaseScores:
    """Predictions; none for the first base of a window, and base 7 of each window is an N."""
    index = pd.DataFrame(windows, columns=["seqid", "start", "end", "strand"])
    index["sequence_id"] = [f"w{row}" for row in range(len(index))]
    index["length"] = index["end"] - index["start"]
    index.loc[list(spliced), "length"] -= 5
    folder.mkdir(parents=True)
    writer = PerBaseWriter(folder, index)
    for row, (seqid, start, _, strand) in enumerate(windows):
        length = int(index["length"][row])
        positions = start + np.arange(length)
        if strand == "-":
            positions = positions[::-1]
        nll = np.array([nll_at(seqid, int(position), model) for position in positions])
        logprobs = np.full((length, 4), -9.0)
        logprobs[:, 2] = -nll - 0.5
        logprobs[0] = np.nan
        bases = np.full(length, ord("g"), np.uint8)
        bases[7:8] = ord("N")
        writer.write(row, logprobs.astype(np.float16), bases)
    writer.close()
    return PerBaseScores(folder)


def write_prepare(folder: Path, annotation: pd.DataFrame | None = None) -> None:
    folder.mkdir(parents=True)
    pd.DataFrame({"seqid": list(LENGTHS), "length": list(LENGTHS.values())}).to_parquet(folder / "sequences.parquet")
    with (folder / "genome.fa").open("w") as fasta, (folder / "genome.fa.fai").open("w") as fai:
        for seqid, length in LENGTHS.items():
            fasta.write(f">{seqid}\n")
            fai.write(f"{seqid}\t{length}\t{fasta.tell()}\t{length}\t{length + 1}\n")
            fasta.write("ACGTTGCAAC" * (length // 10) + "\n")
    columns = ["seqid", "source", "type", "start", "end", "strand", "phase", "id", "parent", "name"]
    rows = [
        ("chr2", "x", "region", 0, 300, "+", None, "chr2", None, "whole"),
        ("chr2", "x", "gene", 30, 150, "+", None, "g;1", None, "</script><b>alpha"),
        ("chr2", "x", "CDS", 30, 60, "+", 0, "p1", "g;1", None),
        ("chr2", "x", "CDS", 90, 150, "+", 0, "p1", "g;1", None),
        ("chr10", "x", "gene", 880, 920, "-", None, "g2", None, "origin"),
        ("empty", "x", "gene", 0, 10, "-", None, "g3", None, "unscored"),
    ]
    table = annotation if annotation is not None else pd.DataFrame(rows, columns=columns)
    table.astype({"phase": "Int8"}).to_parquet(folder / "annotation.parquet", index=False)


@pytest.fixture
def make_browser(tmp_path: Path) -> Callable[..., BrowserFiles]:
    """Writes a run, streams its predictions and writes the browser's folder."""

    def make(
        windows: list[Window],
        *,
        bin_size: int = 10,
        models: tuple[str, ...] = ("base", "adapted"),
        spliced: tuple[int, ...] = (),
        annotation: pd.DataFrame | None = None,
    ) -> BrowserFiles:
        run, out = tmp_path / "runs" / "toy & <b>", tmp_path / "runs" / "toy & <b>" / "evaluate"
        write_prepare(run / "prepare", annotation)
        out.mkdir()
        predictions = {model: write_model(run / "predict" / model, model, windows, spliced) for model in models}
        tracks = new_tracks(run, out, predictions, ["markov"], bin_size)
        for chunk in stream(predictions, {"markov": Markov()}):
            tracks.add(chunk, np.zeros(0, np.int64))
        return write_browser(run, out, tracks, LABELS, "toy & <b>")

    return make
