"""The files of a study, as `workflow.sweep` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.search.space import Objective, Setting, decimals, new_setting, short_names
from workflow.artifacts import InputError, read_json, read_table

RECORD, TRIALS = "study.json", "trials.parquet"
_INTERMEDIATE, _IMPORTANCES = "intermediate.parquet", "importances.json"
#: Run folder of the final training, beside the record of the study; and the folder of a run with files of a study.
_FINAL, _WITHIN = "final", "search"
STATES = ("complete", "pruned", "failed", "running", "waiting", "interrupted")
_COLUMNS = ("number", "state", "reason", "kind", "retry_of", "run", "seconds", "gpu_hours", "steps")
_SIGNS = {"minimize": 1, "maximize": -1}


@dataclass(frozen=True)
class Repeat:
    """The best configuration trained again.

    Attributes
    ----------
    seed : int
    run : str
        Run folder, relative to the study.
    values : list of float
        Value of each objective; NaN where the run failed.
    """

    seed: int
    run: str
    values: list[float]


@dataclass(frozen=True)
class Study:
    """A study as it is on disk.

    Attributes
    ----------
    folder : Path
    record : dict
        What study.json holds.
    settings : list of Setting
    objectives : list of Objective
    trials : DataFrame
        In the order of their numbers: number, state (`refused` where a trial was pruned before it began), reason,
        kind, retry_of, run, seconds, gpu_hours, steps.
    values : ndarray, (trials, objectives)
        NaN where a trial is not complete.
    intermediate : DataFrame
        number, step, value of what is `followed` while a trial runs.
    importances : dict
        By name of an objective: share of its variance by key; empty where that cannot be told.
    repeats : list of Repeat
    """

    folder: Path
    record: dict[str, Any]
    settings: list[Setting]
    objectives: list[Objective]
    trials: pd.DataFrame
    values: np.ndarray
    intermediate: pd.DataFrame
    importances: dict[str, dict[str, float]]
    repeats: list[Repeat]

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.record["name"])

    @property
    def numbers(self) -> list[int]:
        """Number of each trial."""
        return [int(number) for number in self.trials["number"]]

    @property
    def followed(self) -> str:
        """What the values are that a trial told while it ran, with their unit: those that it is pruned by."""
        metric, first = self.record.get("follows"), self.objectives[0]
        return first.axis if metric in (None, first.name) else f"{metric} (nats per base)"

    def in_state(self, state: str) -> np.ndarray:
        """Which trials are in a state, (trials,) bool."""
        chosen: np.ndarray = (self.trials["state"] == state).to_numpy(bool)
        return chosen

    def best(self, objective: int) -> int | None:
        """Row of the trial with the best value, the first of equal ones; None where no trial is complete."""
        values = self.objectives[objective].sign * self.values[:, objective]
        return None if np.isnan(values).all() else int(np.nanargmin(values))

    @property
    def default(self) -> int | None:
        """Row of the trial that ran the default configuration to its end; None where none did.

        That of a default that was interrupted is its retry.
        """
        attempts: set[int] = set()
        columns = self.trials[["number", "kind", "retry_of", "state"]]
        for row, (number, kind, retry_of, state) in enumerate(columns.itertuples(index=False)):
            if kind == "default" or retry_of in attempts:
                attempts.add(number)
                if state == "complete":
                    return row
        return None


def study_of(run: Path) -> Path | None:
    """The folder with the files of the study that a run belongs to: it is the final training, or holds them."""
    for folder in (run / _WITHIN, *([run.parent] if run.name == _FINAL else [])):
        if (folder / RECORD).exists() and (folder / TRIALS).exists():
            return folder
    return None


def read_study(folder: Path) -> Study:
    """Read the files of a study.

    Raises
    ------
    InputError
        A file is missing, or lacks what this version writes.
    """
    require_study(folder)
    path = folder / RECORD
    record = read_json(path)
    trials = _trials(folder / TRIALS)
    try:
        space = {str(key): dict(range_) for key, range_ in record["space"].items()}
        wanted = [
            (str(o["name"]), str(o["label"]), str(o["unit"] or ""), _SIGNS[o["direction"]])
            for o in record["objectives"]
        ]
        repeats = [
            Repeat(int(r["seed"]), str(r["run"]), [_value(value) for value in r["values"]]) for r in record["repeats"]
        ]
        str(record["name"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _of_another_version(path, error) from None
    if not wanted or any(len(repeat.values) != len(wanted) for repeat in repeats):
        raise InputError(f"{path}: every repeat needs one value for each objective, and there must be an objective")
    values = _values(folder / TRIALS, trials, [name for name, *_ in wanted])
    return Study(
        folder,
        record,
        _settings(folder / TRIALS, trials, space),
        [Objective(*of_one, decimals(column)) for of_one, column in zip(wanted, values.T, strict=True)],
        trials[list(_COLUMNS)],
        values,
        _intermediate(folder / _INTERMEDIATE),
        _importances(folder / _IMPORTANCES),
        repeats,
    )


def require_study(folder: Path) -> None:
    """Raise InputError where a folder holds no study."""
    if not (folder / RECORD).exists():
        raise InputError(f"{folder} is no study (no {RECORD}): give the folder that python -m workflow.sweep wrote")


def _of_another_version(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} was written by another version ({type(error).__name__}: {error}): repeat the command of the sweep, "
        "which then only writes its results again"
    )


def _trials(path: Path) -> pd.DataFrame:
    table = read_table(path)
    missing = [column for column in _COLUMNS if column not in table]
    if missing:
        raise _of_another_version(path, KeyError(missing[0]))
    table = table.sort_values("number", kind="stable", ignore_index=True)
    unknown = sorted(set(table["state"]) - set(STATES))
    if unknown:
        raise InputError(f"{path}: state {unknown[0]} is none of {', '.join(STATES)}")
    if table["number"].duplicated().any():
        twice = int(table.loc[table["number"].duplicated(), "number"].iloc[0])
        raise InputError(f"{path}: trial {twice} is there twice: repeat the command of the sweep")
    run, retry_of = table["run"].fillna(""), table["retry_of"].fillna(-1).astype(int)
    state = table["state"].mask((table["state"] == "pruned") & (run == ""), "refused")
    return table.assign(state=state, reason=table["reason"].fillna(""), run=run, retry_of=retry_of)


def _values(path: Path, trials: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Values of the complete trials, (trials, objectives)."""
    columns = [f"value.{name}" for name in names]
    missing = [column for column in columns if column not in trials]
    if missing:
        raise _of_another_version(path, KeyError(missing[0]))
    values = trials[columns].astype(float).to_numpy(copy=True)
    values[(trials["state"] != "complete").to_numpy(bool)] = np.nan
    values[~np.isfinite(values)] = np.nan
    return values


def _settings(path: Path, trials: pd.DataFrame, space: dict[str, dict[str, Any]]) -> list[Setting]:
    found = []
    for (key, range_), name in zip(space.items(), short_names(list(space)), strict=True):
        if f"param.{key}" not in trials:
            raise _of_another_version(path, KeyError(f"param.{key}"))
        texts = [None if pd.isna(text) else str(text) for text in trials[f"param.{key}"]]
        try:
            found.append(new_setting(key, name, range_, texts))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}, column param.{key}: a value does not fit its range in {RECORD} ({error}): repeat the "
                "command of the sweep"
            ) from None
    return found


def _intermediate(path: Path) -> pd.DataFrame:
    """Finite values; none where the study did not ask for any."""
    if not path.exists():
        return pd.DataFrame({"number": [], "step": [], "value": []}, dtype=float)
    table = read_table(path, ["number", "step", "value"])
    finite: pd.DataFrame = table[np.isfinite(table["value"].to_numpy(float))]
    return finite.sort_values(["number", "step"], ignore_index=True)


def _importances(path: Path) -> dict[str, dict[str, float]]:
    if not path.exists():
        return {}
    found = read_json(path)
    try:
        return {name: {key: _value(share) for key, share in (of_one or {}).items()} for name, of_one in found.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise _of_another_version(path, error) from None


def _value(value: Any) -> float:
    return float("nan") if value is None else float(value)
