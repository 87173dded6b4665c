"""The sequences that the stage `embed` is about: of a file, or windows of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflow.artifacts import publish, read_table, waiting_lock
from workflow.config import SPLITS, Config
from workflow.console import say, track
from workflow.embeddings.spool import Spool, write_spool
from workflow.errors import InputError
from workflow.genome.files import locate
from workflow.genome.sequences import Genome
from workflow.preflight.context import check_length
from workflow.sequence_files import SequenceRecord, read_sequences
from workflow.sequence_files.letters import readable
from workflow.stages.context import StageContext

if TYPE_CHECKING:
    from workflow.backends.embedding import EmbeddingPlan

#: With fewer bases a model's filters have little to work on.
_SHORT = 128


def input_file(config: Config) -> Path:
    """The file that `embed.input` names. Raises InputError when it does not exist."""
    return locate(str(config.embed.input), "embed.input names it")


def open_sequences(context: StageContext, place: Path, *, per_base: bool) -> Spool:
    """All sequences; they are read by the first process that comes, and kept in `place` for the others.

    Raises
    ------
    InputError
        They cannot be read, or there are none.
    """
    with waiting_lock(place):
        if not place.exists():
            records = _windows(context) if context.config.embed.input is None else _records(context.config)
            with publish(place) as folder:
                write_spool(folder, track(records, "reading sequences", unit="sequences"), per_base=per_base)
    return Spool(place)


def check_lengths(context: StageContext, plan: EmbeddingPlan, sequences: Spool) -> None:
    """Refuse a position beyond the end of a sequence, and tell of very short ones.

    Raises
    ------
    GateError
        More bases are read together than the model was trained on.
    InputError
        `embed.position` lies beyond the end of a sequence.
    """
    lengths, position = sequences.lengths, plan.reader.position
    longest = int(lengths.max())
    if (together := min(longest, plan.reader.chunk)) > context.config.model.context_length:
        check_length(context.config, context.gates, together, "read together")
    if longest < _SHORT:
        say(f"  note: the longest sequence has {longest} bases; with fewer than {_SHORT} a model knows little of it")
    if position is not None and position > lengths.min():
        row = int(np.flatnonzero(lengths < position)[0])
        raise InputError(
            f"embed.position={position} lies beyond sequence {sequences.called(row)}, which has {lengths[row]} bases: "
            "give a smaller one, or none for the middle"
        )


def _records(config: Config) -> Iterator[SequenceRecord]:
    asked, path = config.embed, input_file(config)
    return read_sequences(path, "embed.input", sequence_column=asked.sequence_column, id_column=asked.id_column)


def _windows(context: StageContext) -> Iterator[SequenceRecord]:
    asked, folder = context.config.embed, context.published("prepare") / "windows"
    if asked.windows not in context.config.windows.sets:
        sets = ", ".join(context.config.windows.sets)
        raise InputError(f"embed.windows={asked.windows} is no set of windows; there are {sets}")
    if asked.split not in (None, *SPLITS):
        raise InputError(f"embed.split={asked.split} is no split: use one of {', '.join(SPLITS)}")
    table = read_table(folder / f"{asked.windows}.parquet", ["sequence_id", "split"])
    names = table["sequence_id"] if asked.split is None else table["sequence_id"][table["split"] == asked.split]
    if names.empty:
        raise InputError(f"the split {asked.split} has no {asked.windows} windows: give another embed.split")
    with Genome(folder / f"{asked.windows}.fa") as sequences:
        for name in names:
            yield SequenceRecord(name, readable(sequences.whole(name)), f"{asked.windows}.fa, {name}")
