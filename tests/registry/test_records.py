"""The record of a run: true to its manifests, and made again when these change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from tests.registry.conftest import config_of, make_run, manifest, metrics
from workflow.artifacts import read_json, read_manifest, write_json
from workflow.command import resolve
from workflow.pipeline import Run
from workflow.registry.comparing import comparability
from workflow.registry.headline import headline
from workflow.registry.places import membership
from workflow.registry.records import describe, kept_record, read_record, refresh
from workflow.registry.settings import computing, flatten


def test_a_record_says_what_the_manifests_say(runs: Path) -> None:
    record = describe(make_run(runs, "a"))
    assert (record.name, record.genome, record.model, record.backend, record.method) == (
        "a",
        "rice",
        "tiny",
        "local",
        "lora",
    )
    assert record.started == "2026-05-01T10:00:00+00:00"
    assert record.updated == "2026-05-01T10:01:30+00:00"
    assert [(stage.name, stage.state, stage.bytes, stage.seconds) for stage in record.stages] == [
        (name, "done", 1000, 90.5) for name in ("prepare", "convert", "train", "predict", "evaluate")
    ]
    assert record.bytes == 5000
    assert record.gates_fired == ["prepare: split_fractions"]
    assert record.data == read_manifest(runs / "a" / "prepare")["fingerprint"]
    assert (record.state, record.failure, record.damage) == ("done", None, [])


def test_of_a_run_that_the_pipeline_made(tmp_path: Path) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(Path(__file__).parents[2] / "configs"), version_base="1.3"):
        config = resolve(
            compose("config", ["genome=phix174", "stage=prepare", f"runs_folder={tmp_path}", "run_name=p"])
        )
    Run(config).execute()
    refresh(tmp_path / "p")
    record = kept_record(tmp_path / "p")
    assert record == describe(tmp_path / "p") and record is not None
    assert [stage.name for stage in record.stages] == ["download", "prepare"]
    assert (record.genome, record.model, record.backend, record.method) == ("phix174", "tiny", "local", "lora")
    assert record.data == read_manifest(tmp_path / "p" / "prepare")["fingerprint"] and record.test_set is None
    published = [path for path in (tmp_path / "p" / "prepare").rglob("*") if path.is_file()]
    assert record.stages[1].bytes == sum(path.stat().st_size for path in published if path.name != "manifest.json")
    assert not record.damage


def test_headline_numbers(runs: Path) -> None:
    told = headline(make_run(runs, "a"))
    assert told == {
        "first_validation_loss": 1.33,
        "best_validation_loss": 1.30,
        "test_bases": 1000,
        "nll_base": 1.30,
        "nll_adapted": pytest.approx(1.25),
        "nll_markov": 1.31,
        "gain": 0.05,
        "gain_low": pytest.approx(0.04),
        "gain_high": pytest.approx(0.06),
        "gain_of": "adapted over base",
        "gain_over_markov": pytest.approx(0.06),
        "gain_over_markov_low": pytest.approx(0.05),
        "gain_over_markov_high": pytest.approx(0.07),
        "forgetting": 0.01,
        "forgetting_low": 0.0,
        "forgetting_high": 0.02,
        "forgetting_on": "phage",
        "verdict": "better",
        "verdict_text": "The adapted model is better.",
    }


def test_a_model_without_a_base_is_measured_against_the_markov_model(runs: Path) -> None:
    run = make_run(runs, "a")
    told = metrics()
    told["differences"] = [row for row in told["differences"] if row["reference"] == "markov"]
    told["forgetting"] = None
    write_json(run / "evaluate" / "metrics.json", told)
    got = headline(run)
    assert (got["gain_of"], got["gain"]) == ("adapted over markov", pytest.approx(0.06))
    assert "forgetting" not in got


def test_a_record_is_read_back_as_it_was_made(runs: Path) -> None:
    run = make_run(runs, "a")
    refresh(run)
    assert kept_record(run) == describe(run)


def published_again(run: Path) -> None:
    write_json(run / "train" / "manifest.json", manifest("train", config_of(), day=2))


def failed(run: Path) -> None:
    failure = {
        "stage": "train",
        "kind": "gate",
        "gate": "finite_loss",
        "message": "m",
        "time": "2026-06-01T00:00:00+00:00",
    }
    write_json(run / "failed.json", failure)


def begun(run: Path) -> None:
    (run / "infer").mkdir()
    write_json(run / "infer" / "in_place.json", {"fingerprint": "f"})


def removed(run: Path) -> None:
    shutil.rmtree(run / "evaluate")


@pytest.mark.parametrize("change", [published_again, failed, begun, removed])
def test_what_has_changed_since_is_seen(runs: Path, change: object) -> None:
    run = make_run(runs, "a")
    refresh(run)
    assert callable(change)
    change(run)
    assert kept_record(run) is None
    assert read_record(run) == describe(run)
    refresh(run)
    assert kept_record(run) == describe(run)


def test_states(runs: Path) -> None:
    run = make_run(runs, "a", stages=("prepare",))
    assert describe(run).state == "done"
    begun(run)
    assert describe(run).state == "unfinished"
    failed(run)
    assert (describe(run).state, describe(run).updated) == ("failed", "2026-06-01T00:00:00+00:00")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"stamps": 1}', '{"stamps": {}, "name": "a"}', "\xff"])
def test_a_broken_record_is_passed_over(runs: Path, content: str) -> None:
    run = make_run(runs, "a")
    (run / "run.json").write_text(content, encoding="latin-1")
    assert kept_record(run) is None and read_record(run) == describe(run)


@pytest.mark.parametrize("content", ["{", "[]", "{}", "null", '{"timings": {"started": "x", "seconds": 1}}', "\xff"])
def test_a_broken_manifest_is_part_of_the_record(runs: Path, content: str) -> None:
    run = make_run(runs, "a")
    (run / "train" / "manifest.json").write_text(content, encoding="latin-1")
    record = describe(run)
    assert record.state == "damaged" and record.damage
    assert str(run / "train" / "manifest.json") in record.damage[0]
    assert {stage.name: stage.state for stage in record.stages}["train"] == "damaged"
    assert record.genome == "rice"
    refresh(run)
    assert kept_record(run) == record


def test_a_record_of_a_folder_that_was_copied_is_made_again(runs: Path) -> None:
    run = make_run(runs, "a")
    refresh(run)
    shutil.copytree(run, runs / "b", copy_function=shutil.copy2)
    assert read_record(runs / "b").name == "b"


def test_settings_that_made_a_stage_stand_before_those_of_a_later_command(runs: Path) -> None:
    """Who makes the report again with another rate of learning has not trained again."""
    run = make_run(runs, "a", stages=("train",))
    (run / "evaluate").mkdir()
    write_json(run / "evaluate" / "manifest.json", manifest("evaluate", config_of(rate=0.5), day=2))
    other = make_run(runs, "b", stages=("train",))
    assert describe(run).config == describe(other).config


def test_the_test_set_is_that_of_data_windows_and_split(runs: Path) -> None:
    base = describe(make_run(runs, "a")).test_set
    assert base == describe(make_run(runs, "rate", config_of(rate=0.5))).test_set
    others = {
        "genome": config_of("maize"),
        "split": config_of(predict={"windows": "tiling", "split": "val"}),
        "length": config_of(windows={"length": 512}),
        "seed": config_of(seed=1),
    }
    assert base not in {describe(make_run(runs, name, config)).test_set for name, config in others.items()}


def test_what_trials_share_is_not_theirs(runs: Path) -> None:
    shared = make_run(runs, "shared")
    run = make_run(runs, "a", stages=("train",))
    (run / "prepare").symlink_to(shared / "prepare")
    record = describe(run)
    assert record.bytes == 1000
    assert {stage.name: stage.shared for stage in record.stages} == {"prepare": True, "train": False}


def test_members_of_a_study(runs: Path) -> None:
    for place in ("s/trials/0001", "s/repeats/seed-1", "s/final", "s/shared", "alone", "trials/0001"):
        (runs / place).mkdir(parents=True)
    write_json(runs / "s" / "study.json", {})
    told = {place: membership(runs / place) for place in ("s/trials/0001", "s/repeats/seed-1", "s/final", "alone")}
    assert {place: (m.study, m.role) if m else None for place, m in told.items()} == {
        "s/trials/0001": ("s", "trial"),
        "s/repeats/seed-1": ("s", "repeat"),
        "s/final": ("s", "final"),
        "alone": None,
    }
    assert membership(runs / "trials" / "0001") is None


def test_dotted_keys() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}
    assert computing({"seed": 1, "tracking": {}, "run_name": "a"}) == {"seed": 1}


def test_a_record_is_small(runs: Path) -> None:
    run = make_run(runs, "a")
    refresh(run)
    assert (run / "run.json").stat().st_size < 8000
    assert json.loads((run / "run.json").read_text()) == read_json(run / "run.json")


def test_what_rests_on_a_stage_that_was_made_anew_is_outdated(runs: Path) -> None:
    """Predictions of a training that has been replaced are not those of the weights that are there."""
    folder = make_run(runs, "a")
    told = {name: read_manifest(folder / name) for name in ("train", "predict", "evaluate")}
    for name, before in (("predict", "train"), ("evaluate", "predict")):
        told[name]["identity"]["stages"][before] = told[before]["fingerprint"]
        write_json(folder / name / "manifest.json", told[name])
    assert describe(folder).state == "done"
    write_json(folder / "train" / "manifest.json", told["train"] | {"fingerprint": "another"})
    record = describe(folder)
    assert record.state == "outdated"
    assert {stage.name for stage in record.stages if stage.outdated} == {"predict", "evaluate"}
    sentence = comparability([record, describe(make_run(runs, "b"))], "AB")
    assert sentence.startswith("WARNING predict of A and evaluate of A have been made before a stage")
