"""What a study leaves: tables, importances, the best configuration that runs, and what others tell of it."""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from workflow.artifacts import read_json
from workflow.command import resolve
from workflow.errors import InputError
from workflow.pipeline.outcome import Failure
from workflow.sweeping import ending, worker
from workflow.sweeping.best import write_best
from workflow.sweeping.plan import Plan
from workflow.sweeping.results import importances, write_tables
from workflow.sweeping.settings import resolved
from workflow.sweeping.study import Study

Planned = Callable[..., Plan]
CONFIGS = Path(__file__).parents[2] / "configs"
SPACE = {
    "train": {
        "learning_rate": {"low": 1e-6, "high": 1e-1, "log": True},
        "method": {"choices": ["lora", "full"]},
        "lora": {
            "targets": {"choices": [["l1"], ["l1", "l2"]]},
            "rank": {"low": 2, "high": 64, "when": "train.method == 'lora'"},
        },
    }
}


def test_tables(planned: Planned, trials: Any) -> None:
    trials.losses = lambda settings: {10: 1.0 + settings.train.learning_rate, 20: 0.9 + settings.train.learning_rate}
    trials.failure = lambda settings: (
        Failure("train", "out_of_memory", None, "no memory", "now") if settings.run_name == "0003" else None
    )
    plan = planned(space=SPACE, trials=8)
    worker.work(plan)
    study = Study(plan)
    write_tables(study)
    table = pd.read_parquet(plan.folder / "trials.parquet")
    assert list(table["number"]) == list(range(len(study.trials)))
    failed = table[table["number"] == 3].iloc[0]
    assert (failed["state"], failed["reason"], failed["batch_infeasible"]) == ("failed", "train: no memory", True)
    first = table.iloc[0]
    assert (first["state"], first["kind"], first["run"], first["steps"]) == ("complete", "default", "trials/0000", 20)
    assert first["value.val_loss_nonrepeat"] == pytest.approx(0.9 + plan.config.train.learning_rate)
    assert json.loads(first["param.train.lora.targets"]) == plan.config.train.lora.targets
    assert (first["param.train.method"], json.loads(first["param.train.lora.rank"])) == ('"lora"', 32)
    inactive = table[table["param.train.method"] == '"full"']["param.train.lora.rank"]
    assert len(inactive) and inactive.isna().all()
    assert table["retry_of"].dtype == "Int64" and table["retry_of"].isna().all()
    assert (table["finished"] >= table["started"]).all() and table["started"].str.endswith("+00:00").all()
    steps = pd.read_parquet(plan.folder / "intermediate.parquet")
    assert list(steps[steps["number"] == 0]["step"]) == [10, 20]


def test_importances_see_what_matters(planned: Planned, trials: Any) -> None:
    trials.losses = lambda settings: {10: 1.0 + settings.train.clip / 100}
    space = {"train": {"clip": {"low": 0.1, "high": 9.0}, "weight_decay": {"low": 0.0, "high": 0.1}}}
    plan = planned(space=space, trials=14, sampler="random")
    worker.work(plan)
    shares = importances(Study(plan), 0)
    assert shares is not None and shares["train.clip"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("count", [1, 3])
def test_no_importances_where_they_cannot_be_told(planned: Planned, trials: Any, count: int) -> None:
    trials.losses = lambda settings: {10: 1.0}
    plan = planned(trials=count)
    worker.work(plan)
    assert importances(Study(plan), 0) is None


@pytest.mark.parametrize(
    ("base", "space", "values"),
    [
        (("genome=phix174", "train=full", "train.steps=9"), None, {"train.learning_rate": 0.0123}),
        (
            ("windows=genes", "mixture=genes", "train.lora.targets=[l3]"),
            {"mixture": {"weights": {"choices": [{"genic": 1.0}]}}, **SPACE},
            {"train.method": "lora", "train.lora.rank": 3, "mixture.weights": {"genic": 1.0}},
        ),
        (
            (),
            {"train": {"context_length": {"choices": [256, 1024]}}},
            {"train.context_length": 256},
        ),
    ],
)
def test_the_best_configuration_runs_and_is_the_trial(
    planned: Planned, base: tuple[str, ...], space: Any, values: dict[str, Any]
) -> None:
    plan = planned(*base, **({"space": space} if space else {}))
    path, command = write_best(plan, values)
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# @package _global_", f"# {command}"]
    program, arguments = shlex.split(command)[:3], shlex.split(command)[3:]
    assert program == ["python", "-m", "workflow.run"] and arguments[:2] == ["--config-dir", str(plan.folder / "best")]
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIGS)):
        by_hand = compose("config", [f"hydra.searchpath=[file://{arguments[1]}]", *arguments[2:]])
    found, expected = asdict(resolve(by_hand)), asdict(resolved(plan.settings, plan.changes(values)))
    for section in ("genome", "split", "windows", "mixture", "model", "backend", "parallel", "train", "seed"):
        assert found[section] == expected[section], section
    assert found["predict"]["split"] == "test"
    assert resolve(compose_with(arguments, "seed=7")).train.seed == 7


def compose_with(arguments: list[str], *more: str) -> Any:
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIGS)):
        return compose("config", [f"hydra.searchpath=[file://{arguments[1]}]", *arguments[2:], *more])


@pytest.fixture
def ended(planned: Planned, trials: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    monkeypatch.setattr(ending, "TrialProcess", trials.process)

    def make(**sweep: Any) -> Plan:
        plan = planned("seed=5", **sweep)
        worker.work(plan)
        ending.finish(plan)
        return plan

    return make


def test_the_end_of_a_study(ended: Callable[..., Plan], trials: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trials.losses = lambda settings: {10: 0.5 + settings.train.learning_rate + settings.train.seed / 1000}
    plan = ended(trials=6, repeats=3, final=True, final_settings={"train": {"steps": 900}, "seed": 11})
    record = read_json(plan.folder / "study.json")
    best = record["best"]
    table = pd.read_parquet(plan.folder / "trials.parquet")
    assert best["number"] == table["value.val_loss_nonrepeat"].idxmin()
    assert record["repeats"] == [
        {"seed": seed, "run": f"repeats/seed-{seed}", "values": [pytest.approx(best["values"][0] + (seed - 5) / 1000)]}
        for seed in (6, 7, 8)
    ]
    final = trials.started[-1]
    assert (final.run_name, final.train.steps, final.train.learning_rate) == (
        "final",
        900,
        best["params"]["train.learning_rate"],
    )
    assert (final.stage, final.predict.split, record["final"]) == ("all", "test", "final")
    assert (plan.folder / best["yaml"]).exists() and (plan.folder / "report.html").exists()
    told = capsys.readouterr().out
    assert f"best: trial {best['number']}, " in told and "over 3 other seeds the best gives" in told
    assert "optuna-dashboard sqlite:///" in told
    assert record["storage"] is None and record["trials_wanted"] == 6 and record["versions"]["python"]


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second or two."""
    monkeypatch.setattr(ending, "_write_report", lambda plan: None)


@pytest.mark.usefixtures("no_page")
def test_several_objectives_end_with_a_front(
    ended: Callable[..., Plan], trials: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ended(trials=4, objectives=["val_loss", "gpu_hours"])
    record = read_json(plan.folder / "study.json")
    assert record["best"]["number"] in record["pareto"]
    assert "the best in val_loss; " in capsys.readouterr().out
    assert set(read_json(plan.folder / "importances.json")) == {"val_loss", "gpu_hours"}


def test_a_study_without_a_value_still_has_its_page(ended: Callable[..., Plan], trials: Any) -> None:
    trials.losses = lambda settings: {10: 2.0}
    with pytest.raises(InputError, match=r"^no trial of .* has a value: .*no better than a uniform guess"):
        ended(trials=2)


@pytest.mark.usefixtures("no_page")
def test_repeats_that_fail_are_told(
    ended: Callable[..., Plan], trials: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    trials.failure = lambda settings: (
        Failure("train", "tool", None, "broken", "now") if "seed" in settings.run_name else None
    )
    plan = ended(trials=2, repeats=2)
    assert [repeat["values"] for repeat in read_json(plan.folder / "study.json")["repeats"]] == [[None], [None]]
    assert "repeat with train.seed=6 failed: train: broken" in capsys.readouterr().err


@pytest.mark.usefixtures("no_page")
def test_asked_to_end_the_end_claims_nothing_that_was_not_done(
    ended: Callable[..., Plan], trials: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def losses(settings: Any) -> dict[int, float]:
        if settings.run_name == last:
            os.kill(os.getpid(), signal.SIGTERM)
        return {10: 1.0}

    trials.losses = losses
    for last, repeats in (("seed-7", 1), ("final", 2)):  # noqa: B007
        with pytest.raises(SystemExit):
            ended(trials=1, repeats=2, final=True)
        record = read_json(tmp_path / "runs" / "own" / "study.json")
        assert len(record["repeats"]) == repeats and record["final"] is None
    assert "final run" not in capsys.readouterr().out


def test_while_others_work_the_end_is_theirs(planned: Planned, trials: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(trials=2)
    Study(plan).claim()
    ending.finish(plan)
    assert "other workers still have trials" in capsys.readouterr().out
    assert not (plan.folder / "best").exists()
