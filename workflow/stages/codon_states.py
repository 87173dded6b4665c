"""Codons among the model's states, for stage `embed` with `embed.pooling=codon`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from workflow.artifacts import read_table, write_json
from workflow.backends import ModelFiles, SequenceSet
from workflow.console import Progress
from workflow.embeddings.layers import layer_name
from workflow.errors import InputError
from workflow.genome.sequences import Genome
from workflow.preflight.context import check_length
from workflow.sequence_files.letters import readable
from workflow.stages.context import StageContext

if TYPE_CHECKING:
    from workflow.backends.embedding import EmbeddingPlan
    from workflow.striped_hyena.codon_embeddings import CodonStates

UNTRAINED = "untrained"


def embed_codons(context: StageContext, files: ModelFiles) -> dict[str, object]:
    """Add up the states at the third bases of the codons of coding sequences in frame.

    Writes what `workflow.striped_hyena.codon_embeddings.CodonStates` does, and `embeddings.json`. On the local backend
    the folder `untrained` holds the same of a model of the same shape with random weights: the control.

    Parameters
    ----------
    context : StageContext
    files : ModelFiles
        The model.

    Returns
    -------
    dict
        Sequences, codons, and how many of the 64 occur.

    Raises
    ------
    GateError
        More bases are read together than the model was trained on.
    InputError
        The windows are no coding sequences in frame, or the split has none.
    """
    from workflow.backends.embedding import plan_embedding

    config = replace(context.config, embed=replace(context.config.embed, pooling="all"))
    plan = plan_embedding(config)
    sequences = _coding_sequences(context)
    together = min(int(sequences.lengths.max()), plan.reader.chunk)
    if together > config.model.context_length:
        check_length(config, context.gates, together, "read together")
    context = replace(context, config=config)
    found = _states(context, plan, files, sequences)
    found.write(context.out)
    if config.backend.name == "local":
        with TemporaryDirectory(dir=context.out) as weights:
            context.backend().convert(config, None, Path(weights))
            untrained = ModelFiles(UNTRAINED, Path(weights))
            _states(context, plan, untrained, sequences).write(context.out / UNTRAINED)
    description = {
        "layers": [{"number": layer, "name": layer_name(layer)} for layer in plan.layers],
        "of_layers": plan.of_layers,
        "pooling": "codon",
        "width": plan.width,
        "model": files.name,
        "architecture": config.model.architecture,
        "backend": config.backend.name,
        "precision": config.predict.precision,
        "sequences": len(sequences.names),
        "codons": int(found.counts.sum()),
        "source": f"windows {config.embed.windows}",
    }
    write_json(context.out / "embeddings.json", description)
    occurring = int(np.count_nonzero(found.counts))
    return {"sequences": len(sequences.names), "codons": int(found.counts.sum()), "codons_that_occur": occurring}


def _coding_sequences(context: StageContext) -> SequenceSet:
    asked, folder = context.config.embed, context.published("prepare") / "windows"
    sets = context.config.windows.sets
    coding = [name for name, settings in sets.items() if settings.kind == "cds"]
    if asked.windows not in coding:
        raise InputError(
            f"embed.pooling=codon reads coding sequences in frame and embed.windows={asked.windows} is no such set: "
            + (f"use {', '.join(coding)}" if coding else "use windows=genes embed.windows=cds")
        )
    table = read_table(folder / f"{asked.windows}.parquet", ["sequence_id", "split", "length"])
    if asked.split is not None:
        table = table[table["split"] == asked.split]
    if table.empty:
        raise InputError(f"embed.windows={asked.windows}: there are no such windows in {asked.split}")
    names, sequences = table["sequence_id"].tolist(), Genome(folder / f"{asked.windows}.fa")
    return SequenceSet(names, table["length"].to_numpy(np.int64), lambda row: readable(sequences.whole(names[row])))


def _states(context: StageContext, plan: EmbeddingPlan, files: ModelFiles, sequences: SequenceSet) -> CodonStates:
    from workflow.striped_hyena.codon_embeddings import CodonStates

    states = CodonStates(len(plan.layers), plan.width, context.config.seed)
    parts = context.backend().embed(context.config, files, sequences)
    with Progress(f"reading codons with the {files.name} model", len(sequences.names), "sequences") as progress:
        for row, pieces in groupby(_placed(parts, sequences.lengths), key=lambda placed: placed[0]):
            bases = sequences.fetch(row)
            for _, first, part in pieces:
                states.add(bases, part, first)
            progress.advance(1)
    return states


def _placed(parts: Iterator[np.ndarray], lengths: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Row of the sequence, and the place in it, where each array of states begins."""
    row = first = 0
    for part in parts:
        yield row, first, part
        first += len(part)
        if first == lengths[row]:
            row, first = row + 1, 0
