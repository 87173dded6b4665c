"""Stage `predict`: per-base log-probabilities of the held-out windows, by the base and the adapted model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workflow.artifacts import PerBaseWriter, read_table
from workflow.backends import ModelFiles, SequenceSet
from workflow.config import Config
from workflow.console import track
from workflow.errors import InputError
from workflow.genome.alphabet import reverse_complement
from workflow.genome.fasta import import_fasta
from workflow.genome.files import locate
from workflow.genome.sequences import Genome
from workflow.preflight import check_context
from workflow.stages.context import StageContext
from workflow.stages.scoring import finish
from workflow.stages.vocabulary import check_mass_outside_acgt

if TYPE_CHECKING:
    from workflow.striped_hyena.scoring import SequenceScore

#: Folder of the predictions on other organisms.
FORGETTING = "forgetting"
_COLUMNS = ["sequence_id", "seqid", "start", "end", "strand", "length"]


@dataclass(frozen=True)
class WindowSet:
    """Windows that are scored together.

    Attributes
    ----------
    table : DataFrame
        sequence_id, seqid, start, end, strand, length.
    fetch : callable
        Bases of the window of a row, (length,) uint8: strands are turned and exons joined.
    subfolder : str
        Where under the stage's folder their predictions go; empty for the stage's folder itself.
    reverse : bool
        Whether they are read in both directions.
    """

    table: pd.DataFrame
    fetch: Callable[[int], np.ndarray]
    subfolder: str = ""
    reverse: bool = False

    def readings(self) -> list[tuple[int, bool]]:
        """Each window, and after it its reverse complement where that is read too."""
        directions = (False, True) if self.reverse else (False,)
        return [(row, turned) for row in range(len(self.table)) for turned in directions]


def predict(context: StageContext) -> dict[str, object]:
    """Score the windows of `predict.split`, and the sequences of other organisms, with every model of the run.

    Writes for each model a folder with `logprobs.npy`, `bases.npy`, `index.parquet` (see
    `workflow.artifacts.PerBaseWriter`) and `scores.parquet`: sequence_id, n (scored bases), sum and mean of
    the observed bases' log-likelihood in nats, outside_acgt (mean probability of other tokens). The folder
    `forgetting` holds the same for other organisms.

    Returns
    -------
    dict
        Windows, bases, and the mean NLL of each model.

    Raises
    ------
    GateError
        A model gives much of its probability to tokens that are not bases.
    InputError
        The split has no windows, or the sequences of other organisms cannot be read.
    """
    config = context.config
    windows = _windows(context.published("prepare") / "windows", config)
    sets = [windows, *(_pieces(path, config.windows.length, context.out) for path in forgetting_files(config))]
    lengths = windows.table["length"].to_numpy(np.int64)
    check_context(config, context.gates, lengths, "scored windows")
    counts: dict[str, object] = {"windows": len(lengths), "bases": int(lengths.sum())}
    for name, files in context.models().items():
        scores = _score(context, files, sets, name)[0]
        nll = -float(scores["sum"].sum() / scores["n"].sum())
        counts |= {f"{name}_nll_nats_per_base": nll, f"{name}_perplexity": float(np.exp(nll))}
        outside = float(np.average(scores["outside_acgt"], weights=lengths))
        saw = f"{outside:.2%} of the {name} model's probability on tokens other than A, C, G, T"
        check_mass_outside_acgt(context.gates, outside, saw=saw, subject=name)
    return counts


def forgetting_files(config: Config) -> list[Path]:
    """The file of other organisms' sequences, where one is asked for."""
    path = config.predict.forgetting
    return [locate(path, "predict.forgetting names it")] if path else []


def _windows(folder: Path, config: Config) -> WindowSet:
    name, split = config.predict.windows, config.predict.split
    windows = read_table(folder / f"{name}.parquet")
    windows = windows[windows["split"] == split].reset_index(drop=True)
    if windows.empty:
        raise InputError(f"the split {split} has no {name} windows: make split.fractions larger")
    names, sequences = windows["sequence_id"].tolist(), Genome(folder / f"{name}.fa")
    return WindowSet(
        windows[_COLUMNS], lambda row: sequences.whole(names[row]), reverse=config.predict.reverse_complement
    )


def _pieces(path: Path, longest: int, out: Path) -> WindowSet:
    """Sequences of other organisms, cut into pieces no longer than the windows of the genome."""
    folder = out / FORGETTING
    folder.mkdir()
    import_fasta(path, folder / "records.fa")
    records = Genome(folder / "records.fa")
    places = [
        (seqid, start, min(start + longest, length))
        for seqid, length in records.lengths.items()
        for start in range(0, length, longest)
    ]
    table = pd.DataFrame(places, columns=["seqid", "start", "end"])
    table["sequence_id"] = [f"{seqid}:{start}-{end}(+)" for seqid, start, end in places]
    table = table.assign(strand="+", length=table["end"] - table["start"])
    return WindowSet(table[_COLUMNS], lambda row: records.fetch(*places[row]), FORGETTING)


def _score(context: StageContext, files: ModelFiles, sets: list[WindowSet], model: str) -> list[pd.DataFrame]:
    """Score all sets in one go, so that a tool starts once. Returns the scores of each set."""
    readings = [(number, row, turned) for number, part in enumerate(sets) for row, turned in part.readings()]
    wanted = SequenceSet(
        [_name(sets[number], row, turned) for number, row, turned in readings],
        np.array([int(sets[number].table["length"].iloc[row]) for number, row, _ in readings], np.int64),
        lambda place: _bases(sets, *readings[place]),
    )
    results = context.backend().score(context.config, files, wanted)
    progress = iter(track(results, f"scoring with the {model} model", len(readings), "windows"))
    written = [_write(part, progress, context.out / part.subfolder / model) for part in sets]
    finish(progress)
    return written


def _name(windows: WindowSet, row: int, turned: bool) -> str:
    return str(windows.table["sequence_id"].iloc[row]) + ("|reverse" if turned else "")


def _bases(sets: list[WindowSet], number: int, row: int, turned: bool) -> np.ndarray:
    bases = sets[number].fetch(row)
    return np.ascontiguousarray(reverse_complement(bases)) if turned else bases


def _write(windows: WindowSet, results: Iterator[SequenceScore], out: Path) -> pd.DataFrame:
    out.mkdir(parents=True)
    writer = PerBaseWriter(out, windows.table, windows.reverse)
    rows = []
    for row, turned in windows.readings():
        score = next(results)
        if turned:
            writer.write_reverse(row, score.logprobs)
            continue
        writer.write(row, score.logprobs, windows.fetch(row))
        mean = score.total / score.n if score.n else np.nan
        rows.append((score.n, score.total, mean, score.outside_acgt))
    writer.close()
    table = pd.DataFrame(rows, columns=["n", "sum", "mean", "outside_acgt"])
    table = pd.concat([windows.table[["sequence_id"]], table], axis=1)
    table.to_parquet(out / "scores.parquet", index=False)
    return table
