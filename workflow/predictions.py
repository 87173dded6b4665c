"""What `predict_evo2` wrote, in this project's formats: `python -m workflow.predictions RAW FASTA OUT`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workflow.artifacts import PerBaseWriter, open_new_array, publish, read_table
from workflow.console import complain, say, track
from workflow.errors import InputError
from workflow.genome.fasta import import_fasta
from workflow.genome.sequences import Genome

if TYPE_CHECKING:
    from workflow.backends.nvidia.predictions import Collapse, Predictions

WINDOWS = "windows.fa"


def convert_predictions(
    raw: Path,
    fasta: Path,
    out: Path,
    *,
    windows: Path | None = None,
    begin_token: bool = True,
    collapse: Collapse = "mean",
) -> str:
    """Write what the tool predicted of a FASTA as stage `predict` would.

    Of logits: `logprobs.npy`, `bases.npy`, `index.parquet` (`PerBaseWriter`) and `scores.parquet`. Of
    log-probabilities, whole or per token: `scores.parquet`. Of hidden states: `embeddings.npy`, (positions,
    width) float32, and `index.parquet`.

    Parameters
    ----------
    raw : Path
        The tool's `--output-dir`.
    fasta : Path
        What it has scored.
    out : Path
        Folder to make.
    windows : Path, optional
        Table of the windows (sequence_id, seqid, start, end, strand); by default each record is a sequence of
        its own.
    begin_token : bool
        Whether it was run with `--prepend-bos`.
    collapse : str
        What `--log-prob-collapse-option` was, `sum` or `mean`: files of whole sequences do not tell.

    Returns
    -------
    str
        What was found: logits, per_token, collapsed or embeddings.

    Raises
    ------
    InputError
        A file is missing, or the predictions are not those of exactly this FASTA.
    """
    from workflow.backends.nvidia.predictions import Predictions  # brings torch

    with publish(out) as folder:
        import_fasta(fasta, folder / WINDOWS)
        with Genome(folder / WINDOWS) as sequences:
            table = _table(sequences, windows)
            names = table["sequence_id"].tolist()
            found = Predictions(raw, names, table["length"].to_numpy(np.int64), begin_token=begin_token)
            _write(found, table, sequences, folder, collapse)
        for path in folder.glob(f"{WINDOWS}*"):
            path.unlink()
    return found.kind


def _table(sequences: Genome, windows: Path | None) -> pd.DataFrame:
    """One row a record, in the order of the FASTA, with where it lies."""
    lengths = pd.DataFrame({"sequence_id": list(sequences.lengths), "length": list(sequences.lengths.values())})
    if windows is None:
        return lengths.assign(seqid=lengths["sequence_id"], start=0, end=lengths["length"], strand="+")
    places = read_table(windows, ["sequence_id", "seqid", "start", "end", "strand"])
    table = lengths.merge(places, on="sequence_id", how="left", validate="one_to_one")
    unknown = table.loc[table["seqid"].isna(), "sequence_id"]
    if len(unknown):
        raise InputError(f"{windows} does not have {unknown.iloc[0]}, a record of the FASTA")
    return table


def _write(found: Predictions, table: pd.DataFrame, sequences: Genome, folder: Path, collapse: Collapse) -> None:
    names = table["sequence_id"].tolist()
    if found.kind == "embeddings":
        _write_embeddings(found, table, folder)
        return
    if found.kind != "logits":
        scores = found.sequence_scores(collapse, lambda row: sequences.whole(names[row]))
        scores.to_parquet(folder / "scores.parquet", index=False)
        return
    writer, rows = PerBaseWriter(folder, table), []
    results = found.scores(lambda row: sequences.whole(names[row]))
    for row, score in enumerate(track(results, "reading predictions", len(names), "sequences")):
        writer.write(row, score.logprobs, sequences.whole(names[row]))
        mean = score.total / score.n if score.n else np.nan
        rows.append((names[row], score.n, score.total, mean, score.outside_acgt))
    writer.close()
    columns = ["sequence_id", "n", "sum", "mean", "outside_acgt"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "scores.parquet", index=False)


def _write_embeddings(found: Predictions, table: pd.DataFrame, folder: Path) -> None:
    ends = table["length"].cumsum().to_numpy()
    store: np.memmap | None = None
    for end, states in zip(ends, found.embeddings(), strict=True):
        if store is None:
            store = open_new_array(folder / "embeddings.npy", (int(ends[-1]), states.shape[1]), np.float32)
        store[end - len(states) : end] = states
    if store is not None:
        store.flush()
    columns = ["sequence_id", "seqid", "start", "end", "strand", "offset", "length"]
    table.assign(offset=ends - table["length"])[columns].to_parquet(folder / "index.parquet", index=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m workflow.predictions", description=__doc__)
    parser.add_argument("raw", type=Path, help="the --output-dir of predict_evo2")
    parser.add_argument("fasta", type=Path, help="the FASTA that it has scored")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--windows", type=Path, metavar="TABLE", help="Parquet table of where the records lie")
    parser.add_argument("--no-bos", action="store_true", help="it was run without --prepend-bos")
    parser.add_argument("--collapse", choices=("sum", "mean"), default="mean", help="its --log-prob-collapse-option")
    given = parser.parse_args(arguments)
    try:
        if given.out.exists():
            raise InputError(f"{given.out} exists: remove it, or name another folder")
        kind = convert_predictions(
            given.raw,
            given.fasta,
            given.out,
            windows=given.windows,
            begin_token=not given.no_bos,
            collapse=given.collapse,
        )
    except (InputError, OSError) as error:
        complain(f"error: {error}")
        return 2
    say(f"{given.out}: from {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
