"""Model scores against measured values: does a window that the model finds likely behave differently?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import evaluation
from evaluation.per_base.scores import WindowScores
from evaluation.statistics.bootstrap import Interval, correlation
from workflow.artifacts import InputError

_FEWEST_ROWS = 3


@dataclass(frozen=True)
class Experiment:
    """Scores joined to measurements.

    Attributes
    ----------
    table : DataFrame
        sequence_id, measured, and `score_<model>`: mean log-likelihood of the window, nats per base.
    pearson, spearman : dict
        Interval by model.
    value_name : str
        Name of the measured column.
    unmatched, missing : int
        Rows of the user's table whose id is no scored window; whose value is empty.
    """

    table: pd.DataFrame
    pearson: dict[str, Interval]
    spearman: dict[str, Interval]
    value_name: str
    unmatched: int
    missing: int


def compare(
    path: str, id_column: str, value_column: str, scores: WindowScores, samples: int, confidence: float, seed: int
) -> Experiment:
    """Join a table of measurements to the scored windows and correlate.

    Parameters
    ----------
    path : str
        CSV (`.csv`), Parquet (`.parquet`), or tab-separated (any other name); absolute, or relative to the working
        directory or to the project's root. Several rows may share an id.
    id_column, value_column : str
        The sequence_id of a window, and the measured value.

    Raises
    ------
    InputError
        File or column missing, a value that is no number, or fewer than three rows left.
    """
    measured = _read(_locate(path), id_column, value_column)
    present = measured["measured"].notna()
    known = measured["sequence_id"].isin(scores.table["sequence_id"])
    if not known.any():
        raise InputError(
            f"{path}, column {id_column}: no id is that of a scored window, such as "
            f"{scores.table['sequence_id'][0]}; name the id column with evaluation.experiment_id"
        )
    by_window = pd.DataFrame({"sequence_id": scores.table["sequence_id"]})
    for model in scores.models:
        by_window[f"score_{model}"] = -scores.per_base(model)
    table = measured[present & known].merge(by_window, on="sequence_id", validate="many_to_one")
    if len(table) < _FEWEST_ROWS:
        raise InputError(
            f"{path}, column {value_column}: {len(table)} rows have a scored window and a value, "
            f"a correlation needs {_FEWEST_ROWS}"
        )
    values = table["measured"].to_numpy(float)
    pearson, spearman = {}, {}
    for model in scores.models:
        score = table[f"score_{model}"].to_numpy(float)
        pearson[model] = correlation(score, values, "pearson", samples, confidence, seed)
        spearman[model] = correlation(score, values, "spearman", samples, confidence, seed)
    return Experiment(table, pearson, spearman, value_column, int((~known).sum()), int((known & ~present).sum()))


def _locate(path: str) -> Path:
    """The file as it is given, else relative to the project's root."""
    for candidate in (Path(path), Path(evaluation.__file__).resolve().parent.parent / path):
        if candidate.is_file():
            return candidate
    raise InputError(f"evaluation.experiment: {path} does not exist")


def _read(path: Path, id_column: str, value_column: str) -> pd.DataFrame:
    """Columns sequence_id (str) and measured (float, NaN where empty)."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        try:
            table = pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", dtype=str)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as a table: {' '.join(str(error).split())}") from None
    for key, column in (("experiment_id", id_column), ("experiment_value", value_column)):
        if column not in table:
            raise InputError(
                f"{path} has no column {column}; it has {', '.join(map(str, table.columns))}: "
                f"choose one with evaluation.{key}"
            )
    values = pd.to_numeric(table[value_column], errors="coerce").replace([np.inf, -np.inf], np.nan)
    wrong = values.isna() & table[value_column].notna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise InputError(
            f"{path}, row {row + 1} of the data, column {value_column}: "
            f"{str(table[value_column].iloc[row])!r} is not a finite number; leave missing values empty"
        )
    return pd.DataFrame({"sequence_id": table[id_column].astype(str), "measured": values.astype(float)})
