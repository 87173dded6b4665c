"""The tables of what was scored on a benchmark."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from evaluation.benchmarking.folder import RESULTS, STRATA_RESULTS, TASK_RESULTS
from evaluation.page.text import bracketed, number, percent
from evaluation.per_base.scores import ALL, INSIDE, OUTSIDE
from evaluation.statistics.bootstrap import Interval
from workflow.artifacts import InputError, write_text

_PARTS = {ALL: "all", OUTSIDE: "outside_repeats", INSIDE: "in_repeats"}
_GAIN = "gain_over_"


@dataclass(frozen=True)
class Identity:
    """Which scores a row is of: model, date (YYYY-MM-DD), hash of the scores and of the benchmark.

    A baseline has a name only.
    """

    model: str
    date: str = ""
    scores_sha256: str = ""
    benchmark_sha256: str = ""


def keep_windows(folder: Path, strata: pd.DataFrame, identity: Identity) -> None:
    """Add a model to results.csv (a row a model) and results_by_class.csv (a row a stratum).

    Parameters
    ----------
    folder : Path
        Of the benchmark.
    strata : DataFrame
        From `evaluation.benchmarking.scoring.by_stratum`.
    identity : Identity

    Raises
    ------
    InputError
        Other scores have the same name.
    """
    row: dict[str, object] = {}
    of_part = {part: strata[strata["stratum"] == part].to_dict("records") for part in _PARTS}
    [whole] = of_part[ALL]
    for part, name in _PARTS.items():
        found = of_part[part][0] if of_part[part] else {}
        row |= {f"nll_{name}{end}": found.get(f"nll{end}") for end in ("", "_low", "_high")}
    row |= {str(key): value for key, value in whole.items() if str(key).startswith(("accuracy", _GAIN))}
    _keep(folder / RESULTS, pd.DataFrame([{"bases": whole["bases"], **row}]), identity)
    _keep(folder / STRATA_RESULTS, strata, identity)


def keep_task(folder: Path, rows: pd.DataFrame, identity: Identity) -> None:
    """Add a model to results_of_tasks.csv (a row a question). See `keep_windows`."""
    _keep(folder / TASK_RESULTS, rows, identity)


def _keep(path: Path, rows: pd.DataFrame, identity: Identity) -> None:
    """Add rows; the same scores scored again replace their earlier rows."""
    rows = pd.DataFrame(vars(identity), index=rows.index).join(rows)
    if path.exists():
        earlier = _read(path)
        same = earlier["model"] == identity.model
        if "task" in earlier:
            same &= earlier["task"] == rows["task"].iloc[0]
        if (earlier.loc[same, "scores_sha256"] != identity.scores_sha256).any():
            raise InputError(f"{path} has other scores of {identity.model}: give these another name with --model")
        # From records, so that columns that are empty in one of the two keep their kind.
        rows = pd.DataFrame(earlier[~same].to_dict("records") + rows.to_dict("records"))
    write_text(path, rows.to_csv(index=False))


def _read(path: Path) -> pd.DataFrame:
    """A table of results; a model may be called NA, and a baseline has an empty date."""
    if not path.exists():
        raise InputError(f"{path} is missing, which has the baselines' results: fetch the benchmark again")
    names = [field.name for field in fields(Identity)]
    table = pd.read_csv(path, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values=[""])
    table[names] = table[names].fillna("")
    return table


def standings(folder: Path) -> str:
    """The results as text: every model beside the baselines (in parentheses), the lowest NLL first; then the tasks."""
    results = _read(folder / RESULTS).sort_values("nll_all", kind="stable")
    names = [str(name) for name in results]
    gains = [name for name in names if name.startswith(_GAIN) and not name.endswith(("_low", "_high", "uniform"))]
    lines = [
        ["model", "scored", *(f"NLL {part}" for part in _PARTS), "accuracy", *(_gain_title(name) for name in gains)]
    ]
    for row in results.to_dict("records"):
        is_baseline = not row["date"]
        lines.append(
            [
                f"({row['model']})" if is_baseline else str(row["model"]),
                "baseline" if is_baseline else str(row["date"]),
                *(_cell(row, f"nll_{name}") for name in _PARTS.values()),
                percent(float(row["accuracy"])),
                *(_cell(row, name, signed=True) for name in gains),
            ]
        )
    text = _aligned(lines)
    if (folder / TASK_RESULTS).exists():
        tasks = _read(folder / TASK_RESULTS)
        lines = [["model", "task", "measure", "value", "k-mer baseline", "rows"]]
        for row in tasks.to_dict("records"):
            question = f"{row['task']}, {row['question']}"
            values = [_cell(row, name) for name in ("value", "baseline")]
            lines.append([str(row["model"]), question, str(row["measure"]), *values, number(float(row["rows"]), 0)])
        text += "\n" + _aligned(lines)
    return text


def _gain_title(name: str) -> str:
    return f"gain over {name.removeprefix(_GAIN)}"


def _cell(row: Mapping[Hashable, object], name: str, signed: bool = False) -> str:
    value, low, high = (float(str(row[f"{name}{end}"])) for end in ("", "_low", "_high"))
    return number(value) if pd.isna(value) else bracketed(Interval(value, low, high), signed)


def _aligned(lines: list[list[str]]) -> str:
    """Columns as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)
