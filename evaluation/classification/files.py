"""Tables that are written beside the predictions, under the names that MicrobeRT gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.classification.analysis import Analysis
from evaluation.classification.classes import class_table, confusion
from evaluation.classification.measures import reciprocal_ranks
from evaluation.classification.reading import Method

_NUMBER = "%.6g"
#: Rows of probabilities that are written at a time.
_CHUNK = 1 << 16


def write_method(analysis: Analysis, method: Method, folder: Path) -> None:
    """Write the tables of one method: `{level}_predictions.csv`, `{level}_probabilities.csv`, `class_metrics.csv`,
    `test_metrics_summary.csv` and, where it was trained by steps, `training_history.csv`.
    """
    for level in analysis.data.levels:
        _predictions(analysis, method, level).to_csv(
            folder / f"{level}_predictions.csv", index=False, float_format=_NUMBER
        )
        _write_probabilities(analysis, method, level, folder / f"{level}_probabilities.csv")
    if not analysis.data.is_regression:
        _class_metrics(analysis, method).to_csv(folder / "class_metrics.csv", index=False)
    _summary(analysis, method).to_csv(folder / "test_metrics_summary.csv", index=False)
    if method.history is not None:
        _history(method.history).to_csv(folder / "training_history.csv", index=False)


def _rows(analysis: Analysis) -> dict[str, np.ndarray]:
    """What names a row."""
    data = analysis.data
    return {"id": data.ids} if data.position is None else {"id": data.ids, "position": data.position}


def _predictions(analysis: Analysis, method: Method, level: str) -> pd.DataFrame:
    data = analysis.data
    true, predicted = data.true[level], method.predicted[level]
    if data.is_regression:
        return pd.DataFrame({**_rows(analysis), "Predicted_Label": predicted, "Actual_Label": true})
    # The last name is that of what is not known: −1 in the truth, the number after the last in the predictions.
    names = np.array([*data.classes[level], None], dtype=object)
    table = pd.DataFrame({**_rows(analysis), "Predicted_Label": names[predicted], "Actual_Label": names[true]})
    if level in method.probabilities:
        ranks = reciprocal_ranks(np.maximum(true, 0), method.probabilities[level])
        table["Reciprocal_Rank"] = np.where(data.used(level), ranks, np.nan)
    return table


def _write_probabilities(analysis: Analysis, method: Method, level: str, path: Path) -> None:
    if level not in method.probabilities:
        return
    values, names = method.probabilities[level], analysis.data.classes[level][: analysis.data.trained[level]]
    rows = pd.DataFrame(_rows(analysis))
    for first in range(0, max(len(rows), 1), _CHUNK):
        chosen = slice(first, first + _CHUNK)
        part = pd.DataFrame(np.asarray(values[chosen]), columns=pd.Index(names), index=rows.index[chosen])
        table = pd.concat([rows[chosen], part], axis=1)
        table.to_csv(path, mode="a" if first else "w", header=not first, index=False, float_format=_NUMBER)


def _class_metrics(analysis: Analysis, method: Method) -> pd.DataFrame:
    tables = []
    for level in analysis.data.levels:
        table = class_table(confusion(analysis.data, method, level))
        table.columns = pd.Index(["Precision", "Recall", "F1-score", "Support"])
        table.insert(0, "Class", pd.Series(analysis.data.classes[level], dtype=object))
        table.insert(0, "Rank", level)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _summary(analysis: Analysis, method: Method) -> pd.DataFrame:
    rows = [
        {"Rank": level, "Metric": measure, "Value": found.estimate, "Low": found.interval.low}
        | {"High": found.interval.high, "Rows": int(analysis.data.used(level).sum())}
        for level in analysis.data.levels
        for measure, found in analysis.scores[level][method.name].items()
    ]
    rows += [
        {"Rank": "path", "Metric": measure, "Value": found.estimate, "Low": found.interval.low}
        | {"High": found.interval.high, "Rows": len(analysis.data.ids)}
        for measure, found in analysis.paths.get(method.name, {}).items()
    ]
    return pd.DataFrame(rows)


def _history(history: pd.DataFrame) -> pd.DataFrame:
    """One row an epoch and step, a column for everything that was recorded there."""
    table = history.pivot_table(index=["epoch", "step"], columns="name", values="value", aggfunc="last", sort=True)
    return table.rename_axis(columns=None).reset_index()
