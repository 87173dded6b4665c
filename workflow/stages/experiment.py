"""Stage `experiment`: scores of sequences whose activity, expression or the like somebody has measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from workflow.config import ExperimentConfig
from workflow.console import say
from workflow.errors import InputError
from workflow.genome.files import locate
from workflow.genome.sequences import Genome
from workflow.stages.context import StageContext
from workflow.stages.scoring import score_strands
from workflow.tables import MISSING, numbers, read_user_table, require_columns

_LETTERS = frozenset("ACGTN")
_KEY = "experiment.table"


def experiment(context: StageContext) -> dict[str, object]:
    """Score every sequence of `experiment.table` with every model of the run.

    Sequences are those of the table, or windows of the run that it names. The score is the mean log-likelihood per
    base A, C, G, T, in nats, and of both strands where both are read.

    Writes `experiment.parquet`: row (of the user's table), id (NA where there is none), sequence (upper case), value,
    group (NA where there is none), gc (share of G and C among A, C, G, T; NaN when there are none), length,
    `score_<model>` and `score_forward_<model>` (NaN when there are none).

    Returns
    -------
    dict
        Rows, rows without a value or sequence, distinct sequences, groups, bases, mean score of each model.

    Raises
    ------
    GateError
        The sequences are too short or too long for the model, or it gives much of its probability to other tokens.
    InputError
        The table cannot be used; the message names file and row.
    """
    config = context.config.experiment
    assert config.table is not None  # the configuration refuses the stage without a table
    path = locate(config.table, f"{_KEY} names it")
    given = read_user_table(path, _KEY)
    table = _measurements(given, path, config)
    if config.sequence_column is None:
        table["sequence"] = list(_sequences_of_windows(table, path, context.published("prepare") / "windows"))
    table["sequence"] = table["sequence"].str.upper()
    _require_dna(table, path)
    table = _described(table)
    table = table.join(_scores(context, table))
    table.to_parquet(context.out / "experiment.parquet", index=False)
    repeated = int(table["sequence"].duplicated(keep=False).sum())
    if len(table) < len(given):
        say(f"{path.name}: {len(given) - len(table):,} of {len(given):,} rows without a value or sequence left out")
    if repeated:
        say(f"{path.name}: {repeated:,} rows share their sequence with another row; they are kept")
    models = [column for column in map(str, table) if column.startswith("score_") and "forward" not in column]
    return {
        "rows": len(table),
        "rows_left_out": len(given) - len(table),
        "rows_with_a_repeated_sequence": repeated,
        "groups": int(table["group"].nunique()),
        "bases": int(table["length"].sum()),
        **{f"mean_{column}": float(table[column].mean()) for column in models},
    }


def _measurements(given: pd.DataFrame, path: Path, config: ExperimentConfig) -> pd.DataFrame:
    """Columns row, id, sequence, value and group of the rows that have a value and name a sequence."""
    columns = {
        "id": ("experiment.id_column", config.id_column),
        "sequence": ("experiment.sequence_column", config.sequence_column),
        "group": ("experiment.group_column", config.group_column),
    }
    named = {field: (key, name) for field, (key, name) in columns.items() if name is not None}
    require_columns(given, path, dict(named.values()) | {"experiment.value_column": config.value_column})
    table = pd.DataFrame({"row": given.index, "value": numbers(given, config.value_column, path)})
    for field in columns:
        cells = given[named[field][1]].tolist() if field in named else [None] * len(given)
        table[field] = pd.array([None if cell in MISSING else cell for cell in cells], dtype="string")
    source = "sequence" if config.sequence_column is not None else "id"
    table = table[table["value"].notna() & table[source].notna()].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{path}: no row has both {named[source][1]} and {config.value_column} ({_KEY})")
    if config.group_column is not None and (lacking := table["group"].isna()).any():
        raise InputError(
            f"{path}, row {table['row'].iloc[int(lacking.to_numpy().argmax())]}, column {config.group_column}: no "
            "group; give every row one (experiment.group_column), of its own where it stands alone"
        )
    return table[["row", "id", "sequence", "value", "group"]]


def _sequences_of_windows(table: pd.DataFrame, path: Path, folder: Path) -> Iterator[str]:
    """Sequences of windows by their sequence_id, from whichever window sets of the run hold them."""
    with ExitStack() as opened:
        sets = {file.stem: opened.enter_context(Genome(file)) for file in sorted(folder.glob("*.fa"))}
        for row, name in table[["row", "id"]].itertuples(index=False):
            found = {windows.whole(name).tobytes() for windows in sets.values() if name in windows.lengths}
            if len(found) != 1:
                first = next((next(iter(windows.lengths), "") for windows in sets.values()), "")
                raise InputError(
                    f"{path}, row {row}: {name} names {'different windows in the' if found else 'no window of the'} "
                    f"sets {', '.join(sets)} of the run, whose windows are named like {first}; "
                    "give the sequences themselves with experiment.sequence_column"
                )
            yield found.pop().decode("ascii")


def _require_dna(table: pd.DataFrame, path: Path) -> None:
    """Refuse sequences with letters that are no DNA, such as those of RNA, proteins and alignments."""
    for row, sequence in table[["row", "sequence"]].itertuples(index=False):
        if wrong := sorted(set(sequence) - _LETTERS):
            raise InputError(
                f"{path}, row {row}: the sequence holds {', '.join(map(repr, wrong))}; only A, C, G, T and N can be "
                "scored (experiment.sequence_column)"
            )


def _described(table: pd.DataFrame) -> pd.DataFrame:
    """With the share of G and C, and the length."""
    bases = {base: table["sequence"].str.count(base).to_numpy(np.float64) for base in "ACGT"}
    total = sum(bases.values(), np.zeros(len(table)))
    gc = np.divide(bases["G"] + bases["C"], total, out=np.full(len(table), np.nan), where=total > 0)
    return table.assign(gc=gc, length=table["sequence"].str.len().astype(np.int64))


def _scores(context: StageContext, table: pd.DataFrame) -> pd.DataFrame:
    """Columns `score_<model>` and `score_forward_<model>`."""
    sequences = {
        str(place): np.frombuffer(sequence.encode("ascii"), np.uint8)
        for place, sequence in enumerate(table["sequence"].tolist())
    }
    both = context.config.experiment.reverse_complement
    means: dict[str, dict[str, np.ndarray]] = {}
    for score in score_strands(context, sequences, both=both, why="measured sequences"):
        strands = means.setdefault(score.model, {})
        column = strands.setdefault(score.strand, np.full(len(table), np.nan))
        column[int(score.sequence_id)] = score.total / score.n if score.n else np.nan
    columns: dict[str, np.ndarray] = {}
    for model, strands in means.items():
        columns[f"score_{model}"] = np.mean(list(strands.values()), axis=0)
        columns[f"score_forward_{model}"] = strands["+"]
    return pd.DataFrame(columns)
