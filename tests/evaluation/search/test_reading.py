from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.search.reading import read_study, study_of
from workflow.artifacts import InputError, read_json, write_json

Make = Callable[..., Path]


def change_record(folder: Path, **changes: Any) -> None:
    write_json(folder / "study.json", read_json(folder / "study.json") | changes)


def change_trials(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_parquet(folder / "trials.parquet")).to_parquet(folder / "trials.parquet", index=False)


def test_a_study_is_read_in_the_order_of_its_trials(make_study: Make) -> None:
    folder = make_study(trials=20, objectives=2)
    change_trials(folder, lambda table: table.iloc[::-1])
    study = read_study(folder)
    assert study.numbers == list(range(20))
    assert study.default == 0
    table = pd.read_parquet(folder / "trials.parquet").sort_values("number")
    complete = (table["state"] == "complete").to_numpy()
    assert np.isfinite(study.values).all(axis=1).tolist() == complete.tolist()
    assert study.values[0, 0] == table["value.val_loss_nonrepeat"].iloc[0]
    best = study.best(0)
    assert best is not None and study.values[best, 0] == np.nanmin(study.values[:, 0])
    rate = study.settings[0]
    assert rate.places[5] == json.loads(table["param.train.learning_rate"].iloc[5])
    rank = next(setting for setting in study.settings if setting.name == "rank")
    is_full = [text == '"full"' for text in table["param.train.method"]]
    assert np.isnan(rank.places).tolist() == is_full


def test_where_higher_is_better_the_best_is_the_highest_and_the_first_of_equal_ones(make_study: Make) -> None:
    folder = make_study(trials=6, objectives=3, states={})
    change_trials(folder, lambda table: table.assign(**{"value.accuracy": [0.1, 0.5, 0.2, 0.5, 0.3, np.inf]}))
    study = read_study(folder)
    assert study.best(2) == 1
    assert np.isnan(study.values[5, 2])


def test_no_complete_trial_has_no_best_and_no_default(make_study: Make) -> None:
    study = read_study(make_study(trials=4, states={"failed": 1.0}))
    assert study.best(0) is None
    assert study.default is None


def test_the_default_that_was_interrupted_is_its_last_retry(make_study: Make) -> None:
    folder = make_study(trials=6, states={})

    def interrupt(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(
            state=["interrupted", "complete", "interrupted", "complete", "complete", "complete"],
            kind=["default", "sampled", "retry", "retry", "retry", "sampled"],
            retry_of=pd.array([None, None, 0, 1, 2, None], dtype="Int64"),
        )

    change_trials(folder, interrupt)
    assert read_study(folder).default == 4


def test_a_trial_that_was_pruned_before_it_began_is_refused(make_study: Make) -> None:
    folder = make_study(trials=4, states={"pruned": 1.0}, default=False)
    change_trials(folder, lambda table: table.assign(run=["trials/0000", None, "trials/0002", None]))
    assert read_study(folder).trials["state"].tolist() == ["pruned", "refused", "pruned", "refused"]


def test_files_that_a_search_need_not_write(make_study: Make) -> None:
    folder = make_study(trials=3)
    (folder / "intermediate.parquet").unlink()
    (folder / "importances.json").unlink()
    study = read_study(folder)
    assert study.intermediate.empty
    assert study.importances == {}


def test_intermediate_values_that_are_no_numbers_are_left_out(make_study: Make) -> None:
    folder = make_study(trials=3)
    table = pd.DataFrame({"number": [1, 1, 0], "step": [20, 10, 10], "value": [np.nan, 2.0, np.inf]})
    table.to_parquet(folder / "intermediate.parquet")
    assert read_study(folder).intermediate.to_numpy().tolist() == [[1, 10, 2.0]]


def test_repeats_that_failed_have_no_value(make_study: Make) -> None:
    folder = make_study(trials=3, repeats=0)
    change_record(folder, repeats=[{"seed": 7, "run": "repeats/seed-7", "values": [None]}])
    assert np.isnan(read_study(folder).repeats[0].values).all()


def test_which_runs_belong_to_a_study(make_study: Make, tmp_path: Path) -> None:
    folder = make_study(trials=3)
    for name in ("final", "repeats"):
        (folder / name).mkdir()
    assert study_of(folder / "final") == folder
    assert study_of(folder / "repeats") is None
    run = tmp_path / "run"
    shutil.copytree(folder, run / "search")
    assert study_of(run) == run / "search"
    (run / "search" / "trials.parquet").unlink()
    assert study_of(run) is None


def test_a_folder_that_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no study \(no study.json\): give the folder"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"space": None},
        {"objectives": [{"name": "loss"}]},
        {"objectives": [{"name": "loss", "label": "loss", "unit": "", "direction": "down"}]},
        {"repeats": [{"seed": 1}]},
        {"repeats": None},
    ],
)
def test_a_record_of_another_version(make_study: Make, changes: dict[str, Any]) -> None:
    folder = make_study(trials=3)
    change_record(folder, **changes)
    with pytest.raises(InputError, match=r"study\.json was written by another version .* repeat the command"):
        read_study(folder)


def test_repeats_need_a_value_of_every_objective(make_study: Make) -> None:
    folder = make_study(trials=3, objectives=2)
    change_record(folder, repeats=[{"seed": 1, "run": "x", "values": [1.2]}])
    with pytest.raises(InputError, match="one value for each objective"):
        read_study(folder)


@pytest.mark.parametrize("column", ["state", "value.val_loss_nonrepeat", "param.train.learning_rate"])
def test_a_table_that_lacks_a_column(make_study: Make, column: str) -> None:
    folder = make_study(trials=3)
    change_trials(folder, lambda table: table.drop(columns=column))
    with pytest.raises(InputError, match=f"trials.parquet was written by another version .*{column}"):
        read_study(folder)


def test_a_state_that_is_none(make_study: Make) -> None:
    folder = make_study(trials=3)
    change_trials(folder, lambda table: table.assign(state="lost"))
    with pytest.raises(InputError, match="state lost is none of complete, pruned"):
        read_study(folder)


def test_a_trial_that_is_there_twice(make_study: Make) -> None:
    folder = make_study(trials=3)
    change_trials(folder, lambda table: table.assign(number=[0, 2, 2]))
    with pytest.raises(InputError, match="trial 2 is there twice"):
        read_study(folder)


@pytest.mark.parametrize("text", ['"high"', "1e-3 and more"])
def test_a_value_that_does_not_fit_its_range(make_study: Make, text: str) -> None:
    folder = make_study(trials=3)
    change_trials(folder, lambda table: table.assign(**{"param.train.learning_rate": text}))
    with pytest.raises(InputError, match=r"column param.train.learning_rate: a value does not fit its range"):
        read_study(folder)


def test_importances_of_another_version(make_study: Make) -> None:
    folder = make_study(trials=3)
    write_json(folder / "importances.json", {"val_loss_nonrepeat": [0.5, 0.5]})
    with pytest.raises(InputError, match=r"importances\.json was written by another version"):
        read_study(folder)


def test_a_missing_table(make_study: Make) -> None:
    folder = make_study(trials=3)
    (folder / "trials.parquet").unlink()
    with pytest.raises(InputError, match=r"trials\.parquet does not exist"):
        read_study(folder)
