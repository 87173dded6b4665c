from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evaluation.page.tables import Table
from evaluation.search.reading import Study, read_study
from evaluation.search.section import analyse, report_sections, search_of, sections
from evaluation.search.tables import repeats_table, settings_table, trials_table
from workflow.artifacts import read_json, write_json

Make = Callable[..., Path]


@pytest.fixture
def study(make_study: Make) -> Study:
    return read_study(make_study(trials=20))


def column(table: Table, name: str) -> list[str]:
    return [row[table.columns.index(name)] for row in table.rows]


def test_trials_lead_to_their_runs_and_reports(study: Study) -> None:
    table = trials_table(study, "")
    assert column(table, "trial") == [str(number) for number in range(20)]
    assert table.links[7, 0] == "trials/0007/"
    # Only the first has a report.
    assert table.links[0, 1] == "trials/0000/evaluate/report.html"
    assert (7, 1) not in table.links
    assert column(table, "report") == ["report"] + [""] * 19
    assert trials_table(study, "../../").links[7, 0] == "../../trials/0007/"
    assert table.fired == {study.best(0)}


def test_runs_that_are_gone_have_no_link(make_study: Make) -> None:
    table = trials_table(read_study(make_study(trials=3, folders=False)), "")
    assert table.links == {}
    assert "report" not in table.columns


def test_an_address_is_no_script(study: Study) -> None:
    run = study.folder / "javascript:alert(1)"
    run.mkdir()
    hostile = replace(study, trials=study.trials.assign(run=run.name))
    assert set(trials_table(hostile, "").links.values()) == {"javascript%3Aalert%281%29/"}


def test_numbers_sort_as_numbers_and_words_as_words(study: Study) -> None:
    table = trials_table(study, "")
    assert table.columns[: table.words] == ["trial", "report", "state", "why", "method", "targets"]
    assert column(table, "state")[0] == "complete (default)"
    rate = column(table, "learning_rate")
    assert rate[0] == "0.0001"
    inactive = [text == "full" for text in column(table, "method")]
    assert [cell == "–" for cell in column(table, "rank")] == inactive
    assert column(table, "minutes")[0] == f"{study.trials['seconds'].iloc[0] / 60:.1f}"
    failed = int(np.flatnonzero(study.in_state("failed"))[0])
    assert column(table, "why")[failed].startswith("no better than a uniform guess")
    assert column(table, "validation loss outside repeats")[failed] == "–"


def test_the_front_is_bold_where_there_are_several_objectives(make_study: Make) -> None:
    assert len(trials_table(read_study(make_study(trials=30, objectives=2)), "").fired) > 1


def test_trials_that_wait_have_no_numbers(make_study: Make) -> None:
    table = trials_table(read_study(make_study(trials=3, states={"waiting": 1.0}, default=False)), "")
    assert [table.rows[0][-3:], table.fired] == [["–", "–", "–"], set()]


def test_settings_have_their_rank_correlation(study: Study) -> None:
    table = settings_table(study, 0.95)
    used = np.isfinite(study.values[:, 0])
    expected = stats.spearmanr(study.settings[0].places[used], study.values[used, 0]).statistic
    assert column(table, "ρ")[0].startswith(f"{expected:+.3f}".replace("-", "−"))
    by_key = dict(zip(column(table, "setting"), table.rows, strict=True))
    assert by_key["train.method"][-1] == "–"
    assert by_key["train.lora.rank"][table.columns.index("importance")] == "–"
    assert by_key["train.lora.rank"][2] == "train.method == 'lora'"
    assert column(table, "default")[0] == "0.0001"


def test_too_few_trials_have_no_correlation(make_study: Make) -> None:
    table = settings_table(read_study(make_study(trials=5, states={}, default=False)), 0.95)
    assert set(column(table, "ρ")) == {"–"}


def test_repeats_lead_to_their_runs(study: Study) -> None:
    (study.folder / "repeats" / "seed-1").mkdir(parents=True)
    table = repeats_table(study, "")
    assert table.links == {(1, 0): "repeats/seed-1/"}
    assert len(table.rows) == 5


@pytest.mark.parametrize(
    ("options", "titles"),
    [
        ({"trials": 10}, ["The noise of the best", "History", "The settings", "Configurations", "Cost"]),
        (
            {"trials": 10, "repeats": 0, "objectives": 2},
            ["History", "The settings", "Configurations", "Pareto front", "Cost"],
        ),
        ({"trials": 3, "repeats": 0, "states": {"failed": 1.0}}, ["History", "The settings", "Cost"]),
        ({"trials": 3, "repeats": 0, "states": {"waiting": 1.0}, "default": False}, ["History", "The settings"]),
    ],
)
def test_what_there_is_nothing_to_say_of_is_left_out(
    make_study: Make, options: dict[str, Any], titles: list[str]
) -> None:
    parts = sections(analyse(make_study(**options), ""))
    assert [part.title for part in parts] == [*titles, "All trials", "The study"]
    assert {part.level for part in parts} == {2}


def test_the_study_tells_how_to_go_on(make_study: Make) -> None:
    folder = make_study(trials=3)
    (folder / "best" / "train").mkdir(parents=True)
    (folder / "best" / "train" / "plastid.yaml").write_text("train: {}\n")
    (folder / "final").mkdir()
    record = read_json(folder / "study.json")
    best = {"yaml": "best/train/plastid.yaml", "command": "python -m workflow.run train=plastid"}
    notes = ["no trial is pruned: with several objectives none is bad for certain"]
    write_json(folder / "study.json", record | {"best": best, "final": "final", "notes": notes})
    part = sections(analyse(folder, ""))[-1]
    lines = dict(part.lines)
    assert lines["Run the best"] == "python -m workflow.run train=plastid"
    assert lines["Look into it"] == "optuna-dashboard sqlite:///runs/plastid/study.db"
    assert part.links == [("best configuration", "best/train/plastid.yaml"), ("final run", "final")]
    assert part.remarks == ["No trial is pruned: with several objectives none is bad for certain."]


def test_curves_are_named_after_what_the_search_follows(make_study: Make) -> None:
    folder = make_study(trials=3)
    assert read_study(folder).followed == "validation loss outside repeats (nats per base)"
    write_json(folder / "study.json", read_json(folder / "study.json") | {"follows": "val_loss"})
    assert read_study(folder).followed == "val_loss (nats per base)"


def test_the_final_run_shows_its_study_under_one_heading(make_study: Make) -> None:
    folder = make_study(trials=10)
    run = folder / "final"
    run.mkdir()
    assert search_of(run.parent, run) is None
    search = search_of(run, run / ".evaluate.tmp-12")
    assert search is not None and search.address == "../../"
    parts = report_sections(search)
    assert [(part.title, part.level) for part in parts[:2]] == [("Search", 2), ("The noise of the best", 3)]
    assert parts[0].remarks[0] == search.verdict.headline
    assert parts[0].links == [("folder of the study", "../../")]
    (folder / "report.html").write_text("")
    assert report_sections(search)[0].links == [("page of the study", "../../report.html")]
    table = next(part for part in parts if part.title == "All trials").tables[0]
    assert table.links[3, 0] == "../../trials/0003/"
