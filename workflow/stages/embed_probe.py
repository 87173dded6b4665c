"""The linear probe of the stage `embed`: what it learns, and what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workflow.config import Config
from workflow.console import say
from workflow.embeddings.spool import Spool
from workflow.errors import InputError
from workflow.sequence_files import is_table
from workflow.stages.context import StageContext
from workflow.stages.embed_sequences import input_file

if TYPE_CHECKING:
    from workflow.backends.embedding import EmbeddingPlan
    from workflow.embeddings.probe import Target

PROBE = "probe.csv"


def probe_target(config: Config) -> Target | None:
    """What the probe learns, where there is one: refused, where it cannot, before anything is computed.

    Raises
    ------
    InputError
        `embed.input` is no table or lacks the column, or the column has too few labels.
    """
    if config.embed.probe is None:
        return None
    from workflow.embeddings.probe import read_target
    from workflow.tables import read_user_table, require_columns

    path = input_file(config)
    if not is_table(path):
        raise InputError(f"embed.probe={config.embed.probe} is a column of a table, and {path} is none")
    table = read_user_table(path, "embed.input")
    sequence_column = config.embed.sequence_column
    require_columns(table, path, {"embed.probe": config.embed.probe, "embed.sequence_column": sequence_column})
    return read_target(table, config.embed.probe, path, config.seed, sequence_column=sequence_column)


def run_probe(
    context: StageContext, plan: EmbeddingPlan, sequences: Spool, target: Target, embeddings: np.ndarray
) -> str:
    """Write `probe.csv`; the sentence that says which layer to use.

    Parameters
    ----------
    embeddings : ndarray, (sequences, layers, dimensions)
        May be memory-mapped.
    """
    from workflow.embeddings.probe import advice, probe

    bases = map(sequences.fetch, target.rows.tolist())
    say(f"  probing {len(plan.layers)} layers for {target.column} ({len(target.rows):,} sequences)")
    found = probe(target, embeddings, plan.layers, bases, context.config.seed)
    found.to_csv(context.out / PROBE, index=False)
    return advice(found)
